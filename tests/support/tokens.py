"""Access tokens: a valid one, in which a test changes the one thing that it is about."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from authz_service.core import base64url
from tests.support.keys import signing_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.keys import SigningKey

NOW: Final = 1_750_000_000
ISSUER: Final = "https://auth.example.com/oidc"
AUDIENCE: Final = "https://shopping.api"

VALID_CLAIMS: Final[Mapping[str, object]] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "user-1",
    "client_id": "app-1",
    "jti": "token-1",
    "iat": NOW - 60,
    "exp": NOW + 3600,
    "scope": "read:products",
}

MISSING: Final = object()
"""Leaves a member out."""


@dataclass(frozen=True)
class RawJson:
    """A value that `json.dumps` would not write."""

    text: str


def mint(
    claims: Mapping[str, object] | None = None,
    header: Mapping[str, object] | None = None,
    *,
    key: SigningKey | None = None,
) -> str:
    """Sign a valid access token in which *claims* and *header* replace members."""
    key = key or signing_key()
    valid_header = {"alg": key.alg, "kid": key.kid, "typ": "at+jwt"}
    return sign(
        json_object({**valid_header, **(header or {})}),
        json_object({**VALID_CLAIMS, **(claims or {})}),
        key=key,
    )


def sign(header: bytes, payload: bytes, *, key: SigningKey | None = None) -> str:
    """Sign whatever octets these are."""
    signing_input = f"{base64url.encode(header)}.{base64url.encode(payload)}"
    signature = (key or signing_key()).sign(signing_input.encode())
    return f"{signing_input}.{base64url.encode(signature)}"


def json_object(members: Mapping[str, object]) -> bytes:
    """Write an object, with `RawJson` as it is and without what is `MISSING`."""
    return "{{{}}}".format(
        ",".join(
            f"{json.dumps(name)}:{value.text if isinstance(value, RawJson) else json.dumps(value)}"
            for name, value in members.items()
            if value is not MISSING
        )
    ).encode()
