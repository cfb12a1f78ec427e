"""`authz-service test`."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final

import click

from authz_service.cli.case_report import Report, Verbosity
from authz_service.cli.examples import examples
from authz_service.cli.exits import FAILED, refuse
from authz_service.cli.path_arguments import paths
from authz_service.policy import PolicyError, load_policy
from authz_service.policy.testing.cases import cases_of, read_case_file
from authz_service.policy.testing.find import NoTestsError, find, policy_paths
from authz_service.policy.testing.reach import percentage
from authz_service.policy.testing.run import Subject, run
from authz_service.policy.testing.tokens import TokenWriter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from authz_service.policy import Problem
    from authz_service.policy.testing.cases import Case, CaseFile

EXAMPLE: Final = """\
tests:
  - request: GET https://shop.example.com/products
    token: {claims: {aud: https://shopping.api, scope: "read:products"}}
    expect: allow
"""


@click.command(
    "test",
    epilog=examples(
        "authz-service test policy.yaml",
        "authz-service test --min-coverage 100 policies/",
        "authz-service test -v -k admin shop_test.yaml",
    ),
)
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(), callback=paths
)
@click.option(
    "--policy", multiple=True, metavar="PATH", type=click.Path(), callback=paths,
    help="Test this policy, whatever the files say. May be given more than once.",
)  # fmt: skip
@click.option("-k", "text", metavar="TEXT", help="Only the cases that have TEXT in their name.")
@click.option(
    "--min-coverage", type=click.FloatRange(0, 100), metavar="PERCENT",
    help="Fail where the cases reach less of the policy's methods than this.",
)  # fmt: skip
@click.option("-v", "--verbose", is_flag=True, help="One line for each case.")
@click.option("-q", "--quiet", is_flag=True, help="Failures and the last line alone.")
def command(  # noqa: PLR0913 - one for each option
    *,
    paths: tuple[Path, ...],
    policy: tuple[Path, ...],
    text: str | None,
    min_coverage: float | None,
    verbose: bool,
    quiet: bool,
) -> None:
    """Run the tests of a policy, and show which routes no test reaches.

    PATH is a file of tests, a policy (X_test.yaml tests X.yaml), or a directory, in which every
    *_test.yaml, *_test.yml and *_test.json counts, at any depth.
    """
    started = time.perf_counter()
    if verbose and quiet:
        raise click.UsageError("choose one of --verbose and --quiet")
    report = Report(Verbosity.of(verbose=verbose, quiet=quiet))
    try:
        subjects = _run(_read(paths, policy), text, report)
    except PolicyError as error:
        refuse(*(str(problem) for problem in error.problems))
    except NoTestsError as error:
        refuse(
            f"{error}: no tests here; to begin, write to policy_test.yaml:", "", EXAMPLE.rstrip()
        )
    if not report.outcomes:
        refuse(f"no case has {text!r} in its name")
    report.failures()
    routes = [route for subject in subjects for route in subject.reach.routes()]
    report.coverage(routes)
    enough = min_coverage is None or percentage(routes) >= min_coverage
    if not enough:
        report.too_little(routes, min_coverage or 0)
    report.summary(time.perf_counter() - started)
    sys.exit(0 if enough and not report.failed else FAILED)


def _read(
    paths: Iterable[Path], policy: tuple[Path, ...]
) -> list[tuple[CaseFile, Subject, float, list[Case]]]:
    """Read every file with its policy, each policy once.

    Raises NoTestsError, and PolicyError with the problems of every file.
    """
    problems: list[Problem] = []
    subjects: dict[tuple[str, ...], Subject] = {}
    suites = []
    for path in find(paths, os.environ):
        try:
            file = read_case_file(path, os.environ)
            subject = _subject(policy or policy_paths(file), subjects)
            now = float(int(time.time())) if file.fields.now is None else file.fields.now
            writer = TokenWriter(subject.policy, subject.keys, file.fields.tokens, now)
            suites.append((file, subject, now, cases_of(file, writer)))
        except PolicyError as error:
            problems += error.problems
    if problems:
        raise PolicyError(problems)
    return suites


def _subject(paths: tuple[Path, ...], subjects: dict[tuple[str, ...], Subject]) -> Subject:
    key = tuple(os.path.realpath(path) for path in paths)
    if key not in subjects:
        subjects[key] = Subject.of(load_policy(paths, environment=os.environ))
    return subjects[key]


def _run(
    suites: Iterable[tuple[CaseFile, Subject, float, list[Case]]], text: str | None, report: Report
) -> list[Subject]:
    """Run every case that has *text* in its name, and give every policy that there was."""
    subjects: dict[int, Subject] = {}
    for file, subject, now, cases in suites:
        subjects[id(subject)] = subject
        chosen = [case for case in cases if text is None or text.lower() in case.name.lower()]
        report.deselected += len(cases) - len(chosen)
        if chosen:
            report.file(str(file.path))
        for case in chosen:
            report.outcome(run(case, subject, now))
    report.end_of_files()
    return list(subjects.values())
