"""The descriptors of standard input, output and error, also where somebody has closed them."""

from __future__ import annotations

import os
from typing import Final

_STANDARD_ERROR: Final = 2


def hold_standard_streams() -> None:
    """Have each of the three open, on nothing if need be, before anything else is opened.

    A number that is free goes to the next file or socket, and then the log would be written there.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)
