"""base64url has one spelling for each octet sequence."""

from __future__ import annotations

import base64
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_service.core import base64url

if TYPE_CHECKING:
    from collections.abc import Iterator

ASCII: Final = [chr(number) for number in range(128)]


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


def decoded(text: str) -> bytes | None:
    """What *text* stands for, or None where it is refused."""
    try:
        return base64url.decode(text)
    except ValueError:
        return None


def decoded_and_encoded_again(text: str) -> bytes | None:
    """The same, the long way round: with a decoder that takes more, and a comparison."""
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return octets if base64url.encode(octets) == text else None


def short_texts() -> Iterator[str]:
    yield from ASCII
    yield from (first + last for first in ASCII for last in ASCII)
    for character in (*ASCII, "\x80", "\xff", "\u0100", "\ud800", "\uff21"):
        for end in ("Zm8", "Zm9v", "Zm9vZg", "Zm9vZm8", "Zm9vZm9v"):
            yield from (end[:at] + character + end[at + 1 :] for at in range(len(end)))
            yield from (character + end, end + character)


def test_what_is_refused_is_what_encodes_differently() -> None:
    accepted = 0
    for text in short_texts():
        assert decoded(text) == decoded_and_encoded_again(text), repr(text)
        accepted += decoded(text) is not None
    assert accepted > 1000


@settings(deadline=None)
@given(
    text=st.text(ascii_letters + digits + "-_") | st.text(ascii_letters + "-_+/= \n") | st.text()
)
def test_text_of_any_length_is_refused_just_so(text: str) -> None:
    assert decoded(text) == decoded_and_encoded_again(text)


@settings(deadline=None)
@given(octets=st.binary())
def test_what_was_encoded_is_decoded(octets: bytes) -> None:
    assert base64url.decode(base64url.encode(octets)) == octets
