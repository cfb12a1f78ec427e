"""JWS in its compact form (RFC 7515): parsed strictly, verified, and only then believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from types import NoneType
from typing import TYPE_CHECKING, Final, NamedTuple

from authz_service.core import base64url, strict_json
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.limits import MAX_TOKEN_BYTES

if TYPE_CHECKING:
    from authz_service.core.bearer import BearerToken
    from authz_service.core.jwks import VerificationKey
    from authz_service.core.strict_json import JsonObject

_MAX_REMEMBERED_CHARS: Final = 512  # of a header, so that what is remembered stays small

# crit: an extension that must be understood, and we understand none. b64: RFC 7797's unencoded
# payload. enc: this would be a JWE.
_REFUSED_PARAMETERS: Final = frozenset({"crit", "b64", "enc"})

_STRING_OR_NONE: Final = (str, NoneType)  # the union of them costs more than all else in a header


class ProtectedHeader(NamedTuple):
    """What we read of a JOSE header. `jku`, `jwk`, `x5u` and `x5c` are ignored, never followed.

    Keys come from the issuer's key set alone; a token that brings its own key proves nothing.
    """

    alg: str
    kid: str | None
    typ: str | None


class CompactJws(NamedTuple):
    """A well-formed JWS that anybody could have written: nothing in it is to be believed yet."""

    header: ProtectedHeader
    unverified_payload: JsonObject
    signing_input: bytes
    signature: bytes

    def __repr__(self) -> str:
        """Show the header alone."""
        return f"CompactJws(header={self.header!r})"

    @classmethod
    def parse(cls, token: BearerToken, max_bytes: int = MAX_TOKEN_BYTES) -> CompactJws:
        """Take *token* apart.

        The signature may be empty in the grammar (RFC 7515, section 3.1), so that an unsecured JWS
        is told by its algorithm. No algorithm that we accept has an empty signature.

        Raises AccessDenied: token_too_large above *max_bytes*, else malformed_token.
        """
        text = token.value
        if len(text) > max_bytes:
            raise AccessDenied(DenyReason.TOKEN_TOO_LARGE)
        try:
            header, payload, signature = text.split(".", 3)
            return cls(
                _parse_header(header),
                strict_json.parse_object(base64url.decode(payload)),
                text[: len(header) + 1 + len(payload)].encode("ascii"),
                base64url.decode(signature),
            )
        except ValueError:
            raise AccessDenied(DenyReason.MALFORMED_TOKEN) from None


def _parse_header(encoded: str) -> ProtectedHeader:
    """Read a header, or have it read already: each key of an issuer has one for all its tokens.

    Whoever sends many others makes each be read again, and no more than that.
    """
    if len(encoded) > _MAX_REMEMBERED_CHARS:
        return _read_header(encoded)
    return _remembered_header(encoded)


def _read_header(encoded: str) -> ProtectedHeader:
    members = strict_json.parse_object(base64url.decode(encoded))
    alg, kid, typ = members.get("alg"), members.get("kid"), members.get("typ")
    if (
        not isinstance(alg, str)
        or not isinstance(kid, _STRING_OR_NONE)
        or not isinstance(typ, _STRING_OR_NONE)
        or ("kid" in members and kid is None)
        or ("typ" in members and typ is None)
        or not _REFUSED_PARAMETERS.isdisjoint(members)
    ):
        raise AccessDenied(DenyReason.MALFORMED_TOKEN)
    return ProtectedHeader(alg, kid, typ)


_remembered_header: Final = lru_cache(maxsize=64)(_read_header)


@dataclass(frozen=True, slots=True)
class VerifiedPayload:
    """A payload that the holder of one of the issuer's keys signed. Only `verify` makes one."""

    members: JsonObject = field(repr=False)


def verify(jws: CompactJws, key: VerificationKey) -> VerifiedPayload:
    """Check *jws*'s signature with *key*, which was selected for its algorithm.

    Raises AccessDenied (bad_signature), also for a signature that is longer or shorter than the
    algorithm and the key make it: libraries differ in what they do with such.
    """
    if len(jws.signature) != key.signature_bytes:
        raise AccessDenied(DenyReason.BAD_SIGNATURE)
    try:
        key.verify(jws.header.alg, jws.signing_input, jws.signature)
    except Exception:  # noqa: BLE001 - whatever the library says, it did not say that it verified
        raise AccessDenied(DenyReason.BAD_SIGNATURE) from None
    return VerifiedPayload(jws.unverified_payload)
