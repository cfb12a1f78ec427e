"""Which directories are watched, and that looking goes on whatever happens to the watching."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from typing import TYPE_CHECKING

from authz_service.server import watch
from authz_service.server.watch import FileWatch, watched_directories
from tests.support.event_loops import in_event_loop
from tests.support.log_events import captured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

PATIENCE = 20.0


def test_a_file_is_watched_through_its_directory(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.touch()
    assert watched_directories([file]) == {tmp_path}


def test_a_directory_is_watched_and_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    assert watched_directories([tmp_path / "policies"]) == {tmp_path, tmp_path / "policies"}


def test_a_config_map_is_watched_where_the_links_are_and_where_they_lead(tmp_path: Path) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "policy.yaml").touch()
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "policy.yaml").symlink_to("..data/policy.yaml")
    assert watched_directories([tmp_path / "policy.yaml"]) == {tmp_path, tmp_path / "..2026"}


def test_absolute_links_and_dots_are_followed_as_the_system_does(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "policy.yaml").touch()
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a" / "deep")
    path = tmp_path / "b" / "link" / ".." / "policy.yaml"
    assert watched_directories([path]) == {tmp_path / "b", tmp_path / "a"}


def test_where_the_way_ends_early_its_last_directory_is_watched(tmp_path: Path) -> None:
    assert watched_directories([tmp_path / "not" / "yet" / "policy.yaml"]) == {tmp_path}


def test_a_link_to_itself_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").symlink_to("policy.yaml")
    assert watched_directories([tmp_path / "policy.yaml"]) == {tmp_path}


class _Notices:
    """Counts notices, and lets a test wait for the next one."""

    def __init__(self) -> None:
        self.count = 0
        self._noticed = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._noticed.set()

    async def next(self) -> None:
        self._noticed.clear()
        await asyncio.wait_for(self._noticed.wait(), PATIENCE)


@contextlib.asynccontextmanager
async def _running(running: FileWatch) -> AsyncIterator[None]:
    task = asyncio.create_task(running.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@in_event_loop
async def test_there_is_a_notice_as_soon_as_the_watch_is_in_place(tmp_path: Path) -> None:
    notices = _Notices()
    async with _running(FileWatch(lambda: [tmp_path], notices)):
        await notices.next()
        assert notices.count == 1
        (tmp_path / "policy.yaml").touch()
        await notices.next()
        assert notices.count == 2


@in_event_loop
async def test_a_storm_of_changes_gives_few_notices(tmp_path: Path) -> None:
    notices = _Notices()
    file = tmp_path / "policy.yaml"
    async with _running(FileWatch(lambda: [tmp_path], notices)):
        await notices.next()
        for number in range(1000):
            file.write_text(str(number))
        await notices.next()
        assert notices.count <= 5


@in_event_loop
async def test_a_directory_that_is_made_again_is_watched_again(tmp_path: Path) -> None:
    notices = _Notices()
    directory = tmp_path / "policies"
    directory.mkdir()
    async with _running(FileWatch(lambda: [directory], notices, look_every=60.0)):
        await notices.next()
        for _ in range(3):
            shutil.rmtree(directory)
            await notices.next()
            directory.mkdir()
            (directory / "policy.yaml").touch()
            await notices.next()
    assert notices.count <= 20


@in_event_loop
async def test_other_paths_are_watched_when_it_is_told_to_move(tmp_path: Path) -> None:
    notices = _Notices()
    paths = [tmp_path / "a"]
    for name in "ab":
        (tmp_path / name).mkdir()
    moving = FileWatch(lambda: paths, notices, look_every=60.0)
    async with _running(moving):
        await notices.next()
        paths[:] = [tmp_path / "b"]
        moving.move()
        await notices.next()
        (tmp_path / "b" / "policy.yaml").touch()
        await notices.next()


@in_event_loop
async def test_where_nothing_tells_of_changes_it_is_time_to_look_now_and_then(
    tmp_path: Path,
) -> None:
    notices = _Notices()
    async with _running(FileWatch(lambda: [tmp_path], notices, look_every=0.05)):
        for _ in range(3):
            await notices.next()


class _NoInotify:
    """What `awatch` is where the limit of the system is reached."""

    def __init__(self, *_paths: object, **_options: object) -> None:
        pass

    async def __anext__(self) -> object:
        raise OSError(24, "inotify watch limit reached")

    def __aiter__(self) -> _NoInotify:
        return self

    async def aclose(self) -> None:
        pass


def test_where_watching_fails_it_is_said_once_and_looking_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @in_event_loop
    async def exchange() -> None:
        notices = _Notices()
        unable = FileWatch(lambda: [tmp_path], notices, changes=_NoInotify, look_every=0.01)
        async with _running(unable):
            for _ in range(5):
                await notices.next()

    events = captured(monkeypatch, watch)
    exchange()
    assert events == [
        {
            "event": "watch_failed",
            "log_level": "warning",
            "watched": "policy",
            "error": "OSError",
            "why": "[Errno 24] inotify watch limit reached",
            "effect": "changes are looked for every 0.01 seconds, and at SIGHUP",
        }
    ]
