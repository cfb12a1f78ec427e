from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import click
import pytest

from authz_service.policy import PolicyError, Position, Problem
from authz_service.policy.lint import RULES, Finding, Severity, lint, mistakes
from authz_service.policy.lint.report import github_report, json_report, text_report
from authz_service.policy.loader import load
from tests.policy.folder import policy_text
from tests.policy.lint.expect import findings

if TYPE_CHECKING:
    from tests.policy.folder import Folder

ERROR: Final = Finding(Severity.ERROR, Position("a.yaml", 3, 5), "policy", "write 1")
WHOLE: Final = Finding(Severity.ERROR, Position("b.yaml"), "policy", "cannot be read")
WARNING: Final = Finding(Severity.WARNING, Position("a.yaml", 2, 1), "audit", "write enforce")
HOSTILE: Final = Finding(
    Severity.WARNING, Position("a,b:c%\n.yaml", 1, 1), "x", "100%\r\n::error::\x1b[31m \u202e"
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((), "no errors, no warnings\n"),
        (
            (ERROR, WHOLE),
            (
                "a.yaml:3:5: error[policy]: write 1\n"
                "b.yaml: error[policy]: cannot be read\n"
                "2 errors; warnings are told once there are no errors\n"
            ),
        ),
        (
            (ERROR,),
            (
                "a.yaml:3:5: error[policy]: write 1\n"
                "1 error; warnings are told once there are no errors\n"
            ),
        ),
        ((WARNING,), "a.yaml:2:1: warning[audit]: write enforce\nno errors, 1 warning\n"),
        (
            (HOSTILE,),
            (
                "a,b:c%\\n.yaml:1:1: warning[x]: 100%\\r\\n::error::\\x1b[31m \\u202e\n"
                "no errors, 1 warning\n"
            ),
        ),
    ],
)
def test_text_is_one_line_each_and_a_summary(found: tuple[Finding, ...], expected: str) -> None:
    assert click.unstyle(text_report(found)) == expected


def test_text_has_the_severity_in_colour() -> None:
    assert "\x1b[31m\x1b[1merror[policy]\x1b[0m" in text_report([ERROR])
    assert "\x1b[33m\x1b[1mwarning[audit]\x1b[0m" in text_report([WARNING])


def test_json_is_a_list_of_objects() -> None:
    assert json.loads(json_report([])) == []
    assert json.loads(json_report([ERROR, WHOLE])) == [
        {
            "severity": "error",
            "code": "policy",
            "file": "a.yaml",
            "line": 3,
            "column": 5,
            "message": "write 1",
        },
        {
            "severity": "error",
            "code": "policy",
            "file": "b.yaml",
            "line": None,
            "column": None,
            "message": "cannot be read",
        },
    ]


def test_json_is_printable_ascii_and_loses_nothing() -> None:
    text = json_report([HOSTILE])
    assert text.replace("\n", "").isascii()
    assert text.replace("\n", "").isprintable()
    assert json.loads(text)[0]["message"] == HOSTILE.message
    assert json.loads(text)[0]["file"] == HOSTILE.position.file


def test_github_has_one_command_each() -> None:
    assert github_report([]) == ""
    assert github_report([ERROR, WHOLE, WARNING]) == (
        "::error file=a.yaml,line=3,col=5,title=policy::write 1\n"
        "::error file=b.yaml,title=policy::cannot be read\n"
        "::warning file=a.yaml,line=2,col=1,title=audit::write enforce\n"
    )


def test_github_commands_are_escaped() -> None:
    assert github_report([HOSTILE]) == (
        "::warning file=a%2Cb%3Ac%25%0A.yaml,line=1,col=1,title=x"
        "::100%25%0D%0A::error::\\x1b[31m \\u202e\n"
    )


# What lint gives to report


def test_findings_come_in_the_order_of_files_and_lines(folder: Folder) -> None:
    text = policy_text(resource="mode: audit", route="mode: audit", methods="{}")
    folder.write(text.replace("shop.example", "b"), "b.yaml")
    folder.write("version: 1\nissuers: [{issuer: https://c, leeway: 1h}]\n", "a.yaml")
    found = lint(load([folder.path], environment={}))
    assert len(found) == 6
    assert list(found) == sorted(found)
    assert [finding.position for finding in found] == sorted(finding.position for finding in found)


def test_an_ignored_code_is_left_out_and_no_other(folder: Folder) -> None:
    loaded = load([folder.write(policy_text(route="mode: audit", methods="{}"))], environment={})
    codes = {finding.code for finding in lint(loaded)}
    assert codes == {"audit", "no-methods", "unused-issuer"}
    left = lint(loaded, ignore=frozenset({"audit"}))
    assert {finding.code for finding in left} == codes - {"audit"}
    assert lint(loaded, ignore=frozenset(RULES)) == ()


def test_a_good_policy_has_no_findings(folder: Folder) -> None:
    assert findings(folder, policy_text()) == ()


def test_the_problems_of_a_policy_are_errors_in_the_words_of_the_loader() -> None:
    problems = [Problem(Position("b", 1, 1), "one"), Problem(Position("a"), "two")]
    assert mistakes(PolicyError(problems)) == (
        Finding(Severity.ERROR, Position("a"), "policy", "two"),
        Finding(Severity.ERROR, Position("b", 1, 1), "policy", "one"),
    )


def test_errors_are_worse_than_warnings() -> None:
    assert sorted([WARNING, WHOLE, ERROR]) == [ERROR, WHOLE, WARNING]
