"""Examples at the end of a command's help."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Make the epilog of a command of *lines*, which are shown as they are."""
    keep_lines = "\b\n"  # click's mark for a paragraph that is not wrapped anew
    return "\n".join([f"{keep_lines}Examples:", *(f"  {line}" for line in lines)])
