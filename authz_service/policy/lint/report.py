"""Findings as text for people, JSON for programs, and annotations for GitHub.

Whatever a file holds, each finding is one line of text, and what cannot be printed is escaped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import click

from authz_service.policy.lint.finding import Finding, Severity
from authz_service.policy.problems import printable

Report = Callable[[Sequence[Finding]], str]

_COLOURS: Final = MappingProxyType({Severity.ERROR: "red", Severity.WARNING: "yellow"})


def text_report(findings: Sequence[Finding]) -> str:
    """One line each, `file:line:column: severity[code]: message`, and how many there are."""
    return "".join(f"{line}\n" for line in (*map(_text, findings), _summary(findings)))


def _text(finding: Finding) -> str:
    kind = click.style(
        f"{finding.severity}[{finding.code}]", fg=_COLOURS[finding.severity], bold=True
    )
    return f"{printable(str(finding.position))}: {kind}: {printable(finding.message)}"


def _summary(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    errors, warnings = counts[Severity.ERROR], counts[Severity.WARNING]
    if errors:
        return f"{_counted(errors, 'error')}; warnings are told once there are no errors"
    return f"no errors, {_counted(warnings, 'warning')}"


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def json_report(findings: Sequence[Finding]) -> str:
    """A list of objects; `line` and `column` count from 1, and are null for a whole file."""
    members = [
        {
            "severity": finding.severity,
            "code": finding.code,
            "file": finding.position.file,
            "line": finding.position.line or None,
            "column": finding.position.column or None,
            "message": finding.message,
        }
        for finding in findings
    ]
    return json.dumps(members, indent=2) + "\n"


def github_report(findings: Sequence[Finding]) -> str:
    """Workflow commands, `::error file=…,line=…,col=…,title=…::message`, one a line."""
    return "".join(f"{_annotation(finding)}\n" for finding in findings)


def _annotation(finding: Finding) -> str:
    position = finding.position
    properties = {"file": position.file}
    if position.line:
        properties |= {"line": str(position.line), "col": str(position.column)}
    properties["title"] = finding.code
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{finding.severity} {listed}::{_escaped(finding.message)}"


def _escaped(text: str) -> str:
    """*text* after the `::` of a workflow command, where `%` starts an escape."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(escaped)


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


FORMATS: Final[Mapping[str, Report]] = MappingProxyType(
    {"text": text_report, "json": json_report, "github": github_report}
)
