"""Event loops for tests: one as usual, and one in which waiting takes no time."""

from __future__ import annotations

import asyncio
import functools
import selectors
from typing import TYPE_CHECKING, Any, Final, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

P = ParamSpec("P")

HANGS_AFTER: Final = 30.0
"""Seconds of the loop's own time, for one wait."""


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now += seconds


class _JumpingSelector(selectors.SelectSelector):
    """Does not wait: where nothing is ready, the time is moved on instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits, and for nothing that will ever happen"
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Starts at second 0 and jumps to whatever is due next. Not for sockets."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Give the virtual seconds since the loop was made."""
        return self._jumping.now


def in_event_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run *test* in an event loop of its own, in which it must leave nothing behind."""
    return _in_loop(test, asyncio.new_event_loop)


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run *test* in a `VirtualTimeLoop`, in which it must leave nothing behind."""
    return _in_loop(test, VirtualTimeLoop)


def _in_loop(
    test: Callable[P, Coroutine[Any, Any, None]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> Callable[P, None]:
    @functools.wraps(test)
    def synchronous(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_leaving_nothing_behind(test(*args, **kwargs)))

    return synchronous


async def _leaving_nothing_behind(coroutine: Coroutine[Any, Any, None]) -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _loop, context: complaints.append(repr(context))
    )
    await coroutine
    await _grpcs_own_tasks_end()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert complaints == []


async def _grpcs_own_tasks_end() -> None:
    """Wait for them: a server that has stopped may still be at the end of what it has answered."""
    names = ("rpc_task", "HandleExceptions[")
    own = {task for task in asyncio.all_tasks() if task.get_name().startswith(names)}
    if own:
        await asyncio.wait(own, timeout=HANGS_AFTER)


async def eventually(holds: Callable[[], object], *, within: float = HANGS_AFTER) -> None:
    """Wait until *holds* does; raises TimeoutError after *within* seconds."""
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110 - not everything that is waited for has an event
            await asyncio.sleep(0.002)
