"""Scopes that a person reads as one and the service as two (RFC 6749, section 3.3)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from authz_service.policy.lint.walk import requirements
from authz_service.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.policy.loader import LoadedPolicy
    from authz_service.policy.place import Place


def scope_case(loaded: LoadedPolicy) -> Iterator[Problem]:
    """A scope that differs from another, which is used more or written earlier, only in case."""
    spellings: dict[str, dict[str, list[Place]]] = defaultdict(lambda: defaultdict(list))
    for scope, place in _scopes(loaded):
        spellings[scope.lower()][scope].append(place)
    for places in spellings.values():
        usual, *others = sorted(places, key=lambda spelling: -len(places[spelling]))
        for other in others:
            message = (
                f'"{other}" differs only in case from "{usual}" at {places[usual][0].position},'
                " and is another scope: write both the same"
            )
            yield Problem(places[other][0].position, message)


def _scopes(loaded: LoadedPolicy) -> Iterator[tuple[str, Place]]:
    for needed in requirements(loaded):
        for number, scope in enumerate(needed.fields.scopes):
            yield scope, needed.place / "scopes" / number
        for number, scope in enumerate(needed.fields.any_scope or ()):
            yield scope, needed.place / "any_scope" / number
