"""The table of rules, and the run through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from authz_service.policy.lint.audit import audit
from authz_service.policy.lint.finding import Finding, Severity
from authz_service.policy.lint.hidden import hidden_by_host
from authz_service.policy.lint.issuers import (
    long_leeway,
    plain_http,
    unused_issuer,
    weaker_algorithm,
    weaker_claims,
    weaker_type,
)
from authz_service.policy.lint.routes import (
    no_methods,
    no_routes,
    public_other_methods,
    public_wildcard,
)
from authz_service.policy.lint.scopes import scope_case
from authz_service.policy.lint.templates import rest_in_template, shifting_variables
from authz_service.policy.lint.unreachable import unreachable_route
from authz_service.policy.loader import LoadedPolicy
from authz_service.policy.problems import Problem

Rule = Callable[[LoadedPolicy], Iterable[Problem]]

RULES: Final[Mapping[str, Rule]] = MappingProxyType({
    "audit": audit,
    "hidden-by-host": hidden_by_host,
    "http": plain_http,
    "long-leeway": long_leeway,
    "no-methods": no_methods,
    "no-routes": no_routes,
    "public-other-methods": public_other_methods,
    "public-wildcard": public_wildcard,
    "rest-in-template": rest_in_template,
    "scope-case": scope_case,
    "shifting-variables": shifting_variables,
    "unreachable-route": unreachable_route,
    "unused-issuer": unused_issuer,
    "weaker-algorithm": weaker_algorithm,
    "weaker-claims": weaker_claims,
    "weaker-type": weaker_type,
})  # fmt: skip
"""What each code looks for."""


def lint(loaded: LoadedPolicy, *, ignore: frozenset[str] = frozenset()) -> tuple[Finding, ...]:
    """Every warning about *loaded*, in the order of the files; rules in *ignore* are left out."""
    return tuple(
        sorted({
            Finding(Severity.WARNING, problem.position, code, problem.message)
            for code, rule in RULES.items()
            if code not in ignore
            for problem in rule(loaded)
        })
    )  # fmt: skip
