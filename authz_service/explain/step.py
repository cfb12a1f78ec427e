"""One step of a decision, as it is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """A step of docs/decision.md by its *number*, or a part of one that has several.

    *passed* is None where the decision did not come to it, or did not need it. *decided* marks the
    one that refused the request: later checks of the same step are tried as well, and decide
    nothing.
    """

    number: int
    name: str
    passed: bool | None
    detail: str
    decided: bool = False
