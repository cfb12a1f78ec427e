"""What is imported, and what is not though it is there."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def as_if_missing(name: str) -> Iterator[None]:
    """Let no import find the module *name* meanwhile, unless it is loaded already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # as the import system has it for "none"
    try:
        yield
    finally:
        del sys.modules[name]
