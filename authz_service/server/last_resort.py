"""The end of the process, whatever hangs: a thread, a name that is looked up, a loop that spins."""

from __future__ import annotations

import os
import threading
from typing import Final

SPARE: Final = 1.0
"""Seconds beyond the grace in which all that is orderly must have happened."""

STATUS: Final = 1


def end_within(seconds: float) -> None:
    """End the process in *seconds* if it has not ended until then; nothing is tidied up then.

    A thread of its own keeps the time, since it may be the event loop that hangs.
    """
    timer = threading.Timer(seconds, os._exit, (STATUS,))
    timer.daemon = True
    timer.start()
