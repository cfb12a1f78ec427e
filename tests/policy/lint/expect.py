"""What lint says of a policy that is written to a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_service.policy.lint import RULES, lint
from authz_service.policy.loader import load
from tests.policy.folder import unmark

if TYPE_CHECKING:
    from authz_service.policy.lint import Finding
    from tests.policy.folder import Folder


def findings(folder: Folder, content: str) -> tuple[Finding, ...]:
    """Lint a policy of one file."""
    return lint(load([folder.write(content)], environment=folder.environment))


def warns(folder: Folder, code: str, marked: str, *messages: str) -> None:
    """Assert one warning of *code* at each mark, that *messages* are parts of them in order."""
    text, expected = unmark(marked)
    found = [finding for finding in findings(folder, text) if finding.code == code]
    places = [(finding.position.line, finding.position.column) for finding in found]
    assert places == expected, found
    for finding, message in zip(found, messages, strict=bool(messages)):
        assert message in finding.message


def passes(folder: Folder, code: str, content: str) -> None:
    """Assert that there is no warning of *code*."""
    assert code in RULES
    assert [finding for finding in findings(folder, content) if finding.code == code] == []
