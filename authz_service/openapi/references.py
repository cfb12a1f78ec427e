"""References inside a document, followed; what is outside is refused, and never opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from authz_service.openapi.values import OpenApiError
from authz_service.policy.problems import Problem

if TYPE_CHECKING:
    from authz_service.openapi.source import Source
    from authz_service.openapi.values import Value, ValuePath

MAX_CHAIN: Final = 100

_NEEDED_COMPONENTS: Final = frozenset({"securitySchemes"})
_ONLY_WORDS: Final = frozenset({"$ref", "summary", "description"})


def pointer(path: ValuePath) -> str:
    """*path* as the fragment of a JSON Pointer (RFC 6901, section 6), for a person to read."""
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    return "#" + "".join(f"/{step}" for step in steps)


def problem(source: Source, path: ValuePath, message: str) -> Problem:
    """Place *message* in the file, and by the pointer to the value."""
    return Problem(source.position(path), f"{pointer(path)}: {message}" if path else message)


@dataclass(slots=True)
class References:
    """Puts in the place of each reference to a path item or a security scheme what it names."""

    source: Source
    root: dict[str, Value]
    problems: list[Problem] = field(default_factory=list)

    def resolve(self) -> dict[str, Value]:
        """Give the document with what matters resolved, and without what does not.

        Raises OpenApiError where that takes too long.
        """
        pruned = dict(self.root)
        paths, components = pruned.get("paths"), pruned.get("components")
        pruned.pop("webhooks", None)  # requests that the API sends, not those it gets
        if isinstance(paths, dict):
            pruned["paths"] = {
                name: self._resolved(item, ("paths", name))
                for name, item in paths.items()
                if not name.startswith("x-")
            }
            self._check_names(paths)
        if isinstance(components, dict):
            pruned["components"] = {
                kind: self._each(value, ("components", kind))
                for kind, value in components.items()
                if kind in _NEEDED_COMPONENTS
            }
        return pruned

    def _check_names(self, paths: dict[str, Value]) -> None:
        for name in paths:
            if not name.startswith(("/", "x-")):
                self._problem(("paths", name), "a path starts with /")

    def _each(self, value: Value, path: ValuePath) -> Value:
        if not isinstance(value, dict):
            return value
        return {name: self._resolved(inner, (*path, name)) for name, inner in value.items()}

    def _resolved(self, value: Value, path: ValuePath) -> Value:
        """Follow the references that *value* is, and lay the fields beside each over its target."""
        beside: dict[str, Value] = {}
        seen: set[str] = set()
        while isinstance(value, dict) and "$ref" in value:
            self._refuse_twice(value, beside, path)
            beside = {**value, **beside}
            value = self._target(beside.pop("$ref"), seen, path)
        if not isinstance(value, dict):
            return value
        self._refuse_twice(value, beside, path)
        return {**value, **beside}

    def _target(self, reference: Value, seen: set[str], path: ValuePath) -> Value:
        """What *reference* names; nothing where that is a problem."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            self._problem(path, f"{reference!r:.80} is outside this document: put it in here")
        elif reference in seen:
            self._problem(path, f"the reference {reference:.80} comes back to itself")
        elif len(seen) == MAX_CHAIN:
            message = f"a chain of more than {MAX_CHAIN} references"
            raise OpenApiError([problem(self.source, path, message)])
        else:
            seen.add(reference)
            try:
                return _at(self.root, reference)
            except LookupError:
                self._problem(path, f"the reference {reference:.80} leads nowhere")
        return {}

    def _refuse_twice(
        self, value: dict[str, Value], beside: dict[str, Value], path: ValuePath
    ) -> None:
        """What counts of a field in both places is undefined (OpenAPI 3.1.1, section 4.8.9)."""
        for name in sorted((value.keys() & beside.keys()) - _ONLY_WORDS):
            self._problem(path, f'"{name}" is beside the reference and in what it names')

    def _problem(self, path: ValuePath, message: str) -> None:
        self.problems.append(problem(self.source, path, message))


def _at(root: Value, reference: str) -> Value:
    """What the fragment *reference* points to. Raises LookupError."""
    value = root
    if reference == "#":
        return value
    if not reference.startswith("#/"):
        raise LookupError
    for escaped in unquote(reference[2:]).split("/"):
        step = escaped.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and step.isascii() and step.isdigit():
            value = value[int(step[:9])]
        elif isinstance(value, dict):
            value = value[step]
        else:
            raise LookupError
    return value
