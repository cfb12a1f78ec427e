"""The table in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADING: Final = ("measured", "figure: median (least to most)", "reference", "target", "met")


def table(lines: Iterable[tuple[str, ...]]) -> str:
    """Lay out *lines* in columns, under the heading."""
    rows = [HEADING, *lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
