"""Where to look for changes of files, and who says that there may be one.

What is watched are directories: an editor, a `mv` and a ConfigMap replace the file, not its
content, and a watch on a file would stay with the old one. A notice means no more than that it is
worth while to look: what has really changed is told by the contents.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

import structlog
import watchfiles

from authz_service.server.background import in_background

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

LOOK_EVERY: Final = 10.0
"""Seconds after which it is time to look though nobody said so: some file systems never do."""

_QUIET: Final = 0.1  # seconds without a change that end a storm
_LONGEST_STORM: Final = 1.0  # seconds of changes that are one
_MAX_WHY_CHARS: Final = 200
_MAX_LINKS: Final = 40  # as Linux has it

_log = structlog.get_logger(__name__)


class Changes(Protocol):
    """What `watchfiles.awatch` gives: something each time that something has happened."""

    def __aiter__(self) -> AsyncIterator[object]:
        """Wait for the next time."""

    async def aclose(self) -> object:
        """End the watch."""


class FileWatch:
    """Gives notice whenever something happens where the files are."""

    def __init__(
        self,
        paths: Callable[[], Iterable[Path]],
        notice: Callable[[], None],
        *,
        changes: Callable[..., Changes] = watchfiles.awatch,
        look_every: float = LOOK_EVERY,
        watched: str = "policy",
    ) -> None:
        """*paths* are asked for anew whenever where they are may have changed.

        *watched* says in the log whose files they are.
        """
        self._paths = paths
        self._notice = notice
        self._changes = changes
        self._look_every = look_every
        self._watched = watched
        self._moved = asyncio.Event()
        self._failing = False

    def move(self) -> None:
        """Look at where *paths* are now."""
        self._moved.set()

    async def run(self) -> NoReturn:
        """Watch for ever. That it cannot be done is told once, and looking goes on."""
        while True:
            self._moved.clear()
            try:
                places = await in_background(_places, self._paths())
                # The watch is in place when the loop gets to this: nothing is missed in between.
                asyncio.get_running_loop().call_soon(self._notice)
                await self._watch(places)
            except FileNotFoundError:  # gone between a look and the watch
                await asyncio.sleep(_QUIET)
            except Exception as error:  # noqa: BLE001 - whatever it is, the service goes on
                self._fail(error)
                await asyncio.sleep(self._look_every)

    async def _watch(self, places: frozenset[_Place]) -> None:
        """Give notice of what happens in *places*, until others are to be watched."""
        changes = self._changes(
            *(place.path for place in places),
            watch_filter=None,
            recursive=False,
            step=int(_QUIET * 1000),
            debounce=int(_LONGEST_STORM * 1000),
            rust_timeout=int(self._look_every * 1000),
            yield_on_timeout=True,
            stop_event=self._moved,
            ignore_permission_denied=True,  # of one directory; the others are watched
        )
        async with contextlib.aclosing(changes):
            async for _ in changes:
                self._failing = False
                self._notice()
                if await in_background(_places, self._paths()) != places:
                    break

    def _fail(self, error: Exception) -> None:
        if not self._failing:
            _log.warning(
                "watch_failed",
                watched=self._watched,
                error=type(error).__name__,
                why=str(error)[:_MAX_WHY_CHARS],
                effect=f"changes are looked for every {self._look_every:g} seconds, and at SIGHUP",
            )
        self._failing = True


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory, told from another that was made where it was.

    That may have its inode, but not the time of its last change. A change in a directory makes it
    another place too, and the new watch finds what it was.
    """

    path: Path
    device: int
    inode: int
    changed_at: int


def _places(paths: Iterable[Path]) -> frozenset[_Place]:
    found = set()
    for directory in watched_directories(paths):
        with contextlib.suppress(OSError):
            status = directory.stat()
            found.add(_Place(directory, status.st_dev, status.st_ino, status.st_ctime_ns))
    return frozenset(found)


def watched_directories(paths: Iterable[Path]) -> frozenset[Path]:
    """Where a change can make *paths* lead to something else.

    That is the directory of each, of every symbolic link on the way, and what is itself one; where
    the way ends early, the last directory that there is.
    """
    return frozenset(place for path in paths for place in _on_the_way_of(path))


def _on_the_way_of(path: Path) -> Iterator[Path]:
    steps = list(reversed(path.absolute().parts))
    at = Path(steps.pop())
    links = 0
    while steps:
        step = steps.pop()
        if not steps:
            yield at
        following = at.parent if step == ".." else at / step
        try:
            target = following.readlink() if following.is_symlink() else None
        except OSError:
            target = None
        if target is not None and links < _MAX_LINKS:
            links += 1
            yield at
            steps += reversed(target.parts)
            at = Path(steps.pop()) if target.is_absolute() else at
        elif os.path.lexists(following):
            at = following
        else:
            yield at
            return
    yield at if at.is_dir() else at.parent
