"""The service as it is, but for a clock that can be moved and a count of its tasks.

`python -m tests.faults.laboratory serve ...` reads from the file `clock` the seconds by which the
time of day is off, and writes into the file `tasks` how many tasks its event loop has. Both are in
the working directory.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Coroutine

CLOCK: Final = "clock"
TASKS: Final = "tasks"

_COUNT_EVERY: Final = 0.5  # seconds

_right_time = time.time


def _moved_time() -> float:
    try:
        return _right_time() + float(Path(CLOCK).read_text("ascii"))
    except FileNotFoundError:
        return _right_time()


async def _counting(service: Coroutine[None, None, None]) -> None:
    counting = asyncio.create_task(_count())
    try:
        await service
    finally:
        counting.cancel()


async def _count() -> None:
    tasks = Path(TASKS)
    while True:
        tasks.write_text(str(len(asyncio.all_tasks())), "ascii")  # noqa: ASYNC240 - a few bytes
        await asyncio.sleep(_COUNT_EVERY)


def _main() -> None:
    from authz_service.cli import main, serve  # noqa: PLC0415
    from authz_service.ext_authz import servicer  # noqa: PLC0415

    # Not everybody's: gRPC reckons deadlines by a clock of its own, and compares them with this.
    defaults = servicer.AuthorizationServicer.__init__.__kwdefaults__
    assert defaults is not None
    defaults["clock"] = _moved_time
    run = serve._run
    serve._run = lambda service: run(_counting(service))
    main.main()


if __name__ == "__main__":
    _main()
