"""What came of loading a policy in a process of its own, as that tells it to the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_service.policy.difference import PolicyDifference

if TYPE_CHECKING:
    from authz_service.policy.files import FilesRead
    from authz_service.policy.problems import Problem


@dataclass(frozen=True, slots=True)
class Outcome:
    """A policy as a *parcel*, and its *changes*; or else the *problems*; or else a *fault* of ours.

    *files* are what was read, whatever came of it.
    """

    files: FilesRead
    parcel: bytes = b""
    changes: PolicyDifference = field(default_factory=PolicyDifference)
    problems: tuple[Problem, ...] = ()
    fault: str | None = None
