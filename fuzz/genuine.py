"""Whether a token is genuine, found a second time by code that shares nothing with the service.

It knows the policy of `fuzz.world` by heart. A token that the service takes and this does not is a
hole in one of the two.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from fuzz.world import signing_keys
from tests.support.tokens import NOW

if TYPE_CHECKING:
    from collections.abc import Mapping

Claims = dict[str, Any]

_LOGTO: Final = "https://auth.example.com/oidc"
_TYPES: Final[Mapping[str, frozenset[str | None]]] = {
    _LOGTO: frozenset({"at+jwt"}),
    "https://plain.example": frozenset({"at+jwt"}),
    "https://keycloak.example": frozenset({"jwt", "at+jwt"}),
    "https://entra.example": frozenset({"jwt"}),
    "https://okta.example": frozenset({None, "at+jwt"}),
    "https://cognito.example": frozenset({None}),
    "https://kubernetes.example": frozenset({None}),
}
_LEEWAY: Final[Mapping[str, int]] = {"https://plain.example": 0}
_SHA: Final = {"256": hashes.SHA256(), "384": hashes.SHA384()}


def genuine(token: str) -> Claims | None:
    """Give the claims of *token* if an issuer signed it, and its type and times are right."""
    try:
        head, body, end = token.split(".")
        header, claims, signature = _object(_octets(head)), _object(_octets(body)), _octets(end)
        _verify(header, claims["iss"], f"{head}.{body}".encode(), signature)
    except (ValueError, KeyError, TypeError, RecursionError, InvalidSignature):
        return None
    return claims if _is_typed(header, claims) and _is_current(claims) else None


def scopes(claims: Claims) -> frozenset[str]:
    """Find the scopes where the issuer puts them."""
    claim = {
        "https://entra.example": "scp" if "scp" in claims else "roles",
        "https://okta.example": "scp",
        "https://kubernetes.example": "",
    }.get(claims["iss"], "scope")
    value = claims.get(claim, [])
    return frozenset(value.split(" ") if isinstance(value, str) else value)


def audiences(claims: Claims) -> frozenset[str]:
    """Find whom the token is for."""
    if "aud" not in claims and claims["iss"] == "https://cognito.example":
        return frozenset({claims["client_id"]})
    value = claims["aud"]
    return frozenset([value] if isinstance(value, str) else value)


def _octets(text: str) -> bytes:
    octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if base64.urlsafe_b64encode(octets).decode().rstrip("=") != text:
        raise ValueError("another spelling")
    return octets


def _object(octets: bytes) -> Claims:
    def members(pairs: list[tuple[str, object]]) -> Claims:
        if len({name for name, _value in pairs}) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    value = json.loads(octets.decode("utf-8"), object_pairs_hook=members)
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def _verify(header: Claims, iss: str, signed: bytes, signature: bytes) -> None:
    alg, kid = header["alg"], header.get("kid")
    if iss not in _TYPES or (iss != _LOGTO and alg != "Ed25519"):
        raise ValueError("another algorithm")
    signing_key = signing_keys()[alg]
    if kid is not None and kid != signing_key.kid:
        raise ValueError("another key")
    key = signing_key.jwk.get_op_key("verify")
    if isinstance(key, rsa.RSAPublicKey):
        sha = hashes.SHA256()
        pss = padding.PSS(padding.MGF1(sha), sha.digest_size)
        key.verify(signature, signed, pss if alg == "PS256" else padding.PKCS1v15(), sha)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        middle = (key.key_size + 7) // 8
        if len(signature) != 2 * middle:
            raise ValueError("another length")
        r, s = (int.from_bytes(half, "big") for half in (signature[:middle], signature[middle:]))
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(_SHA[alg[2:]]))
    else:
        key.verify(signature, signed)


def _is_typed(header: Claims, claims: Claims) -> bool:
    typ = header.get("typ")
    typ = typ.lower().removeprefix("application/") if isinstance(typ, str) else typ
    if not {"crit", "b64", "enc"}.isdisjoint(header) or typ not in _TYPES[claims["iss"]]:
        return False
    if claims["iss"] == "https://keycloak.example" and claims.get("typ") != "Bearer":
        return False
    if claims["iss"] == "https://cognito.example" and claims.get("token_use") != "access":
        return False
    entra_or_okta = claims["iss"] in {"https://entra.example", "https://okta.example"}
    return not (entra_or_okta and {"nonce", "at_hash", "c_hash"} & claims.keys())


def _is_current(claims: Claims) -> bool:
    leeway = _LEEWAY.get(claims["iss"], 10)
    times = [claims.get(name) for name in ("exp", "nbf", "iat")]
    if any(type(time) not in {int, float, type(None)} for time in times):
        return False
    expires, *starts = times
    return (
        expires is not None
        and expires > NOW - leeway
        and all(start is None or start <= NOW + leeway for start in starts)
        and (claims["iss"] != _LOGTO or expires <= NOW + 86400 + leeway)
    )
