"""Where the lines go in the end: a file descriptor that may be slow, full or closed."""

from __future__ import annotations

import os
import select


class Sink:
    """Writes whole lines to *descriptor*, and waits for it as long as it takes.

    The descriptor is written to directly: a buffer that belongs to Python would be locked by a
    thread that waits in it, and would be flushed, in vain, at the end of the process.
    """

    def __init__(self, descriptor: int | None) -> None:
        """*descriptor* is None where there is nothing to write to."""
        self._descriptor = descriptor
        self._torn = False  # the last line has a start, and no end

    def write(self, lines: bytes) -> int:
        """Write *lines*, each with its end, and give how many of them got lost."""
        if self._descriptor is None:
            return lines.count(b"\n")
        # A line that could not be finished must not spoil the next one too.
        pending = memoryview(b"\n" + lines if self._torn else lines)
        try:
            while pending:
                written = _write(self._descriptor, pending)
                if written:
                    self._torn = pending[written - 1] != ord("\n")
                    pending = pending[written:]
        except OSError:
            return min(bytes(pending).count(b"\n"), lines.count(b"\n"))
        return 0


def _write(descriptor: int, octets: memoryview) -> int:
    """Write some of *octets*. Somebody else may have set the descriptor to be non-blocking."""
    try:
        return os.write(descriptor, octets)
    except BlockingIOError:
        ready = select.poll()
        ready.register(descriptor, select.POLLOUT)
        ready.poll()
        return 0
