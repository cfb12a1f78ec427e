"""How the identity in use follows its files, and what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from authz_service.server.tls import rotation
from authz_service.server.tls.identity import TlsError, TlsFiles
from authz_service.server.tls.rotation import RotatingIdentity
from tests.support.certificates import DAY, authority
from tests.support.event_loops import eventually, in_event_loop
from tests.support.log_events import captured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from pathlib import Path


class Rig:
    """An identity that is followed, the time, and what was logged."""

    def __init__(self, directory: Path, events: list[MutableMapping[str, Any]]) -> None:
        self.directory = directory
        self.events = events
        self.now = datetime.now(UTC)
        self.files = authority().server().write(directory, authority().pem)
        self.rotating = RotatingIdentity(self.files, clock=lambda: self.now)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        following = asyncio.create_task(self.rotating.run())
        try:
            yield
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following

    async def told(self, event: str) -> MutableMapping[str, Any]:
        """Wait until *event* is the last."""
        await eventually(lambda: self.events[-1]["event"] == event)
        return self.events[-1]

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(tmp_path, captured(monkeypatch, rotation))


def test_a_start_with_a_bad_file_fails(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"tls\.crt: cannot be read: No such file"):
        RotatingIdentity(TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key"))


def test_a_start_says_what_is_served_and_until_when(rig: Rig) -> None:
    assert rig.names == ["tls_loaded"]
    assert rig.events[0]["not_after"] == rig.rotating.identity.not_after.isoformat()
    identity = rig.rotating.identity
    assert rig.rotating.validity == (
        identity.not_before.timestamp(),
        identity.not_after.timestamp(),
    )
    assert rig.rotating.warnings == ()


def test_files_that_change_are_taken(rig: Rig) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with rig.running():
            before = rig.rotating.identity
            authority("other").server(not_after=5 * DAY).write(rig.directory)
            assert (await rig.told("tls_reloaded"))["not_after"] != before.not_after.isoformat()
            assert rig.rotating.identity.chain != before.chain
            assert rig.rotating.identity.client_ca == before.client_ca

    exchange()


def test_a_client_ca_that_changes_is_taken(rig: Rig) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with rig.running():
            (rig.directory / "ca.crt").write_bytes(authority("other").pem)
            await rig.told("tls_reloaded")
            assert rig.rotating.identity.client_ca == authority("other").pem

    exchange()


def test_a_link_that_is_swapped_as_kubelet_does_is_one_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = captured(monkeypatch, rotation)
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        authority().server().write(tmp_path / name, authority().pem)
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "..data_tmp").symlink_to("..2")
    files = TlsFiles(*(tmp_path / name for name in ("tls.crt", "tls.key", "ca.crt")))
    rotating = RotatingIdentity(files)

    @in_event_loop
    async def exchange() -> None:
        following = asyncio.create_task(rotating.run())
        before = rotating.identity
        os.rename(tmp_path / "..data_tmp", tmp_path / "..data")  # noqa: PTH104 - Path's is called blocking
        await eventually(lambda: rotating.identity is not before)
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following

    exchange()
    assert [event["event"] for event in events] == ["tls_loaded", "tls_reloaded"]


def test_a_bad_file_is_told_of_once_and_the_last_good_ones_stay(rig: Rig) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with rig.running():
            before = rig.rotating.identity
            good = rig.files.key.read_bytes()
            rig.files.key.write_bytes(authority().server().key)
            told = await rig.told("tls_not_reloaded")
            assert "is not the key of the first certificate" in told["problem"]
            assert told["not_after"] == before.not_after.isoformat()
            [warning] = rig.rotating.warnings
            assert told["problem"] in warning
            for _ in range(5):
                await rig.rotating._look()
            assert rig.names == ["tls_loaded", "tls_not_reloaded"]
            assert rig.rotating.identity is before

            rig.files.key.write_bytes(good)
            await rig.told("tls_reloaded")
            assert rig.rotating.warnings == ()
            assert rig.rotating.identity == before

    exchange()


def test_each_thing_that_is_wrong_is_told(rig: Rig) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with rig.running():
            rig.files.certificate.unlink()
            assert "No such file" in (await rig.told("tls_not_reloaded"))["problem"]
            rig.files.certificate.write_bytes(b"junk")
            await eventually(lambda: "in PEM" in rig.events[-1]["problem"])
            assert rig.names == ["tls_loaded", "tls_not_reloaded", "tls_not_reloaded"]

    exchange()


def test_a_certificate_that_expires_in_use_is_told_of_once_and_stays(rig: Rig) -> None:
    @in_event_loop
    async def exchange() -> None:
        before = rig.rotating.identity
        rig.now = before.not_after + timedelta(seconds=1)
        for _ in range(5):
            await rig.rotating._look()
        assert rig.names == ["tls_loaded", "tls_not_reloaded"]
        assert "has expired at" in rig.events[-1]["problem"]
        assert rig.rotating.identity is before

    exchange()


def test_a_certificate_that_is_not_valid_yet_is_taken_when_it_is(rig: Rig) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with rig.running():
            authority().leaf(not_before=DAY, not_after=3 * DAY).write(rig.directory)
            assert "is not valid before" in (await rig.told("tls_not_reloaded"))["problem"]
            rig.now += 2 * DAY
            rig.rotating.ask()
            await rig.told("tls_reloaded")

    exchange()


def test_files_that_are_touched_are_no_reload(rig: Rig) -> None:
    @in_event_loop
    async def exchange() -> None:
        before = rig.rotating.identity
        for end in (b"", b"\n", b"\na comment\n"):
            rig.files.certificate.write_bytes(before.chain + end)
            await rig.rotating._look()
        assert rig.rotating.identity is before
        assert rig.names == ["tls_loaded"]

    exchange()


def test_a_bug_in_here_does_not_end_the_looking(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("secret")

    @in_event_loop
    async def exchange() -> None:
        async with rig.running():
            authority("other").server().write(rig.directory)
            with monkeypatch.context() as patch:
                patch.setattr(rotation, "load_identity", fail)
                told = await rig.told("tls_not_reloaded")
                assert told["problem"] == "unexpected error: RuntimeError"
            rig.rotating.ask()
            await rig.told("tls_reloaded")

    exchange()


def test_a_key_that_every_user_may_read_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = captured(monkeypatch, rotation)
    files = authority().server().write(tmp_path)
    files.key.chmod(0o644)
    RotatingIdentity(files)
    assert [event["event"] for event in events] == ["tls_loaded", "tls_key_open_to_others"]
    assert events[1]["key"] == str(files.key)
