"""`token`: access tokens, at every route of a policy.

An input is a request line and a token, `GET /products`, a line feed and `eyJ…`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authz_service.core.authorize import authorize
from authz_service.core.decision import Deny, DenyReason
from authz_service.core.request import HttpRequest
from authz_service.ext_authz.convert import to_check_response
from authz_service.ext_authz.servicer import DecidedCheck
from fuzz import answers, decision_log
from fuzz.second_opinion import Seen
from fuzz.target import Target
from fuzz.token_mutation import mutate_token
from fuzz.world import HOST, keys, policy, tokens
from tests.support.tokens import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from fuzz.target import MutateOctets

LINES: Final = (
    "GET /products", "POST /products", "GET /products/archive", "DELETE /products/7", "PUT /me/x",
    "GET /organizations/acme/members", "GET /organizations/acme/orders", "GET /team",
    "GET /adults/alice", "GET /maybe", "GET /watched", "GET /healthz", "HEAD /files/a/b%2Fc;v=1",
    "PUT /files",
)  # fmt: skip
_ADMITTED: Final = frozenset({"GET /products", "PUT /me/x"})


def _seeds() -> Iterator[bytes]:
    for token in tokens():
        yield f"GET /products\n{token}".encode()
    for line in LINES:
        yield f"{line}\n{tokens()[0]}".encode()


def _judge(octets: bytes) -> None:
    line, _, token = octets.decode("latin-1").partition("\n")
    method, _, target = line.partition(" ")
    authority = "[::1]" if target.startswith("/files") else HOST
    headers = (("authorization", f"Bearer {token}"), ("x-auth-subject", "root"))
    request = HttpRequest(method, authority, target, headers)
    decision = authorize(request, policy=policy(), keys=keys(), now=NOW)
    assert not (isinstance(decision, Deny) and decision.reason is DenyReason.INTERNAL_ERROR)
    if token == tokens()[0] and line in _ADMITTED:
        assert not isinstance(decision, Deny), decision.reason
    response = to_check_response(decision)
    answers.check(Seen(method, authority, target, headers), response)
    decision_log.check(DecidedCheck(request, decision, 0.0), token)


def _mutate(octets: bytes, mutate: MutateOctets, random: Random) -> bytes:
    line, _, token = octets.partition(b"\n")
    chance = random.random()
    if chance < 0.05:
        line = mutate(line)
    elif chance < 0.15:
        line = random.choice(LINES).encode()
    return line + b"\n" + mutate_token(token.decode("latin-1"), mutate, random).encode("latin-1")


TARGET: Final = Target(_seeds, _judge, _mutate, max_bytes=20 * 1024)
