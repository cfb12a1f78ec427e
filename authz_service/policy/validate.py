"""From the plain value of a file to its model, with every mistake in words of ours.

A file with mistakes is cut down to what is left without them, so that the compiler can look at the
rest and all that is wrong is told at once. Such a file never becomes a policy.
"""

from __future__ import annotations

import copy
import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ValidationError

from authz_service.policy.problems import Position, Problem
from authz_service.policy.schema import PolicyFields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import ErrorDetails

    from authz_service.policy.document import Document, Value, ValuePath

MOST_PROBLEMS: Final = 1000
"""Mistakes of one file that are told one by one."""

_EXPECTED: Final[Mapping[str, str]] = {
    "string_type": "write a string (in quotes, where it looks like a number)",
    "string_too_short": "write a string that is not empty",
    "list_type": "write a list: [a, b]",
    "too_short": "write at least one",
    "dict_type": "write a mapping: name: value",
    "model_type": "write a mapping: name: value",
    "bool_type": "write true or false",
    "greater_than": "write a duration above zero",
}


@dataclass(frozen=True, slots=True)
class ValidatedDocument:
    """What is well-formed of a document, and what is wrong with the rest.

    *fields* is None where nothing could be kept.
    """

    fields: PolicyFields | None
    problems: tuple[Problem, ...] = ()
    has_every_issuer: bool = True
    """No issuer had to be left out, so that a name which is none of theirs is nobody's."""


def validate_document(document: Document) -> ValidatedDocument:
    """Check the shape of *document*, apart from what its own problems say already."""
    if document.value is None:
        problem = Problem(document.position(()), "the file is empty: start with version: 1")
        return ValidatedDocument(None, (problem,))
    try:
        return ValidatedDocument(PolicyFields.model_validate(document.value))
    except ValidationError as invalid:
        problems = problems_of(document, invalid, PolicyFields)
        remains = None
        if invalid.error_count() <= MOST_PROBLEMS:  # else it is not worth the time
            remains = _validate_remains(document.value, invalid.errors(include_url=False))
        return ValidatedDocument(remains, problems, _has_every_issuer(document.value, remains))


def problems_of(
    document: Document,
    invalid: ValidationError,
    model: type[BaseModel],
    place_of: Callable[[ValuePath], ValuePath] = lambda path: path,
) -> tuple[Problem, ...]:
    """What *invalid* says of *document*, which is no *model*, in words of ours.

    *place_of* leads from a place in the model to the one in the file, where the two differ.
    """
    errors = invalid.errors(include_url=False, include_input=False)
    problems = [_problem(document, error, model, place_of) for error in errors[:MOST_PROBLEMS]]
    if len(errors) > MOST_PROBLEMS:
        message = f"and {len(errors) - MOST_PROBLEMS} more mistakes in this file"
        problems.append(Problem(Position(document.file), message))
    return tuple(problems)


def _has_every_issuer(value: Value, remains: PolicyFields | None) -> bool:
    issuers = value.get("issuers", []) if isinstance(value, dict) else None
    return (
        isinstance(issuers, list) and remains is not None and len(issuers) == len(remains.issuers)
    )


def _validate_remains(value: Value, errors: list[ErrorDetails]) -> PolicyFields | None:
    """Take out what *errors* complain of until nothing is wrong with what is left of *value*."""
    remains = copy.deepcopy(value)
    while isinstance(remains, dict):
        places = {_existing(remains, error["loc"]) for error in errors} - {(), ("version",)}
        for place in sorted(places, key=_order, reverse=True):
            if not any(place[:length] in places for length in range(len(place))):
                _take_out(remains, place)
        remains["version"] = 1
        try:
            return PolicyFields.model_validate(remains)
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False)
        if not places:
            break
    return None


def _existing(value: Any, path: ValuePath) -> ValuePath:  # noqa: ANN401 - whatever the file holds
    """The part of *path* that leads to a value; steps that *value* does not have are left out."""
    existing: ValuePath = ()
    for step in path:
        if (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and step in range(len(value))
        ):
            existing, value = (*existing, step), value[step]  # type: ignore[index]
    return existing


def _order(path: ValuePath) -> list[tuple[bool, int | str]]:
    """Later entries of a list last, so that, from the end, taking one out moves no other."""
    return [(isinstance(step, str), step) for step in path]


def _take_out(value: Any, path: ValuePath) -> None:  # noqa: ANN401 - whatever the file holds
    for step in path[:-1]:
        value = value[step]
    del value[path[-1]]


def _problem(
    document: Document,
    error: ErrorDetails,
    model: type[BaseModel],
    place_of: Callable[[ValuePath], ValuePath],
) -> Problem:
    at_key = error["type"] == "extra_forbidden" or "[key]" in error["loc"]
    path = tuple(step for step in error["loc"] if step != "[key]")
    return Problem(document.position(place_of(path), key=at_key), _message(error, path, model))


def _message(error: ErrorDetails, path: ValuePath, model: type[BaseModel]) -> str:
    kind = error["type"]
    whole = model.model_config.get("title") or "policy"
    name = next((step for step in reversed(path) if isinstance(step, str)), whole) or '""'
    if kind == "extra_forbidden":
        return f'unknown field "{name}"{_suggestion(name, path, model)}'
    if kind == "missing":
        return f'the field "{name}" is missing'
    if kind == "literal_error":
        expected = error["ctx"]["expected"].replace("'", "").replace("True", "true")
        return f"{name}: write {expected}"
    if kind == "value_error":
        return f"{name}: {error['ctx']['error']}"
    return f"{name}: {_EXPECTED.get(kind, error['msg'])}"


def _suggestion(name: str, path: ValuePath, model: type[BaseModel]) -> str:
    """The field that was probably meant, among those of the mapping that *path* leads to."""
    fields = _fields_at(path[:-1], model)
    near = difflib.get_close_matches(name, fields, n=1)
    return f': did you mean "{near[0]}"?' if near else f": write one of {', '.join(sorted(fields))}"


def _fields_at(path: ValuePath, model: type[BaseModel]) -> list[str]:
    for step in path:
        if isinstance(step, str) and step in model.model_fields:
            model = _model_in(model.model_fields[step].annotation) or model
    return [name for name in model.model_fields if name != "public"]  # it has a form of its own


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type expression
    """The model that *annotation* is or contains: in a list, a dict, an option."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (model := _model_in(argument)) is not None:
            return model
    return None
