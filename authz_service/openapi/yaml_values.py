"""The plain part of YAML, with aliases, as values with the places of those near the root.

The parser's events are read one by one: depth and number are bounded before anything is built, and
what an alias stands for counts as often as it is used.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml

from authz_service.openapi.values import (
    MAX_DEPTH,
    MAX_VALUES,
    PLACED_DEPTH,
    TOO_DEEP,
    TOO_MANY,
    refusal,
    refuse_lone_surrogates,
)
from authz_service.policy.problems import Position

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.openapi.values import OpenApiError, Value, ValuePath

_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOLEAN: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,300}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)

_YAML_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def read_yaml(file: str, text: str) -> tuple[Value, dict[ValuePath, Position]]:
    """Read the one document in *text*. Raises OpenApiError."""
    return _Reader(file, text).read()


@dataclass(slots=True)
class _Anchored:
    """What an anchor names, and what it counts; None while it is being read."""

    value: Value = None
    size: int | None = None
    depth: int = 0


class _Reader:
    """Builds values from the parser's events, one by one."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._events: Iterator[yaml.Event] = yaml.parse(text, _YAML_LOADER)
        self._anchors: dict[str, _Anchored] = {}
        self._positions: dict[ValuePath, Position] = {}
        self._count = 0
        self._deepest = 0

    def read(self) -> tuple[Value, dict[ValuePath, Position]]:
        try:
            self._next()  # the stream starts
            if isinstance(event := self._next(), yaml.StreamEndEvent):
                raise self._error(event, "the file is empty")
            value = self._value(self._next(), (), 0)
            self._next()  # the document ends
            if not isinstance(event := self._next(), yaml.StreamEndEvent):
                raise self._error(event, "one document is expected: remove ---")
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            why = " ".join(part for part in (error.context, error.problem) if part)
            message = f"neither JSON nor YAML: {why}"
            raise refusal(self._at(mark), message) from None
        except yaml.reader.ReaderError as error:
            message = f"neither JSON nor YAML: {error.reason}"
            raise refusal(Position(self._file), message) from None
        return value, self._positions

    def _next(self) -> Any:  # noqa: ANN401 - PyYAML's events have no common type
        return next(self._events)

    def _at(self, mark: Any) -> Position:  # noqa: ANN401 - the same
        if mark is None:
            return Position(self._file)
        return Position(self._file, mark.line + 1, mark.column + 1)

    def _error(self, event: Any, message: str) -> OpenApiError:  # noqa: ANN401 - the same
        return refusal(self._at(event.start_mark), message)

    def _value(self, event: Any, path: ValuePath, depth: int) -> Value:  # noqa: ANN401 - the same
        if len(path) <= PLACED_DEPTH:
            self._positions.setdefault(path, self._at(event.start_mark))
        self._take(event, 1, depth)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if event.anchor is None:
            return self._own_value(event, path, depth)
        anchored = self._anchors[event.anchor] = _Anchored()
        before, self._deepest, deepest = self._count, depth, self._deepest
        anchored.value = self._own_value(event, path, depth)
        anchored.size, anchored.depth = self._count - before, self._deepest - depth
        self._deepest = max(deepest, self._deepest)
        return anchored.value

    def _take(self, event: Any, values: int, depth: int) -> None:  # noqa: ANN401 - the same
        """Count *values* more, the deepest of them at *depth*."""
        self._count += values
        self._deepest = max(self._deepest, depth)
        if self._count > MAX_VALUES:
            raise self._error(event, f"{TOO_MANY}, counting what aliases repeat")
        if depth > MAX_DEPTH:
            raise self._error(event, TOO_DEEP)

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Value:
        anchored = self._anchors.get(event.anchor or "")
        if anchored is None:
            raise self._error(event, f"no anchor is named {event.anchor}")
        if anchored.size is None:
            raise self._error(event, f"the anchor {event.anchor} holds itself")
        self._take(event, anchored.size, depth + anchored.depth)
        return anchored.value

    def _own_value(self, event: Any, path: ValuePath, depth: int) -> Value:  # noqa: ANN401 - as above
        if event.tag not in {None, "!"}:
            raise self._error(event, "YAML tags are not supported: remove it")
        if isinstance(event, yaml.ScalarEvent):
            refuse_lone_surrogates(self._file, event.value)
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _sequence(self, path: ValuePath, depth: int) -> list[Value]:
        items: list[Value] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: ValuePath, depth: int) -> dict[str, Value]:
        members: dict[str, Value] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event, "a key must be a string")
            key = event.value
            refuse_lone_surrogates(self._file, key)
            if key == "<<":  # YAML 1.1's merge: what it brings must not be lost unseen
                raise self._error(event, "merge keys (<<) are not supported: repeat the fields")
            if key in members:
                raise self._error(event, f'"{key}" is twice in one mapping')
            if len(path) < PLACED_DEPTH:
                self._positions[*path, key] = self._at(event.start_mark)
            members[key] = self._value(self._next(), (*path, key), depth + 1)
        return members


def _scalar(event: yaml.ScalarEvent) -> Value:
    text: str = event.value
    if event.style not in {None, ""} or event.tag is not None:
        return text
    if _NULL.fullmatch(text):
        return None
    if _BOOLEAN.fullmatch(text):
        return text[0] in "tT"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text
