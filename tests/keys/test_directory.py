"""Private files on a real disk: whole or not at all, and nobody else's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.keys.directory import MAX_FILE_BYTES, UnfitError, read_private, write_private

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME: Final = "keys.json"
WRITERS: Final = 3
WRITES: Final = 60


def put(place: Path, octets: bytes, *, supersedes: bool = True) -> None:
    write_private(place, NAME, octets, supersedes=lambda _before: supersedes)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_what_is_written_is_read_and_nobody_else_may_read_it(place: Path) -> None:
    previous = os.umask(0)
    try:
        put(place, b"one")
    finally:
        os.umask(previous)
    assert read_private(place, NAME) == b"one"
    assert mode(place) == 0o700
    assert {mode(file) for file in place.iterdir()} == {0o600}
    assert {file.name for file in place.iterdir()} == {NAME, "lock"}


def test_a_later_write_replaces_the_file_if_it_supersedes_it(place: Path) -> None:
    put(place, b"one")
    put(place, b"older", supersedes=False)
    assert read_private(place, NAME) == b"one"
    put(place, b"two")
    assert read_private(place, NAME) == b"two"


@pytest.mark.parametrize("mkdir", [False, True])
def test_what_is_not_there_is_not_found(place: Path, *, mkdir: bool) -> None:
    if mkdir:
        place.mkdir(0o700)
    with pytest.raises(FileNotFoundError):
        read_private(place, NAME)


def test_a_directory_that_vanishes_is_made_again_but_not_what_it_was_in(place: Path) -> None:
    put(place, b"one")
    for file in place.iterdir():
        file.unlink()
    place.rmdir()
    put(place, b"two")
    assert read_private(place, NAME) == b"two"
    with pytest.raises(FileNotFoundError):
        put(place / "missing" / "cache", b"one")


@pytest.mark.parametrize("bits", [0o777, 0o770, 0o720, 0o702, 0o1777, 0o2770])
def test_a_directory_that_others_may_write_to_is_not_used_and_left_alone(
    place: Path, bits: int
) -> None:
    put(place, b"one")
    place.chmod(bits)
    with pytest.raises(UnfitError, match="others may write to the directory"):
        read_private(place, NAME)
    with pytest.raises(UnfitError, match="name one inside it"):
        put(place, b"two")
    put(place / "inside", b"three")
    assert read_private(place / "inside", NAME) == b"three"


def _writable(file: Path) -> None:
    file.chmod(0o620)


def _link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def _directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file, 0o600)


def _large(file: Path) -> None:
    file.write_bytes(b" " * (MAX_FILE_BYTES + 1))


@pytest.mark.parametrize("spoil", [_writable, _link, _directory, _pipe, _large])
def test_a_file_that_is_not_ours_alone_is_not_read_and_is_replaced_where_that_can_be(
    place: Path, spoil: Callable[[Path], None]
) -> None:
    put(place, b"one")
    file = place / NAME
    spoil(file)
    with pytest.raises((UnfitError, OSError)):
        read_private(place, NAME)
    if spoil is not _directory:
        put(place, b"two", supersedes=False)  # which is not asked where nothing can be read
        assert read_private(place, NAME) == b"two"
        assert mode(file) == 0o600


def test_what_another_user_wrote_is_not_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(place, b"one")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UnfitError, match="belongs to another user"):
        read_private(place, NAME)


@pytest.mark.parametrize("spoil", [_writable, _link, _directory, _pipe, _large])
def test_nothing_stays_open_of_what_is_not_read(place: Path, spoil: Callable[[Path], None]) -> None:
    put(place, b"one")
    spoil(place / NAME)
    before = _open_descriptors()
    with pytest.raises((OSError, UnfitError)):
        read_private(place, NAME)
    assert _open_descriptors() == before


def _open_descriptors() -> set[int]:
    found = set()
    for descriptor in range(256):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            found.add(descriptor)
    return found


@pytest.mark.parametrize("failing", ["fsync", "rename", "open"])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(
    place: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(place, b"one")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, failing, fail)
        with pytest.raises(OSError, match="No space"):
            put(place, b"two")
    assert read_private(place, NAME) == b"one"
    assert {file.name for file in place.iterdir()} == {NAME, "lock"}


def test_what_a_crash_has_left_is_in_nobodys_way(place: Path) -> None:
    put(place, b"one")
    (place / f"{NAME}.new").symlink_to("/etc/passwd")
    put(place, b"two")
    assert read_private(place, NAME) == b"two"


def test_a_second_writer_waits_for_the_first(place: Path) -> None:
    put(place, b"one")
    asked = threading.Event()

    def superseded(_before: bytes) -> bool:
        asked.set()
        return True

    with (place / "lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer = threading.Thread(
            target=write_private, args=(place, NAME, b"two"), kwargs={"supersedes": superseded}
        )
        writer.start()
        assert not asked.wait(0.05)
        assert read_private(place, NAME) == b"one"  # reading waits for nobody
    writer.join()
    assert asked.is_set()
    assert read_private(place, NAME) == b"two"


def test_writers_that_share_it_never_leave_half_a_file_and_the_newest_stays(place: Path) -> None:
    """The lock is the file's, not the process's: to it, threads are as good as processes."""

    def write(start: int) -> None:
        for number in range(start, WRITES, WRITERS):
            octets = bytes([number]) * 50_000
            write_private(place, NAME, octets, supersedes=lambda before: before < octets)  # noqa: B023

    put(place, bytes(50_000))
    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write, start) for start in range(WRITERS)]
        while not all(writer.done() for writer in writers):
            octets = read_private(place, NAME)
            assert octets == octets[:1] * 50_000
        for writer in writers:
            writer.result()
    assert read_private(place, NAME)[:1] == bytes([WRITES - 1])
