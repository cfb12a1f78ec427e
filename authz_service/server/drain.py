"""The time between "no longer serving" and the end, in which Checks still come.

Whoever sends them learns of the end with a delay: a load balancer at its next health check, kubelet
and kube-proxy when the endpoint is taken out. What comes until then is answered as ever. Only gRPC
could tell a peer to go elsewhere, and it says so and closes in one step, in which a Check that is
on its way is lost; so that step waits until none is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from authz_service.ext_authz.admission import Admission

QUIET: Final = 1.0
"""Seconds without a Check after which it is taken that no more come."""

_SHARE_OF_QUIET: Final = 1 / 4  # of the grace, at the most
_SHARE_OF_DRAIN: Final = 3 / 4  # of the grace; the rest is for Checks under way
_LOOK_EVERY: Final = 0.02


class Drain:
    """Waits for Checks to cease."""

    def __init__(self, admission: Admission) -> None:
        """Watch what goes in and out through *admission*."""
        self._admission = admission
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """Wait for nothing any more."""
        self._hurry.set()

    async def until_quiet(self, grace: float) -> None:
        """Wait until none has come for a moment, within most of *grace* seconds.

        Where there never was one, nobody is there to send the next.
        """
        quiet = min(QUIET, grace * _SHARE_OF_QUIET)
        now = asyncio.get_running_loop().time
        latest = now() + grace * _SHARE_OF_DRAIN
        entered, last = self._admission.entered, now()
        while self._admission.entered and now() < min(latest, last + quiet):
            if await self._hurried():
                return
            if self._admission.entered != entered or self._admission.here:
                entered, last = self._admission.entered, now()

    async def _hurried(self) -> bool:
        """Let a moment pass, and say whether somebody has lost patience."""
        try:
            async with asyncio.timeout(_LOOK_EVERY):
                await self._hurry.wait()
        except TimeoutError:
            return False
        return True
