"""The requests that are sent: each kind with its tokens, and what it earns when all is well."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.faults.outcomes import (
    ALLOWED,
    BAD_SIGNATURE,
    EXPIRED,
    INSUFFICIENT_SCOPE,
    MALFORMED_TOKEN,
    MISSING_TOKEN,
    NO_ROUTE,
    NOT_YET_VALID,
    UNKNOWN_ISSUER,
    UNKNOWN_KEY,
    WRONG_AUDIENCE,
    Outcome,
)
from tests.support.keys import KID, SigningKey, signing_key
from tests.support.tokens import MISSING, json_object, sign

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

AUDIENCE: Final = "https://shopping.api"
LIFETIME: Final = 3600
"""Seconds that a token is valid from now, and that one has been."""

_ALG: Final = "ES256"
_CLIENT: Final = "app-1"
_SCOPE: Final = "read:products"
_KEPT: Final = 200


@dataclass
class Signer:
    """Signs tokens as an issuer does; *identifier* is its `iss`, or what it says that it is."""

    identifier: str
    key: SigningKey

    def mint(self, subject: str, claims: Mapping[str, object]) -> str:
        """Sign an access token for *subject* in which *claims* replace members."""
        now = int(time.time())
        members = {
            "iss": self.identifier, "aud": AUDIENCE, "sub": subject, "client_id": _CLIENT,
            "jti": f"{subject}-{now}", "iat": now - 1, "exp": now + LIFETIME, "scope": _SCOPE,
        }  # fmt: skip
        header = {"alg": self.key.alg, "kid": self.key.kid, "typ": "at+jwt"}
        return sign(json_object(header), json_object({**members, **claims}), key=self.key)


def issuer_key(owner: str, *, kid: str = KID) -> SigningKey:
    """The key of *owner*; all owners' keys have the same key id unless told otherwise."""
    return signing_key(_ALG, owner=owner, kid=kid)


@dataclass
class Kind:
    """Requests that all earn the same.

    *token* makes the one for a subject, None where none is sent. *keys_of* names the issuer without
    whose keys the service cannot judge it.
    """

    name: str
    earns: Outcome
    token: Callable[[str], str] | None = None
    path: str = "/products"
    keys_of: str | None = None
    issuer: str = ""
    _tokens: OrderedDict[int, str] = field(default_factory=OrderedDict)

    def request(self, number: int) -> Request:
        """Make the request *number*: the same number has the same subject and token."""
        if self.token is None:
            return Request(self, self.path, None, {})
        subject = f"{self.name}-{number}"
        if number not in self._tokens:
            self._tokens[number] = self.token(subject)
            if len(self._tokens) > _KEPT:
                self._tokens.popitem(last=False)
        identity = {
            "x-auth-subject": subject, "x-auth-client-id": _CLIENT,
            "x-auth-scope": _SCOPE, "x-auth-issuer": self.issuer,
        }  # fmt: skip
        return Request(self, self.path, self._tokens[number], identity)


@dataclass(frozen=True, slots=True)
class Request:
    """One request; *identity* is how the upstream must see it if it is allowed."""

    kind: Kind
    path: str
    token: str | None = field(repr=False)
    identity: Mapping[str, str]


def signed(
    name: str, earns: Outcome, signer: Signer, *, keys_of: str | None, **claims: object
) -> Kind:
    """Make a kind whose tokens *signer* signs, with *claims* in place of its own."""
    return Kind(
        name,
        earns,
        lambda subject: signer.mint(subject, {**claims}),
        keys_of=keys_of,
        issuer=signer.identifier,
    )


def mix(logto: str, partner: str) -> dict[str, Kind]:
    """Make every kind of the steady load, by name; *logto* and *partner* are issuers."""
    now = time.time()
    ours, theirs = Signer(logto, issuer_key("logto")), Signer(partner, issuer_key("partner"))
    forged = Signer(logto, issuer_key("attacker"))
    rotated = Signer(logto, issuer_key("attacker", kid="nobody-has-it"))
    stranger = Signer("https://stranger.example.com", issuer_key("attacker"))
    later = {"nbf": int(now) + LIFETIME, "exp": int(now) + 10 * LIFETIME}
    past = {"iat": int(now) - 2 * LIFETIME, "exp": int(now) - LIFETIME}
    kinds = (
        signed("valid", ALLOWED, ours, keys_of="logto"),
        signed("valid of the partner", ALLOWED, theirs, keys_of="partner"),
        signed("expired", EXPIRED, ours, keys_of="logto", **past),
        signed("for later", NOT_YET_VALID, ours, keys_of="logto", **later),
        signed("wrong audience", WRONG_AUDIENCE, ours, keys_of="logto", aud="https://other.api"),
        signed("wrong scope", INSUFFICIENT_SCOPE, ours, keys_of="logto", scope="read:nothing"),
        signed("no scope", INSUFFICIENT_SCOPE, theirs, keys_of="partner", scope=MISSING),
        signed("forged", BAD_SIGNATURE, forged, keys_of="logto"),
        signed("forged by the partner", BAD_SIGNATURE, Signer(logto, theirs.key), keys_of="logto"),
        signed("unknown key", UNKNOWN_KEY, rotated, keys_of="logto"),
        signed("unknown issuer", UNKNOWN_ISSUER, stranger, keys_of=None),
        Kind("junk", MALFORMED_TOKEN, lambda subject: f"{subject.replace(' ', '')}.x.y"),
        Kind("no token", MISSING_TOKEN),
        Kind("public", ALLOWED, path="/healthz"),
        Kind("no route", NO_ROUTE, lambda subject: ours.mint(subject, {}), path="/admin"),
    )
    return {kind.name: kind for kind in kinds}
