"""Audit modes that were left on."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from authz_service.policy.lint.walk import files, requirements, resources, routes
from authz_service.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.policy.loader import LoadedPolicy
    from authz_service.policy.place import Place


def audit(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Each place that says `mode: audit`, at whatever level."""
    for place, mode in _modes(loaded):
        if mode == "audit":
            message = (
                "what is refused here is reported and let through: write enforce as soon as"
                " nothing is refused that should pass"
            )
            yield Problem((place / "mode").position, message)


def _modes(loaded: LoadedPolicy) -> Iterator[tuple[Place, str | None]]:
    return chain(
        ((place, fields.mode) for place, fields in files(loaded)),
        ((place, fields.mode) for place, fields in resources(loaded)),
        ((route.place, route.fields.mode) for route in routes(loaded)),
        ((needed.place, needed.fields.mode) for needed in requirements(loaded)),
    )
