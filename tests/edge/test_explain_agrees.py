"""What `explain` says is what the running service does, whatever the request and the token are."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner
from google.protobuf.json_format import MessageToDict
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from jwcrypto.jwa import JWA

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from authz_service.cli.main import main
from authz_service.core import base64url
from authz_service.core.decision import NOT_OF_THE_REQUEST, DenyReason
from authz_service.explain.document import to_json
from authz_service.explain.explanation import explain
from authz_service.explain.judged import KeyOrigin, KeysUsed, issuer_whose_keys_are_needed
from authz_service.explain.question import parse_header, request_for
from authz_service.explain.text import render
from tests.edge.rig import PATIENCE, FakeKeys, edge, overwritten, reason, removed, servicer
from tests.edge.shop import (
    AUDIENCE,
    CLAIMS,
    HOST,
    NOW,
    REFUSALS,
    SILENT_ISSUER,
    foreign_keys,
    policy_from,
    published,
    shop_policy,
    signing_keys,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
    from authz_service.core.policy import Policy
    from authz_service.core.request import HttpRequest
    from tests.edge.rig import Caller

Answer = dict[str, Any]

POLICY: Final = """\
version: 1
issuers:
  - name: logto
    issuer: https://auth.example.com/oidc
    preset: logto
    max_token_lifetime: 1d
    KEYS
  - {name: silent, issuer: "https://silent.example.com", jwks_uri: "http://127.0.0.1:9/jwks"}
