"""A key set as it is kept on disk: what it says of itself, and when it may be used again.

Whatever comes from a disk may be old, cut short, another's or a forgery, so it is believed no more
than an answer from the network, and less: it must be of the same source, and it has an age.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from authz_service.core import strict_json
from authz_service.keys.discovery import jwks_uri_fault

if TYPE_CHECKING:
    from authz_service.core.jwks import KeySet

_VERSION: Final = 1


class UnusableRecordError(Exception):
    """What was stored is not to be used; the message is constant."""


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Whose keys they are, and how the policy says that they are found.

    Keys of another place are another's, though a name or a URL may be the same.
    """

    identifiers: tuple[str, ...]
    jwks_uri: str | None
    allow_http: bool

    @property
    def file_name(self) -> str:
        """A name that no other place has, and that holds nothing of what anybody chose."""
        text = json.dumps([_VERSION, self.identifiers, self.jwks_uri, self.allow_http])
        return f"{hashlib.sha256(text.encode()).hexdigest()}.json"

    def admits(self, jwks_uri: str) -> bool:
        """Whether keys that came from *jwks_uri* are of this place, by the rules of today."""
        if self.jwks_uri is not None:
            return jwks_uri == self.jwks_uri
        return jwks_uri_fault(jwks_uri, self.identifiers[0], allow_http=self.allow_http) is None


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """A JWK Set *document* as it came from *jwks_uri*.

    *fetched_at* is when, in seconds since the epoch: the only clock that outlives a process.
    """

    place: KeyPlace
    jwks_uri: str
    fetched_at: float
    document: bytes = field(repr=False)

    def as_bytes(self) -> bytes:
        """Write it down, as `parse` reads it."""
        record = {
            "version": _VERSION,
            "issuer": list(self.place.identifiers),
            "configured_jwks_uri": self.place.jwks_uri,
            "allow_http": self.place.allow_http,
            "jwks_uri": self.jwks_uri,
            "fetched_at": self.fetched_at,
            "jwk_set": self.document.decode("utf-8"),
        }
        return json.dumps(record, ensure_ascii=False).encode("utf-8")

    @classmethod
    def parse(cls, octets: bytes, place: KeyPlace) -> StoredKeys:
        """Read what was stored for *place*. Raises UnusableRecordError."""
        try:
            record = strict_json.parse_object(octets)
        except strict_json.NotStrictJson:
            raise UnusableRecordError("it is not a JSON object") from None
        match record:
            case {
                "version": 1,
                "issuer": list(identifiers),
                "configured_jwks_uri": str() | None as configured,
                "allow_http": bool(allow_http),
                "jwks_uri": str(jwks_uri),
                "fetched_at": float(fetched_at),
                "jwk_set": str(document),
            }:
                pass
            case _:
                raise UnusableRecordError("it is not a stored key set of this version")
        if (identifiers, configured, allow_http) != (
            list(place.identifiers), place.jwks_uri, place.allow_http,
        ):  # fmt: skip
            raise UnusableRecordError("it is of another issuer, or was found by other rules")
        if not place.admits(jwks_uri):
            raise UnusableRecordError("its keys come from where they may not be fetched")
        return cls(place, jwks_uri, fetched_at, document.encode("utf-8"))

    def age(self, now: float, *, max_stale: float) -> float:
        """Seconds since it was fetched. Raises UnusableRecordError where it is too old.

        So does what comes from the future: the clock was moved, and how old it is nobody knows.
        """
        if self.fetched_at > now:
            raise UnusableRecordError("it was fetched in the future: the clock was moved")
        if now - self.fetched_at >= max_stale:
            raise UnusableRecordError("it is older than max_stale")
        return now - self.fetched_at


@dataclass(frozen=True, slots=True)
class RestoredKeys:
    """Keys that were stored: from *jwks_uri*, fetched *age* seconds ago."""

    key_set: KeySet
    jwks_uri: str
    age: float


class Storage(Protocol):
    """Keeps the last good key sets for the next start."""

    @property
    def problem(self) -> str | None:
        """Why nothing is kept at the moment, for people; None where all is well."""

    async def load(self, place: KeyPlace, *, issuer: str, max_stale: float) -> RestoredKeys | None:
        """What is stored for *place*, None where it cannot be used. Raises nothing."""

    def keep(self, place: KeyPlace, jwks_uri: str, document: bytes) -> None:
        """Store the JWK Set that *jwks_uri* has now, some time soon, unless there is a newer one.

        Raises nothing.
        """

    async def stop(self) -> None:
        """Store nothing more, and wait for nothing."""
