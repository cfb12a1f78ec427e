"""What may take long, or for ever, is done in the background: how is the server's to say."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


class InBackground(Protocol):
    """Does work in a thread that neither the event loop nor the process waits for at its end."""

    async def __call__(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do *work*, and give what it returns or raises."""
