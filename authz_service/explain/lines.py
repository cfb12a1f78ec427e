"""Lines of a report, each with what it is; what they look like is the terminal's affair."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAST_WIDTH = 20  # columns; in less than these nothing can be read


class Tone(Enum):
    """What a line is, for whoever may colour it."""

    PLAIN = "plain"
    HEADING = "heading"
    GOOD = "good"
    BAD = "bad"
    FAINT = "faint"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Line:
    """One line, printable, of one tone."""

    text: str = ""
    tone: Tone = Tone.PLAIN


def paragraph(
    text: str,
    width: int,
    tone: Tone = Tone.PLAIN,
    *,
    first: str = "",
    other: str | None = None,
) -> Iterator[Line]:
    """Break *text* into lines of *width* columns, words that are longer left whole.

    Before the first line stands *first*, before every other one *other*, or as many spaces.
    """
    indent = " " * len(first) if other is None else other
    room = max(width - max(len(first), len(indent)), _LEAST_WIDTH)
    parts = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False)
    for number, part in enumerate(parts or [""]):
        yield Line(f"{indent if number else first}{part}", tone)
