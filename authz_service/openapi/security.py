"""What a document asks of a caller, and how much of it a policy can say: never less.

OpenAPI knows alternatives of combinations of schemes. A policy knows scopes that all must be there,
and scopes of which one must be there. What is neither becomes stricter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749, section 3.3


@dataclass(frozen=True, slots=True)
class Scheme:
    """A security scheme. Where *token* is false, it is none that this service checks.

    *issuer* is None where the document does not say who issues the tokens.
    """

    kind: str
    token: bool = True
    issuer: str | None = None
    has_scopes: bool = True


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to be let in: with every one of these at once. Without anything, for everybody."""

    token: bool = False
    scopes: tuple[str, ...] = ()
    issuers: frozenset[str] = frozenset()
    """Who must have issued the token; empty where the document does not say."""
    unchecked: tuple[str, ...] = ()
    """Schemes that this service does not check, in words."""
    roles: bool = False

    @property
    def is_open(self) -> bool:
        """Whether nothing at all is asked for."""
        return not self.token and not self.unchecked

    @property
    def is_possible(self) -> bool:
        """Whether there can be a token like this: of one issuer, with scopes that are scopes."""
        return len(self.issuers) <= 1 and all(_SCOPE_TOKEN.fullmatch(each) for each in self.scopes)


@dataclass(frozen=True, slots=True)
class Access:
    """What a policy asks for. *remarks* say where it differs from the document, and why.

    *denied* stands for nobody, *public* for everybody. *issuers* are None for any that there is.
    """

    denied: bool = False
    public: bool = False
    optional: bool = False
    scopes: tuple[str, ...] = ()
    any_scope: tuple[str, ...] = ()
    issuers: frozenset[str] | None = None
    remarks: tuple[str, ...] = ()


def alternative(
    requirement: Mapping[str, Sequence[str]], schemes: Mapping[str, Scheme]
) -> Alternative:
    """Read one Security Requirement Object (OpenAPI 3.1.1, section 4.8.30)."""
    used = [(schemes[name], name, scopes) for name, scopes in requirement.items()]
    tokens = [(scheme, scopes) for scheme, _name, scopes in used if scheme.token]
    return Alternative(
        token=bool(tokens),
        scopes=_unique(scope for _scheme, scopes in tokens for scope in scopes),
        issuers=frozenset(scheme.issuer for scheme, _scopes in tokens if scheme.issuer),
        unchecked=tuple(
            f"{scheme.kind} ({name:.50})" for scheme, name, _ in used if not scheme.token
        ),
        roles=any(scopes and not scheme.has_scopes for scheme, scopes in tokens),
    )


def access(alternatives: Sequence[Alternative]) -> Access:
    """What to ask for so that everybody who is let in meets one of *alternatives*."""
    tokens = [each for each in alternatives if each.token and each.is_possible]
    is_open = any(each.is_open for each in alternatives)
    remarks = tuple(_remarks(alternatives, anything_left=bool(tokens) or is_open))
    if not tokens:
        return Access(public=is_open, denied=not is_open, remarks=remarks)
    return replace(_tokens(tokens, remarks), optional=is_open)


def _tokens(alternatives: Sequence[Alternative], remarks: tuple[str, ...]) -> Access:
    necessary = _without_stricter(alternatives)
    scopes = _unique(scope for each in necessary for scope in each.scopes)
    issuers = frozenset(issuer for each in necessary for issuer in each.issuers)
    limit = issuers if all(each.issuers for each in necessary) else None
    if len(necessary) == 1:
        return Access(scopes=scopes, issuers=limit, remarks=remarks)
    one_issuer = len({each.issuers for each in necessary}) == 1
    if one_issuer and all(len(each.scopes) == 1 for each in necessary):
        return Access(any_scope=scopes, issuers=limit, remarks=remarks)
    options = " or ".join("+".join(each.scopes) or "any token" for each in necessary)
    remark = f"stricter than the document, which asks for {options:.200}"
    return Access(scopes=scopes, issuers=limit, remarks=(*remarks, remark))


def _without_stricter(alternatives: Sequence[Alternative]) -> list[Alternative]:
    """Leave out each that only those meet who meet another one of *alternatives* too."""
    kept: list[Alternative] = []
    for each in sorted(dict.fromkeys(alternatives), key=_strictness):
        if not any(_implies(each, other) for other in kept):
            kept.append(each)
    return [each for each in dict.fromkeys(alternatives) if each in kept]


def _strictness(each: Alternative) -> tuple[int, int, int]:
    return len(each.scopes), len(each.issuers), len(each.unchecked)


def _implies(stricter: Alternative, other: Alternative) -> bool:
    """Whether who meets *stricter* meets *other*, too."""
    return (
        set(other.scopes) <= set(stricter.scopes)
        and other.issuers <= stricter.issuers
        and set(other.unchecked) <= set(stricter.unchecked)
    )


def _remarks(alternatives: Sequence[Alternative], *, anything_left: bool) -> Iterable[str]:
    for each in alternatives:
        if each.token and not each.is_possible:
            if len(each.issuers) > 1:
                yield "left out: no token has two issuers"
            else:
                yield "left out: a scope has a character that no scope has"
        elif each.token:
            for scheme in each.unchecked:
                yield f"{scheme} is not checked here: your API must"
            if each.roles:
                yield "what the document calls roles is asked for as scopes"
        elif each.unchecked:
            left = "left out" if anything_left else "nobody is let in"
            yield f"{left}: {' and '.join(each.unchecked)} is not checked here"


def both(one: Access, other: Access) -> Access:
    """What to ask for so that everybody who is let in meets *one* and *other*."""
    remarks = _unique((*one.remarks, *other.remarks))
    if one.denied or other.denied:
        return Access(denied=True, remarks=remarks)
    if one.public or other.public:
        return replace(other if one.public else one, remarks=remarks)
    scopes, any_scope = (*one.scopes, *other.scopes), one.any_scope or other.any_scope
    if one.any_scope and other.any_scope and set(one.any_scope) != set(other.any_scope):
        scopes, any_scope = (*scopes, *one.any_scope, *other.any_scope), ()
    issuers = one.issuers if other.issuers is None else other.issuers
    if one.issuers is not None and other.issuers is not None:
        issuers = one.issuers & other.issuers
    if issuers is not None and not issuers:
        return Access(denied=True, remarks=(*remarks, "nobody is let in: no token has two issuers"))
    return Access(
        optional=one.optional and other.optional,
        scopes=_unique(scopes),
        any_scope=any_scope,
        issuers=issuers,
        remarks=remarks,
    )


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
