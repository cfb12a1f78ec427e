"""JWS in its compact form (RFC 7515): parsed strictly, verified, and only then believed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from authz_service.core import base64url, strict_json
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.limits import MAX_TOKEN_BYTES

if TYPE_CHECKING:
    from authz_service.core.bearer import BearerToken
    from authz_service.core.jwks import VerificationKey
    from authz_service.core.strict_json import JsonObject

# The signature may be empty in the grammar (RFC 7515, section 3.1), so that an unsecured JWS is
# told by its algorithm. No algorithm that we accept has an empty signature.
_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)", re.ASCII)

# crit: an extension that must be understood, and we understand none. b64: RFC 7797's unencoded
# payload. enc: this would be a JWE.
_REFUSED_PARAMETERS: Final = frozenset({"crit", "b64", "enc"})


@dataclass(frozen=True, slots=True)
class ProtectedHeader:
    """What we read of a JOSE header. `jku`, `jwk`, `x5u` and `x5c` are ignored, never followed.

    Keys come from the issuer's key set alone; a token that brings its own key proves nothing.
    """

    alg: str
    kid: str | None
    typ: str | None


@dataclass(frozen=True, slots=True)
class CompactJws:
    """A well-formed JWS that anybody could have written: nothing in it is to be believed yet."""

    header: ProtectedHeader
    unverified_payload: JsonObject = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @classmethod
    def parse(cls, token: BearerToken, max_bytes: int = MAX_TOKEN_BYTES) -> CompactJws:
        """Take *token* apart.

        Raises AccessDenied: token_too_large above *max_bytes*, else malformed_token.
        """
        if len(token.value) > max_bytes:
            raise AccessDenied(DenyReason.TOKEN_TOO_LARGE)
        parts = _COMPACT.fullmatch(token.value)
        if parts is None:
            raise AccessDenied(DenyReason.MALFORMED_TOKEN)
        try:
            header = strict_json.parse_object(base64url.decode(parts[1]))
            payload = strict_json.parse_object(base64url.decode(parts[2]))
            signature = base64url.decode(parts[3])
        except ValueError:
            raise AccessDenied(DenyReason.MALFORMED_TOKEN) from None
        signing_input = token.value[: parts.end(2)].encode("ascii")
        return cls(_parse_header(header), payload, signing_input, signature)


def _parse_header(members: JsonObject) -> ProtectedHeader:
    alg, kid, typ = members.get("alg"), members.get("kid"), members.get("typ")
    if (
        not isinstance(alg, str)
        or not isinstance(kid, str | None)
        or not isinstance(typ, str | None)
        or ("kid" in members and kid is None)
        or ("typ" in members and typ is None)
        or not _REFUSED_PARAMETERS.isdisjoint(members)
    ):
        raise AccessDenied(DenyReason.MALFORMED_TOKEN)
    return ProtectedHeader(alg, kid, typ)


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
