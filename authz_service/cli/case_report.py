"""What `authz-service test` prints, in the manner of pytest. Colours are for terminals alone."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import click

from authz_service.core.decision import refusal
from authz_service.core.summary import summarize
from authz_service.policy.problems import printable
from authz_service.policy.testing.reach import percentage
from authz_service.policy.testing.run import status
from authz_service.policy.why import why
from authz_service.policy.why.described import describe_requirement, describe_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from authz_service.policy.testing.reach import RouteReach
    from authz_service.policy.testing.run import Outcome

_WIDTH: Final = 80
_COUNTS: Final = ("Methods", "Miss", "Cover")


class Verbosity(enum.Enum):
    """How much is printed beside the failures and the last line."""

    QUIET = enum.auto()
    NORMAL = enum.auto()
    VERBOSE = enum.auto()

    @classmethod
    def of(cls, *, verbose: bool, quiet: bool) -> Verbosity:
        """Choose by the two switches, of which one at most is on."""
        if quiet:
            return cls.QUIET
        return cls.VERBOSE if verbose else cls.NORMAL


@dataclass(slots=True)
class Report:
    """Prints as the outcomes come in, then the rest, section by section."""

    verbosity: Verbosity
    outcomes: list[Outcome] = field(default_factory=list)
    deselected: int = 0
    _line: str = ""

    @property
    def failed(self) -> list[Outcome]:
        """Every outcome that is not as expected."""
        return [outcome for outcome in self.outcomes if not outcome.passed]

    def file(self, name: str) -> None:
        """Begin with the cases of another file."""
        self.end_of_files()
        if self.verbosity is Verbosity.NORMAL:
            self._line = f"{printable(name)} "

    def outcome(self, outcome: Outcome) -> None:
        """Take in what became of one case."""
        self.outcomes.append(outcome)
        if self.verbosity is Verbosity.NORMAL:
            self._dot("." if outcome.passed else "F")
        elif self.verbosity is Verbosity.VERBOSE:
            word = _green("PASSED") if outcome.passed else _red("FAILED")
            click.echo(f"{outcome.case.position} {printable(outcome.case.name)} {word}")

    def _dot(self, dot: str) -> None:
        if len(self._line) >= _WIDTH:
            self.end_of_files()
        self._line += dot

    def end_of_files(self) -> None:
        """Print what there is of a line of dots."""
        if self._line:
            name, _, dots = self._line.rpartition(" ")
            coloured = "".join(_red(dot) if dot == "F" else _green(dot) for dot in dots)
            click.echo(f"{name} {coloured}" if name else coloured)
        self._line = ""

    def failures(self) -> None:
        """Print each failure with what was expected, what was decided, and why."""
        if self.failed:
            click.echo(_title("FAILURES", "="))
        for outcome in self.failed:
            click.echo(_red(_title(printable(outcome.case.name), "_")))
            click.echo(f"{outcome.case.position}")
            for label, text in _explained(outcome):
                click.echo(f"  {label:<10}{printable(text)}")
            click.echo()

    def coverage(self, routes: Sequence[RouteReach]) -> None:
        """Print the routes with methods that no case reached; all routes where more is wanted."""
        if self.verbosity is Verbosity.QUIET:
            return
        verbose = self.verbosity is Verbosity.VERBOSE
        shown = [route for route in routes if route.missed or verbose]
        rows = [
            (f"{route.resource} {route.path}", [route], ", ".join(route.missed)) for route in shown
        ]
        width = max(_WIDTH // 2, *(len(name) + 1 for name, _, _ in rows)) if rows else _WIDTH // 2
        click.echo(_title("coverage of the policy", "-"))
        click.echo(_row("Route", _COUNTS, "Missing", width))
        for name, of, missing in rows:
            click.echo(_row(printable(name), _numbers(of), missing, width))
        click.echo(_row("TOTAL", _numbers(routes), "", width))

    def too_little(self, routes: Sequence[RouteReach], least: float) -> None:
        """Print that more was to be reached."""
        found = _percent(percentage(routes))
        click.echo(_red(f"FAIL: {found} is reached, and --min-coverage asks for {least:g}%"))

    def summary(self, seconds: float) -> None:
        """Print the last line."""
        failed = len(self.failed)
        counts = {
            "failed": failed,
            "passed": len(self.outcomes) - failed,
            "deselected": self.deselected,
        }
        text = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        line = f"{text} in {seconds:.2f}s"
        if self.verbosity is not Verbosity.QUIET:
            line = _title(line, "=")
        click.echo(_red(line) if failed else _green(line))


def _explained(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """What is to be said of a case that failed, each line with what it is about."""
    decision, request = outcome.decision, outcome.case.request
    for difference in outcome.differences:
        yield "expected", f"{difference.what} {_value(difference.what, difference.expected)}"
        yield "actual", f"{difference.what} {_value(difference.what, difference.actual)}"
    summary = summarize(decision)
    words = [summary.get(name) for name in ("decision", "reason", "mode")]
    yield "decided", ", ".join(str(word) for word in (*words, status(decision)) if word is not None)
    if decision.match is not None:
        yield "route", describe_requirement(decision.match.route, request.method)
    deny = refusal(decision)
    yield "token", describe_token(request, deny.issuer if deny else None)
    subject = outcome.subject
    keys = subject.keys.key_sets()
    yield "why", why(decision, request=request, policy=subject.policy, keys=keys, now=outcome.now)


def _value(what: str, value: str | None) -> str:
    """*value* as it may be shown: what is in `authorization` is a token."""
    if value is None:
        return "not set"
    return "set, and not shown" if what == "authorization" else value


def _title(text: str, rule: str) -> str:
    return f" {text} ".center(_WIDTH, rule)


def _row(name: str, numbers: Sequence[str], missing: str, width: int) -> str:
    cells = "".join(f"{number:>9}" for number in numbers)
    return f"{name:<{width}}{cells}   {missing}".rstrip()


def _numbers(routes: Sequence[RouteReach]) -> tuple[str, str, str]:
    methods = sum(len(route.methods) for route in routes)
    missed = sum(len(route.missed) for route in routes)
    return str(methods), str(missed), _percent(percentage(routes))


def _percent(value: float) -> str:
    """Rounded down: what is not all is never called 100%."""
    return f"{math.floor(value * 10) / 10:g}%"


def _red(text: str) -> str:
    return click.style(text, fg="red")


def _green(text: str) -> str:
    return click.style(text, fg="green")
