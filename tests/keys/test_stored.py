"""What is stored is believed only of its own issuer, found by the same rules, and not for ever."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

import pytest

from authz_service.keys.directory import MAX_FILE_BYTES
from authz_service.keys.fetch import MAX_DOCUMENT_BYTES
from authz_service.keys.stored import KeyPlace, StoredKeys, UnusableRecordError
from tests.support.keys import jwk_set, signing_key

ISSUER: Final = "https://auth.example.com"
URI: Final = "https://auth.example.com/jwks"
PLACE: Final = KeyPlace((ISSUER,), URI, allow_http=False)
DISCOVERED: Final = dataclasses.replace(PLACE, jwks_uri=None)
STORED: Final = StoredKeys(PLACE, URI, 1000.5, jwk_set(signing_key().public))


def record(**members: object) -> bytes:
    """Write STORED with *members* in the place of some of its own; None leaves one out."""
    whole: dict[str, Any] = json.loads(STORED.as_bytes()) | members
    return json.dumps({name: value for name, value in whole.items() if value != ""}).encode()


def why_not(octets: bytes, place: KeyPlace = PLACE) -> str:
    with pytest.raises(UnusableRecordError) as raised:
        StoredKeys.parse(octets, place)
    return str(raised.value)


@pytest.mark.parametrize(
    "document", [b'{"keys": [\r\n\t{"kid": "\xc3\xa9\\ud83d\\ude00"}]}', b"{}"]
)
def test_what_is_written_is_read_to_the_byte(document: bytes) -> None:
    stored = dataclasses.replace(STORED, document=document)
    assert StoredKeys.parse(stored.as_bytes(), PLACE) == stored


@pytest.mark.parametrize("filler", [b"\n", b'"', b" "])
def test_the_largest_document_fits_into_a_file(filler: bytes) -> None:
    stored = dataclasses.replace(STORED, document=filler * MAX_DOCUMENT_BYTES)
    assert len(stored.as_bytes()) <= MAX_FILE_BYTES


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\0" * 100,
        STORED.as_bytes()[:-1],
        STORED.as_bytes() * 2,
        b"[]",
        b"null",
        b"{}",
        b'{"version": 1, ' + STORED.as_bytes()[1:],
        record(version=2),
        record(version=""),
        record(issuer=ISSUER),
        record(jwks_uri=None),
        record(fetched_at=True),
        record(fetched_at="1000"),
        record(fetched_at=None),
        record().replace(b"1000.5", b"1e400"),
        record().replace(b"1000.5", b"NaN"),
        record(jwk_set={"keys": []}),
        record(allow_http=0),
        record(jwk_set="\ud800"),
    ],
)
def test_junk_is_not_read(junk: bytes) -> None:
    assert "it is not a " in why_not(junk)


@pytest.mark.parametrize(
    "other",
    [
        KeyPlace(("https://evil.example",), URI, allow_http=False),
        KeyPlace((ISSUER, "https://evil.example"), URI, allow_http=False),
        KeyPlace((ISSUER,), "https://auth.example.com/other", allow_http=False),
        KeyPlace((ISSUER,), URI, allow_http=True),
        DISCOVERED,
    ],
)
def test_another_place_has_another_file_and_does_not_take_this_one(other: KeyPlace) -> None:
    assert other.file_name != PLACE.file_name
    assert (
        why_not(STORED.as_bytes(), other) == "it is of another issuer, or was found by other rules"
    )


def test_the_name_of_a_file_holds_nothing_that_anybody_chose() -> None:
    name = KeyPlace(("../../etc/passwd\0",), "\x1b[31m", allow_http=False).file_name
    assert len(name) == 64 + len(".json")
    assert name.removesuffix(".json").isalnum()


@pytest.mark.parametrize(
    ("place", "uri", "usable"),
    [
        (PLACE, "https://auth.example.com/other", False),
        (DISCOVERED, "https://keys.example/jwks", True),
        (DISCOVERED, "http://auth.example.com/jwks", False),
        (DISCOVERED, "http://127.0.0.1/jwks", False),
        (DISCOVERED, "file:///etc/passwd", False),
        (dataclasses.replace(DISCOVERED, allow_http=True), "http://auth.example.com/jwks", True),
    ],
)
def test_keys_are_used_only_from_where_they_might_be_fetched_today(
    place: KeyPlace, uri: str, *, usable: bool
) -> None:
    stored = dataclasses.replace(STORED, place=place, jwks_uri=uri)
    if usable:
        assert StoredKeys.parse(stored.as_bytes(), place) == stored
    else:
        assert "where they may not be fetched" in why_not(stored.as_bytes(), place)


@pytest.mark.parametrize(("now", "age"), [(1000.5, 0.0), (1001.5, 1.0), (1100.4, 99.9)])
def test_an_age_is_counted_from_the_fetch(now: float, age: float) -> None:
    assert STORED.age(now, max_stale=100) == pytest.approx(age)


@pytest.mark.parametrize("now", [1100.5, 1e12])
def test_what_is_too_old_is_not_used(now: float) -> None:
    with pytest.raises(UnusableRecordError, match="older than max_stale"):
        STORED.age(now, max_stale=100)


@pytest.mark.parametrize("now", [1000.4, 0.0, -1.0])
def test_what_comes_from_the_future_is_not_used(now: float) -> None:
    with pytest.raises(UnusableRecordError, match="the clock was moved"):
        STORED.age(now, max_stale=100)
