"""A small shop behind Envoy: its policy, its issuer's tokens, and what Envoy asks about."""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from authz_service.core.decision import DenyReason
from authz_service.core.jwks import parse_jwk_set
from authz_service.core.limits import MAX_HEADERS
from authz_service.core.policy import Route, TokenRequirement
from authz_service.core.request import Host
from authz_service.core.routes import PathPattern
from authz_service.demo.signing_keys import SigningKeys
from authz_service.policy import load_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_service.core.conditions import RequestAttributes
    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Policy
    from authz_service.core.strict_json import JsonObject

NOW: Final = 1_900_000_000
HOST: Final = "shop.example.com"
ISSUER: Final = "https://auth.example.com/oidc"
SILENT_ISSUER: Final = "https://silent.example.com"
AUDIENCE: Final = "https://shopping.api"
SECRET: Final = "s3cr3t-marker"
"""In every place of a request or a token that an answer to the client must not repeat."""

POLICY: Final = """\
version: 1
issuers:
  - name: logto
    issuer: https://auth.example.com/oidc
    preset: logto
    max_token_lifetime: 1d
  - name: silent
    issuer: https://silent.example.com
    refresh: {cooldown: 6500ms}
resources:
  - name: shopping
    audience: https://shopping.api
    hosts: [shop.example.com]
    routes:
      - path: /healthz
        methods: {GET: public}
      - path: /products
        methods: {GET: [read:products], POST: [write:products, admin]}
      - path: /organizations/{org_id}
        methods: {GET: {claims: {organization_id: "{org_id}"}}}
      - path: /me/**
        methods: {"*": []}
"""


def policy_from(text: str) -> Policy:
    """Load *text* as the one file of a policy."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "policy.yaml")
        file.write_text(text, encoding="utf-8", newline="")
        return load_policy([file], environment={})


@dataclass(frozen=True)
class NeverHolds:
    """A condition that no token meets."""

    reason: DenyReason = DenyReason.CONDITION_FAILED

    def holds(self, members: JsonObject, attributes: RequestAttributes) -> bool:
        """Refuse, whatever the claims are."""
        del members, attributes
        return False


@functools.cache
def shop_policy() -> Policy:
    """The policy above, and `/vip`, of which no token is worthy."""
    policy = policy_from(POLICY)
    routes = policy.hosts.find(Host(HOST))
    assert routes is not None
    products = routes.find(["products"])
    assert products is not None
    needed = products.requirement_for("GET")
    assert isinstance(needed, TokenRequirement)
    vip = Route(
        resource="shopping",
        pattern=PathPattern.parse("/vip"),
        methods={
            "GET": TokenRequirement(needed.issuers, needed.audiences, (), (), (NeverHolds(),))
        },
    )
    routes.add(vip.pattern, vip)
    return policy


@functools.cache
def signing_keys() -> SigningKeys:
    """The issuer's keys."""
    return SigningKeys("ES384")


@functools.cache
def foreign_keys() -> SigningKeys:
    """Keys of somebody else."""
    return SigningKeys("ES384")


def key_set_of(*keys: SigningKeys) -> KeySet:
    """Take in the key set that publishes all *keys*."""
    entries = [entry for each in keys for entry in each.jwk_set()["keys"]]
    return parse_jwk_set(json.dumps({"keys": entries}).encode())


@functools.cache
def published() -> Mapping[str, KeySet]:
    """The key sets that have been fetched: not the silent issuer's."""
    return {"logto": key_set_of(signing_keys())}


CLAIMS: Final[Mapping[str, object]] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "user-1",
    "client_id": "app-1",
    "jti": "token-1",
    "iat": NOW - 60,
    "exp": NOW + 3600,
    "scope": "read:products",
}


def mint(
    claims: Mapping[str, object] | None = None,
    header: Mapping[str, object] | None = None,
    *,
    keys: SigningKeys | None = None,
) -> str:
    """Sign a valid token in which *claims* and *header* replace members; None takes one out."""
    members = {**CLAIMS, **(claims or {})}
    present = {name: value for name, value in members.items() if value is not None}
    return (keys or signing_keys()).sign(present, header=header)


def check_request(
    target: str = "/products",
    *,
    method: str = "GET",
    host: str = HOST,
    headers: Iterable[tuple[str, str]] = (),
    token: str | None = None,
) -> CheckRequest:
    """What Envoy asks without `encode_raw_headers`: repeated fields are joined, pseudo ones in."""
    fields = {":method": method, ":path": target, ":authority": host, ":scheme": "https"}
    bearer = () if token is None else (("authorization", f"Bearer {token}"),)
    for name, value in (*headers, *bearer):
        fields[name] = f"{fields[name]},{value}" if name in fields else value
    message = CheckRequest()
    http = message.attributes.request.http
    http.id, http.method, http.path, http.host = "4711", method, target, host
    http.scheme, http.protocol = "https", "HTTP/2"
    http.headers.update(fields)
    return message


@dataclass(frozen=True)
class Refusal:
    """A request that is refused for one reason, and what the client must get.

    *challenge* is the whole `WWW-Authenticate`, *error* the code in the body.
    """

    reason: DenyReason
    request: Callable[[], CheckRequest]
    http: int
    rpc: int
    error: str
    challenge: str | None = None
    retry_after: str | None = None


