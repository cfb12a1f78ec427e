"""Steady load: every kind of request in a mixture, at a rate that no answer slows down."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.judge import Judge
    from tests.faults.senders import Sender
    from tests.faults.traffic import Kind

_FAMILIAR: Final = 20  # numbers of requests that come again and again
_DIRECT_SHARE: Final = 0.25
_LATE: Final = 0.5  # seconds behind which are not caught up on


class Load:
    """Sends requests, and has every answer judged by *judge*, which may be replaced."""

    def __init__(
        self, envoy: Sender, direct: Sender, kinds: dict[str, Kind], judge: Judge, seed: int
    ) -> None:
        """Send nothing yet; *kinds* may change while requests are sent."""
        self.kinds = kinds
        self.judge = judge
        self._envoy = envoy
        self._direct = direct
        self._random = random.Random(seed)  # noqa: S311 - a mixture that can be had again
        self._count = 0
        self._deck: list[str] = []

    @contextlib.asynccontextmanager
    async def steady(self, rate: float) -> AsyncIterator[None]:
        """Send *rate* requests a second until the end, and wait for the last answer."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_steadily(rate, stop, group))
            try:
                yield
            finally:
                stop.set()

    async def _send_steadily(
        self, rate: float, stop: asyncio.Event, group: asyncio.TaskGroup
    ) -> None:
        due = time.monotonic()
        while not stop.is_set():
            group.create_task(self._one_of_the_mixture())
            due = max(due + 1 / rate, time.monotonic() - _LATE)
            await asyncio.sleep(due - time.monotonic())

    def _next_kind(self) -> Kind:
        """Every kind once, in any order, and then every kind again."""
        while True:
            if not self._deck:
                self._deck = self._random.sample(list(self.kinds), len(self.kinds))
            if (name := self._deck.pop()) in self.kinds:
                return self.kinds[name]

    async def _one_of_the_mixture(self) -> None:
        kind = self._next_kind()
        sender = self._direct if self._random.random() < _DIRECT_SHARE else self._envoy
        self._count += 1
        familiar = self._count % 3 > 0
        number = self._random.randrange(_FAMILIAR) if familiar else self._count + _FAMILIAR
        await self.send(kind, number, sender)

    async def send(self, kind: Kind, number: int, sender: Sender) -> None:
        """Send one request, and have its answer judged."""
        request = kind.request(number)
        path = f"{request.path}?number={number}"
        judge, sent = self.judge, time.monotonic()
        answer = await sender.send(request, path)
        judge.judge(request, answer, sent=sent, answered=time.monotonic(), path=path)
