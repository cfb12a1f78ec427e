"""The table of docs/reliability.md: what came of each fault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.fault import Result

BEGIN: Final = "<!-- written by make faults -->\n"
END: Final = "<!-- end of what make faults writes -->\n"


def table(results: Iterable[Result], made: str) -> str:
    """Write the table of *results*; *made* says when and how it was made."""
    head = (
        "| fault | checks | wrong answers | longest time to answer | what bounds it |\n"
        "| --- | ---: | ---: | ---: | --- |\n"
    )
    return f"{head}{''.join(_row(result) for result in results)}\n{made}\n"


def _row(result: Result) -> str:
    return (
        f"| {result.fault.name} | {result.checks:,} | {result.wrong:,}"
        f" | {result.longest * 1000:,.0f} ms | {result.fault.bound} |\n"
    )


def with_table(document: str, new: str) -> str:
    """Put the *new* table in the place of the one in *document*. Raises ValueError without one."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the document has no place for the table")
    return f"{before}{BEGIN}{new}{END}{after}"
