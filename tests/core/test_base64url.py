"""base64url has one spelling for each octet sequence."""

from __future__ import annotations

import pytest

from authz_service.core import base64url


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", ""),
        (b"f", "Zg"),
        (b"fo", "Zm8"),
        (b"foo", "Zm9v"),
        (b"\xfb\xff\xbf", "-_-_"),
        (bytes([3, 236, 255, 224, 193]), "A-z_4ME"),  # RFC 7515, appendix C
    ],
)
def test_octets_have_this_spelling(octets: bytes, text: str) -> None:
    assert base64url.encode(octets) == text
    assert base64url.decode(text) == octets


@pytest.mark.parametrize(
    "text",
    [
        "Zg=",
        "Zg==",
        "Zm8=",
        "Zm9v====",
        "=",
        "Zh",  # a spare bit of the last character is set
        "Zm9",
        "Z",
        "Zm9vZ",
        "+/+/",
        "Zm 8",
        " Zm8",
        "Zm8\n",
        "Zm8!",
        "Z!m!8",
        "Zm8\x00",
        "Zmé",
        "\ud800",
    ],
)
def test_every_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        base64url.decode(text)
