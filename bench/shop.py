"""The service and the no-op side by side, and Checks for them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from bench.check_requests import check
from bench.loads import ALLOW, Checks, one_answer
from bench.minting import KeyServer
from bench.policies import path, policy
from bench.processes import noop, service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.minting import Issuer
    from bench.processes import Server, Service
    from bench.scale import Scale


class Kind(Enum):
    """What is asked for, and with what."""

    ALLOWED = "a valid token"
    PUBLIC = "public route"
    NO_TOKEN = "no token"  # noqa: S105 - what there is not
    NO_SCOPE = "without the scope"
    JUNK = "junk for a token"
    UNKNOWN_KEY = "unknown kid"

    def checks(self, issuer: Issuer, number: int) -> Checks:
        """*number* different Checks of this kind, whose tokens, if any, are *issuer*'s and new."""
        return Checks.all_of(_ANSWERS[self], [self._check(issuer, n) for n in range(number)])

    def _check(self, issuer: Issuer, number: int) -> bytes:
        match self:
            case Kind.ALLOWED:
                return check("GET", path(number), issuer.token())
            case Kind.PUBLIC:
                return check("GET", "/healthz")
            case Kind.NO_TOKEN:
                return check("GET", path(number))
            case Kind.NO_SCOPE:
                return check("POST", path(number), issuer.token())
            case Kind.JUNK:
                return check("GET", path(number), f"junk-{number}")
            case Kind.UNKNOWN_KEY:
                return check("GET", path(number), issuer.token(kid=f"unknown-{number}"))


_ANSWERS: Final = {
    Kind.ALLOWED: ALLOW,
    Kind.PUBLIC: ALLOW,
    Kind.NO_TOKEN: "missing_token",
    Kind.NO_SCOPE: "insufficient_scope",
    Kind.JUNK: "malformed_token",
    Kind.UNKNOWN_KEY: "unknown_key",
}


@dataclass(frozen=True, slots=True)
class Shop:
    """A service with ten routes, a no-op that gives its answers, and the issuers that it trusts."""

    service: Service
    noop: Server
    issuers: Sequence[Issuer]


@contextlib.contextmanager
def shop(scale: Scale, *algorithms: str) -> Iterator[Shop]:
    """Run both, with an issuer for each of *algorithms*."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(KeyServer())
        issuers = [server.issuer(f"issuer-{n}", alg) for n, alg in enumerate(algorithms)]
        ours = stack.enter_context(service(policy(issuers), scale.directory))
        answer = one_answer(ours, Kind.ALLOWED.checks(issuers[0], 1).octets[0])
        yield Shop(ours, stack.enter_context(noop(answer, scale.directory)), issuers)
