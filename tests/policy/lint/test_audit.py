from __future__ import annotations

from typing import TYPE_CHECKING

from tests.policy.folder import policy_text
from tests.policy.lint.expect import passes, warns

if TYPE_CHECKING:
    from tests.policy.folder import Folder


def test_audit_is_told_at_every_level_where_it_is_written(folder: Folder) -> None:
    text = policy_text(
        resource="mode: »audit", route="mode: »audit", methods="{GET: {mode: »audit}}"
    ).replace("version: 1\n", "version: 1\nmode: »audit\n")
    warns(folder, "audit", text, *["reported and let through"] * 4)


def test_audit_of_a_file_is_told_once_whatever_inherits_it(folder: Folder) -> None:
    warns(folder, "audit", policy_text(top="mode: »audit"))


def test_enforce_is_fine_at_every_level(folder: Folder) -> None:
    text = policy_text(
        resource="mode: enforce",
        route="mode: enforce",
        methods="{GET: {mode: enforce}}",
        top="mode: enforce",
    )
    passes(folder, "audit", text)