resources:
  - name: shopping
    audience: [https://shopping.api, https://other.api]
    hosts: [shop.example.com, "*.example.net"]
    cors_preflight: allow
    routes:
      - path: /healthz
        methods: {GET: public}
      - path: /products
        methods: {GET: [read:products], POST: {scopes: [write:products], any_scope: [a, b]}}
      - path: /optional/{name}
        methods: {GET: {optional: true, scopes: [read:products]}, PUT: {optional: true}}
      - path: /audited/**
        mode: audit
        methods: {GET: [write:products], POST: public}
      - path: /organizations/{org_id}
        audience: "urn:logto:organization:{org_id}"
        methods: {"*": {claims: {organization_id: "{org_id}", /address/country: {present: true}}}}
  - name: matrix
    audience: https://shopping.api
    encoded_slash: keep
    path_parameters: keep
    hosts: ["*"]
    routes:
      - path: /me/{rest=**}
        methods: {"*": []}
"""
FORWARD: Final = """
forward:
  headers: {x-user: sub, x-org: organization_id, x-name: name}
  authorization: remove
  strip: [x-user, "x-internal-*"]
  claims_header: x-claims
"""
AUDIT: Final = "mode: audit\n"
POLICIES: Final = {
    "plain": POLICY,
    "forward": POLICY + FORWARD,
    "audit": POLICY.replace("version: 1\n", f"version: 1\n{AUDIT}"),
}


@functools.cache
def _policy(name: str) -> Policy:
    if name == "shop":
        return shop_policy()
    return policy_from(POLICIES[name].replace("    KEYS\n", ""))


class _Services:
    """The real service over real connections, one for each policy, on a loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stack = AsyncExitStack()
        self._callers: dict[str, Caller] = {}

    def ask(self, policy: str, message: CheckRequest) -> CheckResponse:
        return asyncio.run_coroutine_threadsafe(self._ask(policy, message), self._loop).result(
            PATIENCE
        )

    async def _ask(self, policy: str, message: CheckRequest) -> CheckResponse:
        if policy not in self._callers:
            served = servicer(policy=_policy(policy), keys=FakeKeys(published()))
            self._callers[policy] = await self._stack.enter_async_context(edge(served))
        return await self._callers[policy].check(message)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._stack.aclose(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


@pytest.fixture(scope="module")
def services() -> Iterator[_Services]:
    running = _Services()
    try:
        yield running
    finally:
        running.close()


def _check(request: HttpRequest, *, joined: bool = False) -> CheckRequest:
    """What Envoy asks about *request*: octets of each line, or without repeats also a map."""
    message = CheckRequest()
    http = message.attributes.request.http
    http.method = request.method
    names = [name for name, _value in request.headers]
    if joined and len(set(names)) == len(names) and all(v.isascii() for _, v in request.headers):
        http.headers.update(dict(request.headers))
        return message
    for name, value in request.headers:
        http.header_map.headers.add(key=name, raw_value=value.encode("latin-1"))
    return message


def _answer(response: CheckResponse) -> Answer:
    """What the service did."""
    told = MessageToDict(response.dynamic_metadata)
    denied = response.denied_response if response.status.code else None
    return {
        "decision": told["decision"],
        "reason": reason(response) or None,
        "mode": told.get("mode", "enforce"),
        "resource": told.get("resource"),
        "route": told.get("route"),
        "set": overwritten(response),
        "remove": removed(response),
        "status": denied and denied.status.code,
        "headers": denied and {o.header.key: o.header.value for o in denied.headers},
        "body": denied and denied.body,
    }


def _told(text: str) -> Answer:
    """What `explain --json` says that the service does."""
    told = json.loads(text)
    client, upstream, route = told["client"], told["upstream"], told["route"]
    assert (client is None) != (upstream is None)
    return {
        "decision": told["decision"],
        "reason": told["reason"],
        "mode": told["mode"],
        "resource": route and route["resource"],
        "route": route and route["path"],
        "set": upstream["set"] if upstream else {},
        "remove": set(upstream["remove"]) if upstream else set(),
        "status": client and client["status"],
        "headers": client and client["headers"],
        "body": client and client["body"],
    }


def _explained(request: HttpRequest, policy: Policy) -> str:
    issuer = issuer_whose_keys_are_needed(request, policy=policy, now=NOW)
    keys = None
    if issuer is not None:
        keys = KeysUsed(issuer.name, KeyOrigin.FILE, "jwks", published().get(issuer.name))
    explanation = explain(request, policy=policy, now=NOW, keys=keys)
    _assert_the_steps_fit(explanation.reason, json.loads(to_json(explanation))["steps"])
    written = to_json(explanation)
    for width in (40, 80):
        lines = [line.text for line in render(explanation, width=width)]
        assert all(line.isprintable() for line in lines)
        written += "\n".join(lines)
    for credentials in request.header_values("authorization"):
        token = credentials.removeprefix("Bearer ")
        for secret in (token, token.rpartition(".")[2]):
            assert len(secret) < 20 or secret not in written
    return to_json(explanation)


def _assert_the_steps_fit(refused: str | None, steps: list[dict[str, Any]]) -> None:
    """One step decided if the request was refused; before it all passed, or were not needed."""
    decisive = [number for number, step in enumerate(steps) if step["decided"]]
    assert len(decisive) == (refused is not None)
    before = steps[: decisive[0]] if decisive else steps
    assert all(step["passed"] is not False for step in before)
    assert sorted({step["number"] for step in steps}) == list(range(1, 15))
    if decisive:
        later = [step for step in steps if step["number"] > steps[decisive[0]]["number"]]
        assert all(step["passed"] is None for step in later)


def _signed(header: Mapping[str, object], claims: Mapping[str, object], *, ours: bool) -> str:
    """A valid token, but for *header* and *claims*; None takes a claim out. It is always ES384."""
    keys = signing_keys() if ours else foreign_keys()
    members = {**CLAIMS, **claims}
    parts = (
        {"alg": "ES384", "typ": "at+jwt", "kid": signing_keys().kid, **header},
        {name: value for name, value in members.items() if value is not None},
    )
    signing_input = ".".join(base64url.encode(json.dumps(part).encode()) for part in parts)
    signature = JWA.signing_alg("ES384").sign(keys._keys[0], signing_input.encode())
    return f"{signing_input}.{base64url.encode(signature)}"


def _damaged(token: str, position: int, character: str) -> str:
    position %= len(token)
    return token[:position] + character + token[position + 1 :]


def _long(text: str) -> str:
    """Too long for every bound where it is an `n`, and as it is otherwise."""
    return text.replace("n", "n" * 17_000) if text in {"n", "/n"} else text


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
CHANGES: Final[tuple[tuple[str, object], ...]] = (
    *(("scope", scope) for scope in ("", "write:products", "read:products write:products b")),
    *(("aud", aud) for aud in ([AUDIENCE, "x"], "x", "urn:logto:organization:o1")),
    *(("iss", iss) for iss in (SILENT_ISSUER, "https://nobody.example", None, 1)),
    *(("exp", NOW + seconds) for seconds in (-11, -10, -9, 0, 60, 90000)),
    *((name, NOW + seconds) for seconds in (-5, 10, 11) for name in ("iat", "nbf")),
    *(("organization_id", organization) for organization in ("o1", ["o1", "o2"], 1, "x\r\ny")),
    *(("address", {"country": country}) for country in ("de", None)),
    *(("name", name) for name in ("Zoë", "a\nb", "", "n" * 5000)),
    *((name, None) for name in ("exp", "sub", "client_id", "jti", "aud")),
)
OF_THE_ORGANIZATION: Final[Mapping[str, object]] = {
    "aud": "urn:logto:organization:o1", "organization_id": "o1", "address": {"country": "de"},
}  # fmt: skip
changes = st.lists(st.integers(0, len(CHANGES) - 1), max_size=2).map(
    lambda numbers: dict(CHANGES[number] for number in numbers)
)
sensible_claims = changes | changes | changes.map(lambda claims: {**OF_THE_ORGANIZATION, **claims})
any_claims = st.dictionaries(
    st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "sub", "client_id", "scope", "jti"]),
    json_values,
    max_size=3,
)
headers_of_tokens = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "jwk"]),
    st.sampled_from(["ES384", "ES256", "RS256", "none", "HS256", "at+jwt", "JWT", "key-9", "", 1]),
    max_size=2,
)
good_tokens = st.builds(_signed, st.just({}), sensible_claims, ours=st.just(True))  # noqa: FBT003
tokens = st.one_of(
    good_tokens,
    good_tokens,
    st.builds(_signed, st.just({}), any_claims, ours=st.just(True)),  # noqa: FBT003
    st.builds(_signed, headers_of_tokens, sensible_claims, ours=st.booleans()),
    st.builds(_damaged, good_tokens, st.integers(0, 10**4), st.sampled_from("AB.-_=~ \x00é")),
    st.sampled_from(["", "x", "a.b.c", "e30.e30.", "e30.e30.e30", "n", "a.b.c.d.e"]).map(_long),
    st.binary(max_size=20).map(lambda octets: octets.decode("latin-1")),
)
methods = st.sampled_from(["GET"] * 5 + ["HEAD", "POST", "POST", "PUT", "OPTIONS", "get", "*"])
hosts = st.sampled_from([HOST] * 5 + ["SHOP.example.com:443", "a.b.example.net", "else.where"])
odd_hosts = st.sampled_from(["", "a,b", "u@h", "[::1]", "[::1", "n", "shop.example.com."]).map(
    _long
)
paths = st.sampled_from(
    [
        "/products",
        "/products",
        "/products/",
        "/products?a=b",
        "/healthz",
        "/optional/a",
        "/vip",
        "/audited/x",
        "/audited",
        "/organizations/o1",
        "/organizations/o1",
        "/organizations/o2",
        "/me",
        "/organizations/a%20b",
        "/me/a%2Fb;c=d",
        "/nowhere",
    ]
)
odd_paths = st.sampled_from([
    "/", "//", "/products/../me", "/%", "/é", "/organizations/\x1b[31m", "/me/%00", "/optional/%2e",
])  # fmt: skip
odd_targets = odd_paths | words | st.sampled_from(["", "*", "http://x/", "/n"]).map(_long)
header_lines = st.lists(
    st.sampled_from([
        "origin: https://shop.example", "access-control-request-method: POST", "X-Auth-Subject: me",
        "x_auth_scope: all", "x-auth-role: \x1b[31m", "x.auth.b: 1", "X-User: root",
        "x-internal-a: Zoë", "x-claims: e30", "authorization: Basic dTpw", "authorization:",
        "authorization: Bearer", "authorization: Bearer a,Bearer b", "authorization: bearer  a b",
    ]),
    max_size=4,
)  # fmt: skip
quick = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(quick, max_examples=150)
@given(
    policy=st.sampled_from([*POLICIES, "shop"]),
    method=methods,
    host=hosts,
    target=paths,
    lines=st.just([]) | header_lines,
    token=tokens | st.none(),
    joined=st.booleans(),
)
def test_explain_finds_what_the_service_answers(
    *,
    services: _Services,
    policy: str,
    method: str,
    host: str,
    target: str,
    lines: list[str],
    token: str | None,
    joined: bool,
) -> None:
    request = request_for(method, host, target, [parse_header(line) for line in lines], token)
    answer = _answer(services.ask(policy, _check(request, joined=joined)))
    event(f"{answer['mode']} {answer['reason']}")
    assert _told(_explained(request, _policy(policy))) == answer


@settings(quick, max_examples=80)
@given(
    policy=st.sampled_from([*POLICIES, "shop"]),
    method=methods | words,
    host=hosts | odd_hosts,
    target=paths | odd_targets,
    token=st.none() | good_tokens,
)
def test_explain_finds_what_the_service_answers_to_odd_requests(
    *, services: _Services, policy: str, method: str, host: str, target: str, token: str | None
) -> None:
    request = request_for(method, host, target, [], token)
    answer = _answer(services.ask(policy, _check(request)))
    event(f"{answer['mode']} {answer['reason']}")
    assert _told(_explained(request, _policy(policy))) == answer


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.reason.value)
def test_explain_finds_every_reason_as_the_service_does(services: _Services, refusal: Any) -> None:  # noqa: ANN401
    http = refusal.request().attributes.request.http
    headers = [line for line in http.headers.items() if not line[0].startswith(":")]
    request = request_for(http.method, http.host, http.path, headers)
    told = _told(_explained(request, shop_policy()))
    assert told == _answer(services.ask("shop", refusal.request()))
    assert told["reason"] == refusal.reason.value


def test_every_reason_that_a_request_brings_about_is_compared() -> None:
    assert {refusal.reason for refusal in REFUSALS} == set(DenyReason) - NOT_OF_THE_REQUEST


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policies as files, with the issuer's keys beside them."""
    folder = tmp_path_factory.mktemp("explain")
    (folder / "jwks.json").write_text(json.dumps(signing_keys().jwk_set()))
    for name, text in POLICIES.items():
        (folder / f"{name}.yaml").write_text(text.replace("KEYS", "jwks_file: jwks.json"))
    return folder


@settings(quick, max_examples=40)
@given(
    policy=st.sampled_from([*POLICIES]),
    method=methods,
    host=hosts | odd_hosts,
    target=paths | odd_paths,
    lines=st.just([]) | header_lines.filter(lambda lines: "authorization" not in str(lines)),
    token=st.none() | tokens.filter(lambda token: bool(token.strip(" \t\r\n"))),
)
@example(policy="plain", method="GET", host=HOST, target="/products", lines=[], token="e30.e30.e30")
def test_the_command_says_what_the_service_answers(
    *,
    services: _Services,
    files: Path,
    policy: str,
    method: str,
    host: str,
    target: str,
    lines: list[str],
    token: str | None,
) -> None:
    """The status of the process too: 0 where the request passes."""
    arguments = ["--policy", str(files / f"{policy}.yaml"), "--at", "2030-03-17T17:46:40Z"]
    arguments += [f"--header={line}" for line in lines] + [f"--host={host}", "--json"]
    if token is not None:
        token = token.strip(" \t\r\n")
        (files / "token").write_bytes(token.encode("latin-1"))
        arguments += ["--token-file", str(files / "token")]
    result = CliRunner().invoke(main, ["explain", *arguments, "--", method, target])
    request = request_for(method, host, target, [parse_header(line) for line in lines], token)
    response = services.ask(policy, _check(request))
    assert _told(result.stdout) == _answer(response), result.stderr
    assert result.exit_code == (1 if response.status.code else 0)
