"""The tour: requests through the real Envoy, what was decided of each, and if that is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from authz_service.core.decision import DenyReason
from authz_service.demo import tokens
from authz_service.demo.world import (
    API,
    OTHER_API,
    OTHER_ORGANIZATION,
    OUR_ORGANIZATION,
    SHOP,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.demo.world import ReceivedResponse, World

Headers = tuple[tuple[str, str], ...]

_LONG_HEADERS: Final = ("x-auth-client-id", "x-auth-issuer")  # would only make the table taller

SPOOFED: Final[Headers] = (("x-auth-subject", "mallory"), ("x_auth_subject", "mallory"))


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the tour: a request, what its token had, and how it must end.

    *status* and *reason* are the expected ones; *challenge* must be in `WWW-Authenticate`.
    *subject* is what the upstream must see in `x-auth-subject`, None for nothing at all.
    *asked* is false where authz-service cannot be asked.
    """

    request: str
    token: str
    status: int
    reason: DenyReason | None = None
    headers: Headers = ()
    challenge: str = ""
    subject: str | None = None
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened at *stop*, and *faults*: each thing that should have been otherwise."""

    stop: Stop
    status: int
    decision: str
    reason: str
    challenge: str
    upstream_saw: str
    faults: tuple[str, ...]


async def tour(world: World, show: Callable[[Outcome], None]) -> list[Outcome]:
    """Visit every stop in order and *show* each as it is left. At the end all runs as before."""
    outcomes: list[Outcome] = []

    async def visit_all(*stops: Stop) -> None:
        for stop in stops:
            outcomes.append(await visit(world, stop))
            show(outcomes[-1])

    issuer = world.issuer
    reads = await tokens.granted(issuer, resource=API, scope="read:products")
    await visit_all(*_scopes(reads), *await _other_tokens(world, reads))
    await visit_all(
        *_spoofing(reads), *_without_a_token(reads), *await _organizations(world), *_paths(reads)
    )

    issuer.rotate()
    rotated = await tokens.granted(issuer, resource=API, scope="read:products")
    await visit_all(
        _allowed("GET /products", "read:products, signed with a key rotated in now", rotated)
    )

    await issuer.stop()
    try:
        await visit_all(
            _allowed("GET /products", "read:products, while the issuer is down", rotated)
        )
    finally:
        await issuer.start()

    await world.service.stop()
    try:
        token = "read:products, while authz-service is down"  # noqa: S105 - says what it had
        await visit_all(Stop("GET /products", token, 503, headers=_bearer(reads), asked=False))
    finally:
        await world.service.start()
    return outcomes


def _bearer(token: str) -> Headers:
    return (("authorization", f"Bearer {token}"),)


def _allowed(request: str, token_text: str, token: str, *more: tuple[str, str]) -> Stop:
    return Stop(request, token_text, 200, headers=(*_bearer(token), *more), subject=SHOP.client_id)


def _scopes(reads: str) -> list[Stop]:
    return [
        _allowed("GET /products", "read:products", reads),
        _allowed("GET /me/cart", "any valid token for this API", reads),
        Stop("GET /products", "none", 401, DenyReason.MISSING_TOKEN, challenge="Bearer"),
        Stop(
            "POST /products", "read:products", 403, DenyReason.INSUFFICIENT_SCOPE,
            headers=_bearer(reads), challenge='scope="write:products"',
        ),
    ]  # fmt: skip


async def _other_tokens(world: World, reads: str) -> list[Stop]:
    issuer = world.issuer
    other_api = await tokens.granted(issuer, resource=OTHER_API, scope="read:invoices")
    refused = (
        ("for another API", other_api, DenyReason.WRONG_AUDIENCE),
        ("expired an hour ago", tokens.expired(issuer), DenyReason.EXPIRED),
        ("a scope added to its payload", tokens.tampered(reads), DenyReason.BAD_SIGNATURE),
        ("alg: none", tokens.unsecured(issuer), DenyReason.ALGORITHM_NOT_ALLOWED),
        ("signed with a foreign key", tokens.foreign(issuer), DenyReason.BAD_SIGNATURE),
    )
    return [
        Stop(
            "GET /products", text, 401, reason,
            headers=_bearer(token), challenge='error="invalid_token"',
        )
        for text, token, reason in refused
    ]  # fmt: skip


def _spoofing(reads: str) -> list[Stop]:
    return [
        _allowed("GET /products", "read:products, and x-auth-subject: mallory", reads, *SPOOFED),
        Stop("GET /healthz", "none, and x-auth-subject: mallory", 200, headers=SPOOFED),
    ]


def _without_a_token(reads: str) -> list[Stop]:
    preflight = (("origin", "https://shop.example"), ("access-control-request-method", "POST"))
    return [
        Stop("OPTIONS /products", "none, a CORS preflight", 200, headers=(*preflight, *SPOOFED)),
        Stop("GET /reviews", "none, which is optional here", 200, headers=SPOOFED),
        _allowed("GET /reviews", "read:products, which is optional here", reads, *SPOOFED),
        Stop(
            "GET /stock", "read:products, in audit mode", 200, DenyReason.INSUFFICIENT_SCOPE,
            headers=(*_bearer(reads), *SPOOFED),
        ),
    ]  # fmt: skip


async def _organizations(world: World) -> list[Stop]:
    member = await tokens.granted(world.issuer, organization=OUR_ORGANIZATION, scope="read:members")
    buyer = await tokens.granted(
        world.issuer, resource=API, organization=OUR_ORGANIZATION, scope="read:orders"
    )
    ours, other = f"/organizations/{OUR_ORGANIZATION}", f"/organizations/{OTHER_ORGANIZATION}"
    return [
        _allowed(f"GET {ours}/members", f"read:members in {OUR_ORGANIZATION}", member),
        Stop(
            f"GET {other}/members", f"read:members in {OUR_ORGANIZATION}", 401,
            DenyReason.WRONG_AUDIENCE, headers=_bearer(member), challenge='error="invalid_token"',
        ),
        _allowed(f"GET {ours}/orders", f"read:orders in {OUR_ORGANIZATION}", buyer),
        Stop(
            f"GET {other}/orders", f"read:orders in {OUR_ORGANIZATION}", 403,
            DenyReason.CLAIM_MISMATCH, headers=_bearer(buyer),
        ),
    ]  # fmt: skip


def _paths(reads: str) -> list[Stop]:
    headers = _bearer(reads)
    ambiguous = ("/products/%2e%2e/admin", "//admin", "/products/..%2fadmin")
    return [
        Stop("GET /admin", "read:products", 403, DenyReason.NO_ROUTE, headers=headers),
        Stop("PUT /products", "read:products", 403, DenyReason.METHOD_NOT_ALLOWED, headers=headers),
        *(
            Stop(f"GET {path}", "read:products", 400, DenyReason.AMBIGUOUS_PATH, headers=headers)
            for path in ambiguous
        ),
    ]


async def visit(world: World, stop: Stop) -> Outcome:
    """Send the request of *stop* and hold what came of it against what it expects."""
    method, _, target = stop.request.partition(" ")
    response = await world.send(method, target, stop.headers)
    check = await world.service.next_check() if stop.asked else {}
    return Outcome(
        stop=stop,
        status=response.status,
        decision=str(check.get("decision", "no answer")),
        reason=str(check.get("reason", "")),
        challenge=response.headers.get("www-authenticate", ""),
        upstream_saw=_upstream_saw(world),
        faults=tuple(_faults(world, stop, response, check)),
    )


def _upstream_saw(world: World) -> str:
    received = world.upstream.last
    if received is None:
        return ""
    identity = [
        f"{name}: {value}"
        for name, value in received.headers
        if name.lower().replace("_", "-").startswith("x-auth-") and name not in _LONG_HEADERS
    ]
    return "\n".join(identity) or "no identity"


def _faults(
    world: World, stop: Stop, response: ReceivedResponse, check: dict[str, object]
) -> list[str]:
    """Everything in which the answer and what the upstream saw differ from what *stop* expects."""
    faults = []
    if response.status != stop.status:
        faults.append(f"the status should be {stop.status}")
    if stop.asked:
        decision = "allow" if stop.reason is None else "deny"
        if check.get("decision") != decision or check.get("reason") != stop.reason:
            faults.append(f"it should be {decision}, {stop.reason or 'without a reason'}")
    if stop.challenge not in response.headers.get("www-authenticate", ""):
        faults.append(f"the challenge should have {stop.challenge}")
    received = world.upstream.last
    if stop.status != 200:  # noqa: PLR2004 - the one status that the sample API gives
        if received is not None:
            faults.append("it should not reach the upstream")
    elif received is None:
        faults.append("it should reach the upstream")
    else:
        subjects = received.values("x-auth-subject") + received.values("x_auth_subject")
        if subjects != ([] if stop.subject is None else [stop.subject]):
            faults.append(f"the upstream should see the subject {stop.subject}")
    return faults
