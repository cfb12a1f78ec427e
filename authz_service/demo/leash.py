"""Child processes that do not outlive us, however we end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Run in a fresh interpreter, which then becomes the program: the kernel ends the program when this
# process ends. A `preexec_fn` would do the same, but it runs Python between fork and exec, which
# can deadlock in a process that has threads, and gRPC has them.
_LEASH = f"""
import os, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, {int(signal.SIGTERM)})  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent has gone")  # before the line above; its signal will not come
os.execv(sys.argv[2], sys.argv[2:])
"""


def on_a_leash(program: Path | str) -> tuple[str, ...]:
    """The words that start *program*, to be followed by its arguments.

    On Linux it gets SIGTERM when this process ends; elsewhere it is started as it is.
    """
    return (sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), str(program))


async def end(process: asyncio.subprocess.Process, *, within: float) -> None:
    """End *process*: SIGTERM, and SIGKILL if it is still there after *within* seconds."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(within):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
