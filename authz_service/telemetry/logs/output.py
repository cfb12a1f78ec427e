"""Lines on their way out. Whoever has one to log hands it over and goes on at once.

Theory of operation. A queue and one thread stand between the service and a reader that may be slow,
or stalled, or a disk that is full: then the thread waits, and nobody else does. A line that finds
the thread idle waits for others, a moment: whenever the thread wakes, it takes the interpreter away
from the Checks. The queue takes `CAPACITY` lines; what comes beyond is dropped and counted. As soon
as lines get through again, one of them tells how many did not. At the end, what is queued gets a
bounded time; a thread that is stuck is left behind, since it holds nothing that the end of the
process needs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.telemetry.logs.sink import Sink

CAPACITY: Final = 8192
"""Lines that wait at the most: some seconds of full load, and 4 MiB as lines usually are."""

GATHER: Final = 0.02
"""Seconds between a line and its being written, where none was on its way."""

_BATCH: Final = 64 * 1024  # characters that are written at once, when so many wait
_NAME: Final = "authz log"


class Output:
    """Takes lines, and never waits, fails or raises."""

    def __init__(
        self, sink: Sink, tell_of_loss: Callable[[int], str], *, capacity: int = CAPACITY
    ) -> None:
        """*tell_of_loss* makes a line of the number of lines that were lost before it."""
        self._sink = sink
        self._tell_of_loss = tell_of_loss
        self._capacity = capacity
        self._lost = 0
        self._told = 0
        self.start_anew()

    def start_anew(self) -> None:
        """Begin with an empty queue, without a thread: in the child after a fork, there is none."""
        # Finalizers may log in the middle of what their thread does, and of its logging too.
        self._counting = threading.RLock()
        self._starting = threading.Lock()
        self._queue: SimpleQueue[str | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def lost(self) -> int:
        """Lines that were dropped, or could not be written, since the start."""
        return self._lost

    def put(self, line: str) -> None:
        """Have *line* written, or count it as lost."""
        if self._queue.qsize() >= self._capacity or not self._has_thread():
            self._lose(1)
        else:
            self._queue.put(line)

    def flush(self, within: float) -> bool:
        """Wait until everything that was put so far is written, or for *within* seconds.

        False if time ran out.
        """
        if self._thread is None:
            return True
        reached = threading.Event()
        self._queue.put(reached)
        return reached.wait(within)

    def _has_thread(self) -> bool:
        """Whether there is a thread, or will be: whoever starts it may be interrupted to log."""
        if self._thread is not None or not self._starting.acquire(blocking=False):
            return True
        with contextlib.suppress(RuntimeError):  # no more threads to be had
            thread = threading.Thread(target=self._run, name=_NAME, daemon=True)
            thread.start()
            self._thread = thread
        self._starting.release()
        return self._thread is not None

    def _lose(self, lines: int) -> None:
        with self._counting:
            self._lost += lines

    def _run(self) -> NoReturn:
        while True:
            lines, reached = self._batch()
            self._write(lines)
            if reached is not None:
                reached.set()

    def _batch(self) -> tuple[list[str], threading.Event | None]:
        """Wait for a line, then take what else there is: many lines cost little more than one."""
        lines: list[str] = []
        length = 0
        item = self._next()
        with contextlib.suppress(Empty):
            while not isinstance(item, threading.Event):
                lines.append(item)
                length += len(item)
                if length >= _BATCH:
                    return lines, None
                item = self._queue.get_nowait()
            return lines, item
        return lines, None

    def _next(self) -> str | threading.Event:
        """Take what has waited longest, or wait for it, and then for what comes with it."""
        with contextlib.suppress(Empty):
            return self._queue.get_nowait()
        item = self._queue.get()
        if isinstance(item, str):
            time.sleep(GATHER)
        return item

    def _write(self, lines: list[str]) -> None:
        lost = self._sink.write(_octets(lines))
        self._lose(lost)
        if not lost and self._queue.empty():  # what is queued is older than what was lost
            self._tell()

    def _tell(self) -> None:
        untold = self._lost - self._told
        if untold and not self._sink.write(_octets([self._tell_of_loss(untold)])):
            self._told += untold


def _octets(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
