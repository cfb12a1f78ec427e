"""Path variables in audiences and claims whose value a client can choose to mean something else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from authz_service.core.routes import Rest
from authz_service.core.templates import Template
from authz_service.policy.lint.walk import routes
from authz_service.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from authz_service.core.routes import PathPattern
    from authz_service.policy.lint.walk import WrittenRoute
    from authz_service.policy.loader import LoadedPolicy
    from authz_service.policy.place import Place

_VARIABLE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_IN_NO_SEGMENT: Final = re.compile(r"[%\\\x00-\x1f\x7f-\x9f]")


def rest_in_template(loaded: LoadedPolicy) -> Iterator[Problem]:
    """A variable that may be empty, and hold any number of segments, is part of what must match."""
    for route in routes(loaded):
        rests = _rests(route.fields.path)
        for place, template in _templates(route):
            for name in sorted(template.variables & rests):
                message = (
                    f"{{{name}}} is the rest of the path: it may be empty and may hold any number"
                    " of segments: bind the segment that is meant with a variable of its own"
                )
                yield Problem(place.position, message)


def shifting_variables(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Two variables between which a client can move the border, so that two paths read the same."""
    for route in routes(loaded):
        slashes = _rests(route.fields.path)
        if route.resource.encoded_slash == "keep":
            slashes = route.fields.path.variables
        for place, template in _templates(route):
            yield from _shifting(place, template, slashes)


def _shifting(place: Place, template: Template, slashes: frozenset[str]) -> Iterator[Problem]:
    _before, *pieces = _VARIABLE.split(template.text)
    names, separators = pieces[::2], pieces[1::2]
    for left, separator, right in zip(names, separators, names[1:], strict=False):
        may_hold_slash = bool({left, right} & slashes)
        if left != right and _can_hold(separator, may_hold_slash=may_hold_slash):
            message = (
                f'"{template.text}" is the same for several values of {{{left}}} and {{{right}}}:'
                f" a value may hold what is between them. {_ADVICE[may_hold_slash]}"
            )
            yield Problem(place.position, message)


_ADVICE: Final = {
    True: "Ask for one claim each",
    False: "Put / between them, or ask for one claim each",
}


def _can_hold(separator: str, *, may_hold_slash: bool) -> bool:
    """Whether the value of a variable may have *separator* in it."""
    return not _IN_NO_SEGMENT.search(separator) and (may_hold_slash or "/" not in separator)


def _rests(pattern: PathPattern) -> frozenset[str]:
    return frozenset(
        segment.name
        for segment in pattern.segments
        if isinstance(segment, Rest) and segment.name is not None
    )


def _templates(route: WrittenRoute) -> Iterator[tuple[Place, Template]]:
    """Every template with variables that a token for *route* may have to match."""
    methods = {name: needed for name, needed in route.fields.methods.items() if not needed.public}
    if route.fields.audience is not None:
        yield from _with_variables(route.place / "audience", route.fields.audience)
    elif methods:
        yield from _with_variables(route.resource_place / "audience", route.resource.audience)
    for name, needed in methods.items():
        place = route.place / "methods" / name
        yield from _with_variables(place / "audience", needed.audience or ())
        for claim, value in needed.claims.items():
            expected = [each for each in value.any_of or () if isinstance(each, Template)]
            yield from _with_variables(place / "claims" / claim.text / "any_of", expected)


def _with_variables(
    place: Place, templates: Sequence[Template]
) -> Iterator[tuple[Place, Template]]:
    for number, template in enumerate(templates):
        if template.variables:
            yield place / number, template
