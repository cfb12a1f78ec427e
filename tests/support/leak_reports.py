"""What tells pytest of leaks: the test fails in which something was said that must not be said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.leaks import GUARD, stand_guard

if TYPE_CHECKING:
    from collections.abc import Generator


def pytest_configure() -> None:
    """Stand guard before the first test is even imported."""
    stand_guard()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what leaked, whatever else it did; what pytest has captured is looked at, too."""
    report = yield
    for title, text in report.sections:
        if title.endswith(f" {report.when}"):
            GUARD.look(text, title)
    if leaks := GUARD.take():
        told = f"leaked: {', '.join(sorted(set(leaks)))}"
        report.sections.append(("leaks", told))
        if not report.failed:
            report.outcome, report.longrepr = "failed", told
    return report
