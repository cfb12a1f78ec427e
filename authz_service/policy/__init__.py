"""The policy file: read with positions, checked as a whole, compiled to `core.policy.Policy`.

What is wrong keeps a policy from loading; `policy.lint` says what is only suspicious.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_service.policy.problems import PolicyError, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from authz_service.core.policy import Policy
    from authz_service.policy.files import FilesRead

__all__ = ["PolicyError", "Position", "Problem", "load_policy"]


def load_policy(
    paths: Iterable[Path], *, environment: Mapping[str, str], files: FilesRead | None = None
) -> Policy:
    """Read the policy that *paths* make together, as `loader.load` does, and forget its files."""
    # What reads a policy takes 11 MiB, and the process that answers Checks has no use for it.
    from authz_service.policy.loader import load  # noqa: PLC0415

    return load(paths, environment=environment, files=files).policy
