"""What is wrong with a policy, and where: every problem at once, for the person who wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a policy file. *line* and *column* count from 1; 0 stands for the whole file."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """`file:line:column`, which editors and terminals turn into a link."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake, with what to write instead where that is known."""

    position: Position
    message: str

    def __str__(self) -> str:
        """One line, whatever the file holds: what cannot be printed is escaped."""
        return printable(f"{self.position}: {self.message}")


def printable(text: str) -> str:
    """Escape in *text* what a terminal would not print but obey."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


class PolicyError(Exception):
    """The operator's fault: the policy cannot be used. *problems* are in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Hold every one of *problems*, sorted."""
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))