def _with_token(
    target: str = "/products",
    header: Mapping[str, object] | None = None,
    *,
    method: str = "GET",
    keys: Callable[[], SigningKeys] = signing_keys,
    **claims: object,
) -> Callable[[], CheckRequest]:
    def request() -> CheckRequest:
        marked = {"sub": f"user-{SECRET}", "jti": SECRET, **claims}
        token = mint(marked, header, keys=keys())
        return _marked(target, method=method, token=token)

    return request


def _marked(
    target: str = "/products",
    *,
    method: str = "GET",
    host: str = HOST,
    token: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> CheckRequest:
    """A request with `SECRET` wherever a client may put something."""
    marks = [(name, SECRET) for name in ("cookie", "user-agent", "x-request-id", "x-auth-subject")]
    return check_request(
        f"{target}?access_token={SECRET}",
        method=method, host=host, token=token, headers=[*marks, *headers],
    )  # fmt: skip


def _authorization(value: str) -> Callable[[], CheckRequest]:
    return lambda: _marked(headers=[("authorization", value)])


def _badly_signed() -> CheckRequest:
    signed, _, signature = mint({"sub": SECRET}).rpartition(".")
    other = ("B" if signature[0] == "A" else "A") + signature[1:]
    return _marked(token=f"{signed}.{other}")


def _invalid_token(reason: DenyReason, request: Callable[[], CheckRequest]) -> Refusal:
    challenge = 'Bearer realm="shopping", error="invalid_token"'
    return Refusal(reason, request, 401, 16, "invalid_token", challenge)


def _forbidden(reason: DenyReason, request: Callable[[], CheckRequest]) -> Refusal:
    return Refusal(reason, request, 403, 7, "access_denied")


def _bad_request(reason: DenyReason, request: Callable[[], CheckRequest]) -> Refusal:
    return Refusal(reason, request, 400, 3, "invalid_request")


REFUSALS: Final = (
    _forbidden(DenyReason.NO_ROUTE, lambda: _marked(f"/{SECRET}")),
    _forbidden(DenyReason.METHOD_NOT_ALLOWED, lambda: _marked(method="DELETE")),
    _bad_request(DenyReason.AMBIGUOUS_PATH, lambda: _marked(f"/{SECRET}/../products")),
    _bad_request(DenyReason.BAD_HOST, lambda: _marked(host=f"{SECRET},{HOST}")),
    Refusal(
        DenyReason.TOO_MANY_HEADERS,
        lambda: _marked(headers=[(f"x-{number}", SECRET) for number in range(MAX_HEADERS)]),
        431, 3, "invalid_request",
    ),
    Refusal(
        DenyReason.MISSING_TOKEN, _marked, 401, 16, "unauthorized", 'Bearer realm="shopping"'
    ),
    Refusal(
        DenyReason.MALFORMED_CREDENTIALS, _authorization(f"Bearer {SECRET},Bearer {SECRET}"),
        400, 3, "invalid_request", 'Bearer realm="shopping", error="invalid_request"',
    ),
    _invalid_token(DenyReason.MALFORMED_TOKEN, _authorization(f"Bearer {SECRET}")),
    _invalid_token(DenyReason.TOKEN_TOO_LARGE, _authorization("Bearer " + SECRET * 2000)),
    _invalid_token(
        DenyReason.ALGORITHM_NOT_ALLOWED,
        _with_token(header={"alg": "ES256"}, keys=lambda: SigningKeys("ES256")),
    ),
    _invalid_token(DenyReason.TOKEN_TYPE_NOT_ALLOWED, _with_token(header={"typ": SECRET})),
    _invalid_token(DenyReason.UNKNOWN_ISSUER, _with_token(iss=f"https://{SECRET}.example.com")),
    _invalid_token(DenyReason.UNKNOWN_KEY, _with_token(header={"kid": SECRET})),
    _invalid_token(DenyReason.BAD_SIGNATURE, _badly_signed),
    _invalid_token(DenyReason.MALFORMED_CLAIM, _with_token(exp=SECRET)),
    _invalid_token(DenyReason.MISSING_CLAIM, _with_token(exp=None)),
    _invalid_token(DenyReason.EXPIRED, _with_token(exp=NOW - 10)),
    _invalid_token(DenyReason.NOT_YET_VALID, _with_token(nbf=NOW + 11)),
    _invalid_token(DenyReason.LIFETIME_TOO_LONG, _with_token(exp=NOW + 86411)),
    _invalid_token(DenyReason.WRONG_AUDIENCE, _with_token(aud=SECRET)),
    Refusal(
        DenyReason.INSUFFICIENT_SCOPE, _with_token(method="POST", scope=f"{SECRET} admin"),
        403, 7, "insufficient_scope",
        'Bearer realm="shopping", error="insufficient_scope", scope="write:products admin"',
    ),
    _forbidden(
        DenyReason.CLAIM_MISMATCH,
        _with_token(f"/organizations/{SECRET}", organization_id="somebody-else"),
    ),
    _forbidden(DenyReason.CONDITION_FAILED, _with_token("/vip")),
    _forbidden(DenyReason.CLAIMS_TOO_LARGE, _with_token("/me", sub=SECRET * 400)),
    Refusal(
        DenyReason.KEYS_UNAVAILABLE, _with_token(iss=SILENT_ISSUER),
        503, 14, "temporarily_unavailable", retry_after="7",
    ),
)  # fmt: skip
"""One row for each reason that a request brings about."""
