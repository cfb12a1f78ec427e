"""An OpenAPI 3.0 or 3.1 document, checked by the models of `openapi_pydantic`.

What decides who may call what is checked: servers, paths, operations, security. The reusable
schemas, examples and the like are left out before, so a cycle or a mistake in them disturbs nobody.
A reference is followed inside the document only: nothing is ever fetched, no other file is opened.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from openapi_pydantic.v3 import v3_0, v3_1
from pydantic import ValidationError

from authz_service.openapi.references import References, problem
from authz_service.openapi.source import Source, check_bounds, read_source
from authz_service.openapi.values import OpenApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from authz_service.openapi.values import Value, ValuePath
    from authz_service.policy.problems import Problem

OpenApi = v3_0.OpenAPI | v3_1.OpenAPI
PathItem = v3_0.PathItem | v3_1.PathItem
ApiOperation = v3_0.Operation | v3_1.Operation
SecurityScheme = v3_0.SecurityScheme | v3_1.SecurityScheme
Server = v3_0.Server | v3_1.Server

METHODS: Final = ("get", "head", "post", "put", "patch", "delete", "options", "trace")

_MODELS: Final[Mapping[str, type[OpenApi]]] = {"3.0": v3_0.OpenAPI, "3.1": v3_1.OpenAPI}
_VERSION: Final = re.compile(r"(3\.[01])(?:\.[0-9]+)?(?:-.*)?", re.ASCII)
_EMPTY_MEANS: Final = frozenset({"security", "servers"})
_WORDS: Final[Mapping[str, str]] = {
    "missing": "this field is missing",
    "string_type": "write a string (in quotes, where it looks like a number)",
    "list_type": "write a list",
    "dict_type": "write a mapping",
    "model_type": "write a mapping",
}


@dataclass(frozen=True, slots=True)
class ApiDocument:
    """One document: *model* is well-formed, every reference that matters to us is resolved."""

    source: Source
    model: OpenApi
    schemes: dict[str, SecurityScheme] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The name that the document was read by."""
        return self.source.file


def read_api(path: Path) -> ApiDocument:
    """Read the document *path*. Raises OpenApiError with every problem that was found."""
    return parse_api(read_source(path))


def parse_api(source: Source) -> ApiDocument:
    """Check what *source* holds. Raises OpenApiError with every problem that was found."""
    root = source.value
    if not isinstance(root, dict):
        raise OpenApiError([problem(source, (), "not an OpenAPI document: it is no mapping")])
    version = _version(source, root)
    references = References(source, root)
    pruned = references.resolve()
    check_bounds(source.file, pruned)
    pruned["openapi"] = f"{version}.0"
    problems = [*references.problems, *_empty_fields(source, pruned)]
    try:
        model = _MODELS[version].model_validate(pruned)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_input=False)
        problems += [
            _problem_of(source, pruned, error)
            for error in errors
            if error["loc"][-2:] != ("Reference", "$ref")  # the other way to read the same value
        ]
    else:
        problems += _unknown_fields(source, model, ())
    if problems:
        raise OpenApiError(problems)
    return ApiDocument(source, model, _schemes(model))


def _version(source: Source, root: dict[str, Value]) -> str:
    """`3.0` or `3.1`. Raises OpenApiError for every other document."""
    if "swagger" in root:
        message = f"this is Swagger {root['swagger']}: convert it to OpenAPI 3 first"
    elif "openapi" not in root:
        message = 'not an OpenAPI document: the field "openapi" is missing'
    elif match := _VERSION.fullmatch(str(root["openapi"])):
        return match[1]
    else:
        message = f"OpenAPI {root['openapi']} is not understood: 3.0 and 3.1 are"
    raise OpenApiError([problem(source, (), message[:200])])


def _schemes(model: OpenApi) -> dict[str, SecurityScheme]:
    schemes = (model.components.securitySchemes if model.components else None) or {}
    return {name: scheme for name, scheme in schemes.items() if isinstance(scheme, SecurityScheme)}


# What the models of the library let pass


def _empty_fields(source: Source, root: dict[str, Value]) -> Iterator[Problem]:
    """Fields that decide who gets in, left empty: nobody knows whether to restrict or to open."""
    for path, holder in _holders(root):
        for name in sorted(_EMPTY_MEANS & set(holder)):
            if holder[name] is None:
                yield problem(source, (*path, name), "left empty: write a list, or remove it")


def _holders(root: dict[str, Value]) -> Iterator[tuple[ValuePath, dict[str, Value]]]:
    yield (), root
    paths = root.get("paths")
    for name, item in paths.items() if isinstance(paths, dict) else ():
        if isinstance(item, dict):
            yield ("paths", name), item
            for method in METHODS:
                if isinstance(operation := item.get(method), dict):
                    yield ("paths", name, method), operation


def _unknown_fields(source: Source, value: object, path: ValuePath) -> Iterator[Problem]:
    """Fields that no extension and no field are: `secuirty` must not open what it should close."""
    if isinstance(value, _STRICT):
        names = {field.alias or name for name, field in type(value).model_fields.items()}
        for name in value.model_extra or {}:
            if not name.startswith("x-"):
                near = difflib.get_close_matches(name, names, n=1)
                hint = f': did you mean "{near[0]}"?' if near else ""
                yield problem(source, (*path, name), f"unknown field{hint}")
        for name, model_field in type(value).model_fields.items():
            inner = getattr(value, name)
            yield from _unknown_fields(source, inner, (*path, model_field.alias or name))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _unknown_fields(source, inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _unknown_fields(source, inner, (*path, number))


_STRICT: Final = (
    v3_0.OpenAPI, v3_0.PathItem, v3_0.Operation, v3_0.Server, v3_0.ServerVariable, v3_0.Components,
    v3_1.OpenAPI, v3_1.PathItem, v3_1.Operation, v3_1.Server, v3_1.ServerVariable, v3_1.Components,
)  # fmt: skip
"""Bodies, parameters and what else describes a payload say nothing of who may send it."""


def _problem_of(source: Source, root: Value, error: ErrorDetails) -> Problem:
    """One of the library's findings, in our words where we have some."""
    path: ValuePath = ()
    value = root
    steps = error["loc"]
    for number, step in enumerate(steps):
        known = (isinstance(value, dict) and step in value) or (
            isinstance(value, list) and isinstance(step, int) and step < len(value)
        )
        if known:
            path, value = (*path, step), value[step]  # type: ignore[index]
        elif number == len(steps) - 1 and error["type"] == "missing":
            path = (*path, step)
    return problem(source, path, _WORDS.get(error["type"], error["msg"]))
