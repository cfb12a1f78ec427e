"""Work that may take long, or for ever, kept away from the event loop and from the process's end.

`asyncio.to_thread` is for work that ends: at the end of the event loop its threads are waited for.
Whoever reads files cannot promise that, since a network file system may hang.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

_NAME: Final = "authz background"


async def in_background(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Do *work* in a thread of its own, and give what it returns or raises.

    Where the caller is cancelled, the work goes on, and what comes of it is nobody's.
    """
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()

    def run() -> None:
        try:
            outcome.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is awaited
            outcome.set_exception(error)

    threading.Thread(target=run, name=_NAME, daemon=True).start()
    return await asyncio.wrap_future(outcome)


def is_busy() -> bool:
    """Whether work is still under way.

    Then the process must end at once: a thread that goes on while the interpreter takes itself
    apart can crash in it.
    """
    return any(thread.name == _NAME for thread in threading.enumerate())
