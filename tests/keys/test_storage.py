"""Key sets in a directory: kept in the background, read back with suspicion, never in the way."""

from __future__ import annotations

import asyncio
import errno
import json
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

from authz_service.keys import storage as storage_module
from authz_service.keys.storage import DirectoryStorage
from authz_service.keys.stored import KeyPlace
from authz_service.server.background import in_background
from tests.support.event_loops import FakeClock, eventually, in_event_loop
from tests.support.keys import jwk_set, signing_key
from tests.support.log_events import captured

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from pathlib import Path

    from authz_service.keys.stored import RestoredKeys

URI: Final = "https://auth.example.com/jwks"
PLACE: Final = KeyPlace(("https://auth.example.com",), URI, allow_http=False)
OTHER: Final = KeyPlace(("https://partner.example",), None, allow_http=False)


def document(kid: str) -> bytes:
    return jwk_set(signing_key(kid=kid).public)


class Disk:
    """A storage in a directory, and what may be done to it."""

    def __init__(self, directory: Path, **settings: Any) -> None:  # noqa: ANN401
        self.directory = directory
        self.clock = FakeClock()
        self.calls = 0
        self.storage = DirectoryStorage(directory, self._run, clock=self.clock, **settings)
        self.instead: Callable[[], object] | None = None

    async def _run(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Any:  # noqa: ANN401
        self.calls += 1
        return await in_background(self.instead or work, *([] if self.instead else args), **named)

    @property
    def file(self) -> Path:
        """Where the keys of PLACE are."""
        return self.directory / PLACE.file_name

    async def keep(self, kid: str, place: KeyPlace = PLACE) -> None:
        """Store a key and wait until it is."""
        self.storage.keep(place, URI, document(kid))
        await self.written()

    async def written(self) -> None:
        """Wait until nothing is being written."""
        await eventually(lambda: self.storage._writing is None)

    async def load(self, place: KeyPlace = PLACE, max_stale: float = 100.0) -> RestoredKeys | None:
        """Read back."""
        return await self.storage.load(place, issuer="logto", max_stale=max_stale)

    async def kids(self, place: KeyPlace = PLACE) -> list[str | None] | None:
        """Read back, for the key ids."""
        restored = await self.load(place)
        return None if restored is None else [key.kid for key in restored.key_set.keys]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "cache")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    return captured(monkeypatch, storage_module)


@in_event_loop
async def test_the_last_set_of_each_issuer_is_read_back(disk: Disk) -> None:
    assert await disk.kids() is None
    await disk.keep("1")
    await disk.keep("2", OTHER)
    disk.clock.advance(30)
    restored = await disk.load()
    assert restored is not None
    assert (restored.jwks_uri, restored.age) == (URI, 30)
    assert await disk.kids() == ["1"]
    assert await disk.kids(OTHER) == ["2"]


@in_event_loop
async def test_of_several_sets_that_come_while_one_is_written_the_last_is_kept(disk: Disk) -> None:
    for kid in "123456789":
        disk.storage.keep(PLACE, URI, document(kid))
    await disk.written()
    assert await disk.kids() == ["9"]
    assert disk.calls <= 3  # the first, the last, and reading


@in_event_loop
async def test_an_older_set_does_not_replace_a_newer_one(disk: Disk, tmp_path: Path) -> None:
    neighbour = Disk(tmp_path / "cache")
    neighbour.clock.advance(10)
    disk.clock.advance(5)
    neighbour.storage.keep(PLACE, URI, document("newer"))
    await neighbour.written()
    disk.storage.keep(PLACE, URI, document("older"))
    disk.clock.advance(20)
    await disk.written()
    assert await disk.kids() == ["newer"]
    assert disk.storage.problem is None


@in_event_loop
async def test_a_set_from_the_future_is_replaced_by_one_of_now(disk: Disk) -> None:
    disk.clock.advance(3600)
    await disk.keep("future")
    disk.clock.advance(-3600)
    assert await disk.kids() is None
    await disk.keep("now")
    assert await disk.kids() == ["now"]


@pytest.mark.parametrize("max_stale", [30.0, 29.9])
@in_event_loop
async def test_a_set_is_not_used_beyond_its_time(max_stale: float, disk: Disk) -> None:
    await disk.keep("1")
    disk.clock.advance(30)
    assert await disk.load(max_stale=max_stale) is None
    assert await disk.load(max_stale=30.1) is not None


