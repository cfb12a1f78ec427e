"""What the text of a document may hold, and how it is refused where it holds something else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from authz_service.policy.problems import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
ValuePath = tuple[str | int, ...]

MAX_DEPTH: Final = 100
MAX_VALUES: Final = 2_000_000
PLACED_DEPTH: Final = 4  # paths, /products, get, security

TOO_DEEP: Final = f"nested more than {MAX_DEPTH} deep"
TOO_MANY: Final = f"more than {MAX_VALUES} values"


class OpenApiError(Exception):
    """The document cannot be used. *problems* are in the order of the document."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Hold every one of *problems* once."""
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def refusal(position: Position, message: str) -> OpenApiError:
    """Refuse a document for the one problem at *position*."""
    return OpenApiError([Problem(position, message)])


def refuse_lone_surrogates(file: str, value: Value) -> None:
    """Refuse text that has no UTF-8. Raises OpenApiError."""
    if isinstance(value, str) and value.isascii():
        return
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        message = "an escape \\ud800 to \\udfff stands alone: it is no character"
        raise refusal(Position(file), message) from None
