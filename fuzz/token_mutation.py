"""Tokens changed in their parts, and signed again so that the change gets beyond the signature."""

from __future__ import annotations

import base64
import json
import string
from typing import TYPE_CHECKING, Final

from authz_service.core import base64url
from fuzz.json_mutation import JsonMutator
from fuzz.world import signing_keys, tokens
from tests.support.tokens import NOW, sign

if TYPE_CHECKING:
    from random import Random

    from fuzz.target import MutateOctets

_PARTS: Final = 3
_HEADER: Final = JsonMutator(
    ("alg", "kid", "typ", "crit", "b64", "enc", "jwk", "jku", "x5u", "x5c", "cty", "zip"),
    ("none", "None", "HS256", "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
     "at+jwt", "AT+JWT", "application/at+jwt", "JWT", "ed", "rsa", "p256", "p384", ""),
)  # fmt: skip
_PAYLOAD: Final = JsonMutator(
    ("iss", "aud", "sub", "client_id", "exp", "nbf", "iat", "jti", "scope", "scp", "roles", "azp",
     "appid", "cid", "typ", "token_use", "nonce", "at_hash", "organization_id", "team", "email",
     "age", "kubernetes.io", "permissions", "cnf", "act"),
    ("https://auth.example.com/oidc", "https://plain.example", "https://entra.example",
     "https://okta.example", "https://cognito.example", "https://keyless.example",
     "https://kubernetes.example", "https://shopping.api", "https://files.api", "client-1",
     "urn:logto:organization:acme", "urn:logto:organization:{org_id}", "Bearer", "access", "ID",
     "read:products write:products admin", "read:files write:files", "lead", "acme", "{org_id}"),
    tuple(str(NOW + seconds) for seconds in (-11, -10, -9, -1, 0, 1, 10, 11, 86410, 86411)),
)  # fmt: skip
_FAST: Final = "Ed25519"
_ALPHABET: Final = f"{string.ascii_uppercase}{string.ascii_lowercase}{string.digits}-_"
MOST_PAYLOAD: Final = 12 * 1024


def mutate_token(token: str, mutate: MutateOctets, random: Random) -> str:
    """Change *token*, or another where it has not the parts of one."""
    parts = token.split(".")
    if len(parts) != _PARTS or random.random() < 0.05:
        parts = random.choice(tokens()).split(".")
    header, payload, signature = map(_decoded, parts)
    if not (_is_json(header) and _is_json(payload)) and random.random() < 0.8:
        parts = random.choice(tokens()).split(".")
        header, payload, signature = map(_decoded, parts)
    match random.randrange(12):
        case 0:
            return mutate(token.encode("utf-8", "replace")).decode("latin-1")
        case 1:
            return ".".join((*parts[:2], _spelling(_changed(signature, mutate, random), random)))
        case 2:  # what was signed is changed, and not signed again
            which = random.randrange(2)
            parts[which] = _spelling(mutate((header, payload)[which]), random)
            return ".".join(parts)
        case 3:
            parts[random.randrange(_PARTS)] = random.choice(random.choice(tokens()).split("."))
            return ".".join(parts)
        case 9:  # the same octets
            parts[2] = _spelling(signature, random)
            return ".".join(parts)
        case 4 | 5:
            header = _HEADER.mutate(header, mutate, random)
        case _:
            payload = _PAYLOAD.mutate(payload, mutate, random)[:MOST_PAYLOAD]
    return _signed(header, payload, random)


def _decoded(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "==")
    except ValueError:
        return part.encode("utf-8", "replace")


def _is_json(octets: bytes) -> bool:
    try:
        json.loads(octets)
    except (ValueError, RecursionError):
        return False
    return True


def _spelling(octets: bytes, random: Random) -> str:
    """The base64url of *octets*, or by chance one of the spellings that a lax reader takes."""
    text = base64url.encode(octets)
    match random.randrange(8):
        case 0:
            return text + "=" * (-len(text) % 4)
        case 1 if len(text) % 4:  # bits of the last character that say nothing
            spare = random.randrange(1, 16 if len(text) % 4 == 2 else 4)
            return text[:-1] + _ALPHABET[_ALPHABET.index(text[-1]) ^ spare]
        case 2:
            return text.replace("-", "+").replace("_", "/")
        case 3:
            return text[: len(text) // 2] + random.choice("\n =.~") + text[len(text) // 2 :]
        case _:
            return text


def _changed(signature: bytes, mutate: MutateOctets, random: Random) -> bytes:
    middle = len(signature) // 2
    match random.randrange(6):
        case 0:
            return b"\0" * len(signature)
        case 1:
            return signature + b"\0"
        case 2:
            return b"\0" + signature
        case 3:
            return signature[:-1]
        case 4:  # longer halves, which some libraries take for an ECDSA signature
            return b"\0" + signature[:middle] + b"\0" + signature[middle:]
        case _:
            return mutate(signature)


def _signed(header: bytes, payload: bytes, random: Random) -> str:
    """Sign with the key that *header* names, mostly: else the signature is another's."""
    try:
        alg = json.loads(header)["alg"]
        key = signing_keys()[alg]
    except (ValueError, KeyError, TypeError, RecursionError):
        key = signing_keys()[_FAST]
    if random.random() < 0.02:
        key = random.choice(list(signing_keys().values()))
    if random.random() < 0.02:  # the attack of a public key taken for a secret (RFC 8725, 2.1)
        return ".".join(sign(header, payload, key=key).split(".")[:2]) + "."
    return sign(header, payload, key=key)
