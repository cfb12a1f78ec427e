"""base64url without padding (RFC 7515, section 2), one spelling for each octet sequence."""

from __future__ import annotations

import base64


def decode(text: str) -> bytes:
    """Decode *text*, refusing every spelling but the one that `encode` gives.

    A decoder that skips junk or ignores the last character's spare bits would let one token be
    written in many ways. Raises ValueError.
    """
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(octets) != text:
        message = "not canonical base64url"
        raise ValueError(message)
    return octets


def encode(octets: bytes) -> str:
    """Encode *octets* without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