JUNK: Final = {
    "cut short": lambda octets: octets[:-10],
    "empty": lambda _octets: b"",
    "binary": lambda _octets: b"\x1b[31m\0\xff" * 100,
    "no key set": lambda octets: json.dumps(json.loads(octets) | {"jwk_set": "<html>"}).encode(),
    "no keys": lambda octets: json.dumps(json.loads(octets) | {"jwk_set": '{"keys":[]}'}).encode(),
    "too large": lambda octets: octets.ljust(3_000_000),
    "another issuer's": lambda octets: octets.replace(b"auth.", b"evil."),
}


@pytest.mark.parametrize("spoil", JUNK.values(), ids=JUNK)
@in_event_loop
async def test_junk_is_one_event_in_the_log_and_is_replaced_by_the_next_good_set(
    spoil: Callable[[bytes], bytes], disk: Disk, log: list[MutableMapping[str, Any]]
) -> None:
    await disk.keep("1")
    disk.file.write_bytes(spoil(disk.file.read_bytes()))
    assert await disk.kids() is None
    [event] = log
    assert event["event"] == "key_cache_not_used"
    assert event["issuer"] == "logto"
    assert event["why"].isprintable()
    await disk.keep("2")
    assert await disk.kids() == ["2"]


@in_event_loop
async def test_a_directory_that_others_may_write_to_is_told_and_not_used(
    disk: Disk, log: list[MutableMapping[str, Any]]
) -> None:
    await disk.keep("1")
    disk.directory.chmod(0o777)
    assert await disk.kids() is None
    await disk.keep("2")
    assert [event["event"] for event in log] == ["key_cache_not_used", "key_cache_not_written"]
    assert "its mode is 0777" in str(disk.storage.problem)
    disk.directory.chmod(0o700)
    assert await disk.kids() == ["1"]


@in_event_loop
async def test_what_cannot_be_written_is_told_once_until_it_is_over(
    disk: Disk, log: list[MutableMapping[str, Any]]
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    disk.instead = full
    for kid in "123":
        await disk.keep(kid)
    assert disk.storage.problem == "No space left on device"
    disk.instead = None
    await disk.keep("4")
    assert not disk.storage.problem
    assert await disk.kids() == ["4"]
    assert [(event["event"], event.get("why")) for event in log] == [
        ("key_cache_not_written", "No space left on device"),
        ("key_cache_written", None),
    ]


@in_event_loop
async def test_a_bug_is_told_by_its_kind_alone(
    disk: Disk, log: list[MutableMapping[str, Any]]
) -> None:
    def fail() -> None:
        raise RuntimeError("\x1b[31m whatever")

    disk.instead = fail
    assert await disk.kids() is None
    await disk.keep("1")
    assert [event["why"] for event in log] == ["unexpected error: RuntimeError"] * 2


@in_event_loop
async def test_a_disk_that_hangs_gets_one_thing_to_do_at_a_time_and_holds_nothing_up(
    tmp_path: Path, log: list[MutableMapping[str, Any]]
) -> None:
    disk = Disk(tmp_path / "cache", patience=0.02)
    may_end = threading.Event()
    disk.instead = may_end.wait
    assert await disk.kids() is None
    disk.storage.keep(PLACE, URI, document("1"))
    await eventually(lambda: disk.storage.problem)
    for kid in "23":
        disk.storage.keep(PLACE, URI, document(kid))
    for _ in range(10):
        await asyncio.sleep(0)
    assert disk.calls == 2
    assert [event["why"] for event in log] == ["the disk does not answer"] * 2
    disk.instead = None
    may_end.set()
    await disk.written()
    assert not disk.storage.problem
    assert await Disk(tmp_path / "cache").kids() == ["3"]


@in_event_loop
async def test_a_stop_waits_for_no_disk_and_nothing_is_written_after_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "cache")
    may_end = threading.Event()
    disk.instead = may_end.wait
    disk.storage.keep(PLACE, URI, document("1"))
    await asyncio.sleep(0)
    await disk.storage.stop()
    disk.storage.keep(PLACE, URI, document("2"))
    may_end.set()
    assert disk.calls == 1
    assert not disk.directory.exists()
    await disk.storage.stop()
