"""Subjects and clients as keyed hashes, and the files that their key comes from."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.ext_authz.convert import to_http_request
from authz_service.telemetry.logs import checks
from authz_service.telemetry.logs.checks import CheckLog
from authz_service.telemetry.logs.identity import IdentityHash, KeyFileError
from authz_service.telemetry.logs.settings import FORMATS, LogSettings
from tests.edge.shop import check_request, mint
from tests.telemetry.logged import decide, event_of, lines_of, logged

if TYPE_CHECKING:
    from pathlib import Path

KEY: Final = b"0123456789abcdef0123456789abcdef"


def _hmac(value: str) -> str:
    return hmac.new(KEY, value.encode(), hashlib.sha256).hexdigest()


def test_a_hash_is_the_start_of_the_hmac_that_anybody_with_the_key_can_make() -> None:
    assert IdentityHash(KEY).of("user-1") == _hmac("user-1")[:32]


@pytest.mark.parametrize("log_format", FORMATS)
def test_subject_and_client_are_hashed_and_nothing_else(log_format: str) -> None:
    token = mint({"sub": "the-subject", "client_id": "the-client"})
    request = to_http_request(check_request(token=token))
    settings = LogSettings(log_format=log_format, identity_hash=IdentityHash(KEY))
    line = logged(request, decide(request), settings)
    assert "the-subject" not in line
    assert "the-client" not in line
    for part in (_hmac("the-subject")[:32], _hmac("the-client")[:32], "logto", "read:products"):
        assert part in line


def test_who_has_no_identity_has_no_hash() -> None:
    request = to_http_request(check_request("/healthz"))
    event = event_of(request, decide(request), LogSettings(identity_hash=IdentityHash(KEY)))
    assert "subject" not in event
    assert "client_id" not in event


def test_the_hash_is_of_the_whole_identity_however_long() -> None:
    settings = LogSettings(identity_hash=IdentityHash(KEY))
    subjects = set()
    for last in "ab":
        request = to_http_request(check_request(token=mint({"sub": "x" * 2000 + last})))
        event = event_of(request, decide(request), settings)
        assert "truncated" not in event
        subjects.add(event["subject"])
    assert len(subjects) == 2


@given(st.text(st.characters(categories=["Cs", "L", "Cc"])))
def test_every_identity_has_a_hash(identity: str) -> None:
    hashed = IdentityHash(KEY).of(identity)
    assert len(hashed) == 32
    assert set(hashed) <= set("0123456789abcdef")


def test_two_keys_give_two_hashes() -> None:
    one, other = IdentityHash.with_random_key(), IdentityHash.with_random_key()
    assert one.of("user-1") == one.of("user-1") != other.of("user-1")


def test_a_key_is_never_shown() -> None:
    assert "0123" not in repr(LogSettings(identity_hash=IdentityHash(KEY)))


@pytest.mark.parametrize("log_format", FORMATS)
def test_the_log_says_that_the_key_is_a_random_one(log_format: str) -> None:
    settings = LogSettings(log_format=log_format, identity_hash=IdentityHash.with_random_key())
    (line,) = lines_of(CheckLog(settings).announce, checks, settings)
    assert "log_identity_key" in line
    assert "random" in line


@pytest.mark.parametrize("hashed", [None, IdentityHash(KEY)], ids=["plain", "key file"])
def test_there_is_nothing_to_say_of_a_key_that_others_have_too(hashed: IdentityHash | None) -> None:
    assert lines_of(CheckLog(LogSettings(identity_hash=hashed)).announce, checks) == []


# The key's file


@pytest.mark.parametrize("content", [KEY, KEY + b"\n", KEY + b"\r\n"])
def test_the_key_is_what_the_file_holds_but_for_the_end_of_its_line(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    assert IdentityHash.with_key_of(file).key == KEY


@pytest.mark.parametrize(("mode", "events"), [(0o644, 1), (0o640, 0), (0o400, 0)])
def test_a_key_that_every_user_may_read_is_warned_of(
    tmp_path: Path, mode: int, events: int
) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY)
    file.chmod(mode)
    settings = LogSettings(identity_hash=IdentityHash.with_key_of(file))
    lines = lines_of(CheckLog(settings).announce, checks)
    assert ["log_identity_key_open_to_others" in line for line in lines] == [True] * events


def test_a_key_may_be_any_bytes_and_long(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(key := bytes(range(256)) * 16)
    assert IdentityHash.with_key_of(file).key == key


@pytest.mark.parametrize(
    "content", [b"", b"\n", KEY[:-1], KEY[:-1] + b"\n", b"x" * 4097, b"x" * 100_000]
)
def test_a_key_that_is_too_short_or_too_long_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(KeyFileError, match=r"32 to 4096 bytes.*openssl rand") as refused:
        IdentityHash.with_key_of(file)
    assert "0123" not in str(refused.value)


def test_a_file_that_is_none_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    for path, why in (
        (tmp_path / "missing", "No such file"),
        (tmp_path, "[Dd]irectory"),
        (pipe, "not a regular file"),
    ):
        with pytest.raises(KeyFileError, match=why):
            IdentityHash.with_key_of(path)


def test_what_is_logged_is_json_that_says_the_hash(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY)
    request = to_http_request(check_request(token=mint()))
    settings = LogSettings(identity_hash=IdentityHash.with_key_of(file))
    event = json.loads(logged(request, decide(request), settings))
    assert event["subject"] == _hmac("user-1")[:32]
