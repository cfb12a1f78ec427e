"""A document as the text of a policy, with notes on what a person must look at."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from authz_service.openapi.draft import draft
from authz_service.openapi.operations import issuers, operations
from authz_service.openapi.writer import Words, policy_text
from authz_service.policy.problems import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_service.openapi.document import ApiDocument
    from authz_service.openapi.operations import Operation

# Names that never resolve (RFC 6761, section 6.4), so that nothing is accepted by accident.
UNKNOWN_ISSUER: Final = "https://issuer.invalid"
UNKNOWN_AUDIENCE: Final = "https://audience.invalid"

_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")
_CLOSED: Final = "the document asks for nothing anywhere, so each operation needs a valid token"


@dataclass(frozen=True, slots=True)
class Choices:
    """What the operator knows better than the document."""

    issuer: str | None = None
    audience: str | None = None
    preset: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedPolicy:
    """The text of a policy. *notes* are what to check, in the order of the document."""

    text: str
    notes: tuple[Problem, ...]


def import_policy(document: ApiDocument, choices: Choices) -> ImportedPolicy:
    """Write a policy that lets nobody in whom *document* keeps out. Raises OpenApiError."""
    named = _issuers(document, choices)
    found = operations(document)
    if len(named) <= 1:
        found = tuple(_from_any_issuer(operation) for operation in found)
    drafted = draft(found)
    if not named and drafted.needs_tokens:
        named = ((UNKNOWN_ISSUER, "replace this: the document does not name the issuer"),)
    words = Words(
        name=choices.name or _name(document.model.info.title),
        issuers=named,
        audience=_audience(found, choices),
        preset=choices.preset,
        remarks=tuple(_opening(document, found)),
    )
    general = (
        Problem(Position(document.file), note)
        for note in _notes(words, found, drafted.needs_tokens)
    )
    return ImportedPolicy(policy_text(drafted, words), (*general, *drafted.notes))


def _issuers(document: ApiDocument, choices: Choices) -> tuple[tuple[str, str], ...]:
    if choices.issuer is not None:
        return ((choices.issuer, ""),)
    return tuple(
        (issuer.url, "" if issuer.sure else "check this: a guess from where tokens are got")
        for issuer in issuers(document)
    )


def _from_any_issuer(operation: Operation) -> Operation:
    """Where a policy has one issuer, there is no need to say which."""
    if operation.alternatives is None:
        return operation
    alternatives = tuple(replace(each, issuers=frozenset()) for each in operation.alternatives)
    return replace(operation, alternatives=alternatives)


def _name(title: str) -> str:
    """A short name for logs and metrics."""
    return _NOT_IN_NAMES.sub("-", title.lower())[:60].strip("-") or "api"


def _audience(found: Iterable[Operation], choices: Choices) -> tuple[str, str]:
    if choices.audience is not None:
        return choices.audience, ""
    for operation in found:
        for address in operation.addresses.values:
            if address.url is not None:
                return address.url, "check this: the API resource's identifier"
    return UNKNOWN_AUDIENCE, "replace this: the API resource's identifier"


def _opening(document: ApiDocument, found: Iterable[Operation]) -> Iterator[str]:
    info = document.model.info
    yield f"{info.title:.100} {info.version:.40}, from {PurePath(document.file).name}"
    if any(operation.alternatives is None for operation in found):
        yield f"{_CLOSED[0].upper()}{_CLOSED[1:]}."


def _notes(words: Words, found: Iterable[Operation], needs_tokens: bool) -> Iterator[str]:  # noqa: FBT001 - one of three facts
    if any(operation.alternatives is None for operation in found):
        yield _CLOSED
    if not needs_tokens:
        return
    for issuer, remark in words.issuers:
        if remark:
            yield f"the issuer {issuer} is not in the document: check it, or give --issuer"
    if words.audience[1]:
        audience = words.audience[0]
        yield f"the audience {audience} is not in the document: check it, or give --audience"
