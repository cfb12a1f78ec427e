"""What has changed from one policy to the next, by names that the operator knows."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

from authz_service.core.conditions import ClaimCondition
from authz_service.core.policy import Policy, Requirement, TokenRequirement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from authz_service.core.policy import Route

MAX_NAMES: Final = 20
"""Names that are told of each kind of change; of more, how many there are."""

_MAX_CHARS: Final = 300
_TOLD_BY_NAME: Final = frozenset({"issuers", "hosts", "used_issuers"})


@dataclass(frozen=True, slots=True)
class Changes:
    """The names of what is there now, is there no more, and is there still and is different."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class PolicyDifference:
    """What differs; false where nothing does. A route is `resource METHOD /path`.

    *settings* are the fields of the policy that differ and are neither routes nor issuers.
    """

    routes: Changes = Changes()
    issuers: Changes = Changes()
    settings: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.routes or self.issuers or self.settings)

    def as_fields(self) -> dict[str, object]:
        """For a log line: how many there are of each kind of change, and the names of some."""
        told: dict[str, object] = {}
        for kind, changes in (("routes", self.routes), ("issuers", self.issuers)):
            for change in ("added", "removed", "changed"):
                names = getattr(changes, change)
                told[f"{kind}_{change}"] = len(names)
                if names:
                    told[f"{kind}_{change}_names"] = shortened(names, MAX_NAMES)
        return told | {"settings_changed": list(self.settings)}


def shortened(lines: Sequence[str], most: int) -> list[str]:
    """*most* of *lines* at the most, none of them long, and how many more there are."""
    shown = [
        line if len(line) <= _MAX_CHARS else f"{line[: _MAX_CHARS - 3]}..." for line in lines[:most]
    ]
    return shown if len(lines) <= most else [*shown, f"and {len(lines) - most} more"]


def difference(old: Policy, new: Policy) -> PolicyDifference:
    """Compare what *old* and *new* say; where in the files they say it is nothing."""
    return PolicyDifference(
        routes=_changes(_rules(old), _rules(new)),
        issuers=_changes(
            {issuer.name: issuer for issuer in old.issuers},
            {issuer.name: issuer for issuer in new.issuers},
        ),
        settings=tuple(
            field.name
            for field in fields(Policy)
            if field.name not in _TOLD_BY_NAME
            and getattr(old, field.name) != getattr(new, field.name)
        ),
    )


def _changes(old: Mapping[str, object], new: Mapping[str, object]) -> Changes:
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(name for name in old.keys() & new.keys() if old[name] != new[name])),
    )


def _rules(policy: Policy) -> dict[str, object]:
    """What each method of each route asks for, on which hosts."""
    rules: dict[str, tuple[object, set[str]]] = {}
    for host, routes in policy.hosts.values.items():
        for route in routes:
            for name, rule in _rules_of(route):
                rules.setdefault(name, (rule, set()))[1].add(str(host))
    return dict(rules)


def _rules_of(route: Route) -> Iterator[tuple[str, object]]:
    rest = replace(route, methods={}, other_methods=None)
    for method, requirement in route.methods.items():
        yield f"{route.resource} {method} {route.pattern.text}", (rest, _asked(requirement))
    if route.other_methods is not None:
        yield f"{route.resource} * {route.pattern.text}", (rest, _asked(route.other_methods))


def _asked(requirement: Requirement) -> object:
    """What *requirement* asks for. Its issuers count by name: their own changes are told apart."""
    if not isinstance(requirement, TokenRequirement):
        return requirement
    names = {identifier: issuer.name for identifier, issuer in requirement.issuers.items()}
    types = [  # to Python, true and 1 are the same
        type(value)
        for condition in requirement.conditions
        if isinstance(condition, ClaimCondition)
        for value in condition.any_of or ()
    ]
    return replace(requirement, issuers={}), names, types
