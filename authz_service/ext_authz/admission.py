"""How many Checks are under way, and which of them are too many.

Theory of operation. gRPC hands us one Check after the other, and what it has not handed over yet
waits inside of it, in the order of arrival, where nobody here sees it. Since a Check that does not
wait for keys is decided as soon as we have it, in an overload nearly all Checks are there: some two
are with us, a thousand wait, and each is decided so late that its caller has gone. So from time to
time gRPC is asked how many it has in all (`Calls`), and as many as are above the limit are refused
unread, the oldest first, as they come: they have waited longest and have least time left. One in a
few is decided all the same, or in an overload that does not end nothing would ever be.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

TAKE_EVERY: Final = 4
"""One Check of so many is taken whatever waits."""

LOOK_EVERY: Final = 64
"""Checks between two looks at what waits. A look costs as much as some ten decisions."""

CALM: Final = 8
"""So many times more are between them while no more wait than an eighth of what is too many."""

TRUE_FOR: Final = 0.25
"""Seconds after which nothing is refused for what a look has found: those may all have gone."""


class Admission:
    """Counts Checks in and out."""

    def __init__(
        self,
        most: int,
        *,
        look_every: int = LOOK_EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take *most* Checks at a time. A look is taken after every *look_every* of them.

        *clock* gives seconds and does not go back.
        """
        self.most: Final = most
        self._look_every = look_every
        self._clock = clock
        self._here = 0
        self._entered = 0
        self._to_refuse = 0
        self._until_look = look_every
        self._true_until = 0.0
        self._calls: Callable[[], int] = lambda: 0

    def watch(self, calls: Callable[[], int]) -> None:
        """Ask *calls* how many Checks gRPC has in all, ours and those that wait in it."""
        self._calls = calls

    @property
    def here(self) -> int:
        """The Checks that we have and that have not been answered."""
        return self._here

    @property
    def entered(self) -> int:
        """The Checks that we have been handed so far."""
        return self._entered

    @property
    def in_flight(self) -> int:
        """The Checks that have arrived and have not been answered, wherever they are."""
        return max(self._here, self._calls())

    def enter(self) -> bool:
        """Count a Check in, and say whether it is taken or to be refused at once."""
        self._here += 1
        self._entered += 1
        self._until_look -= 1
        if self._until_look <= 0 or (self._to_refuse > 0 and self._clock() >= self._true_until):
            self._look()
        if self._to_refuse > 0 and self._entered % TAKE_EVERY:
            self._to_refuse -= 1
            return False
        return self._here <= self.most

    def _look(self) -> None:
        calls = self._calls()
        self._until_look = self._look_every * (CALM if calls <= self.most // CALM else 1)
        self._to_refuse = calls - self.most
        self._true_until = self._clock() + TRUE_FOR

    def leave(self) -> None:
        """Count a Check out, answered or given up."""
        self._here -= 1
