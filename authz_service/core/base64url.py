"""base64url without padding (RFC 7515, section 2), one spelling for each octet sequence."""

from __future__ import annotations

import base64
from binascii import a2b_base64
from typing import Final

# To the alphabet of base64, and whatever only that one has to what neither has.
_TO_BASE64: Final = bytes.maketrans(b"-_+/=", b"+/!!!")

# By the characters over after the last four (RFC 4648, section 3.5): which character is then the
# last, with none of its spare bits set, and the padding that was left out. One is never over.
_LAST: Final = ("", "", "AQgw", "AEIMQUYcgkosw048")
_PADDING: Final = (b"", b"", b"==", b"=")


def decode(text: str) -> bytes:
    """Decode *text*, refusing every spelling but the one that `encode` gives.

    A decoder that skips junk or ignores the last character's spare bits would let one token be
    written in many ways. Raises ValueError.
    """
    over = len(text) % 4
    if over and text[-1] not in _LAST[over]:
        message = "not canonical base64url"
        raise ValueError(message)
    octets = text.encode("ascii").translate(_TO_BASE64)
    return a2b_base64(octets + _PADDING[over], strict_mode=True)


def encode(octets: bytes) -> str:
    """Encode *octets* without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
