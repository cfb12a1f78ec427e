"""The text of an OpenAPI document as plain values: JSON, or the plain part of YAML with aliases.

A document comes from somebody else, so everything is bounded before it is built: bytes, depth, and
values, where each alias counts as often as it is used.
"""

from __future__ import annotations

import codecs
import errno
import json
import math
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

import yaml

from authz_service.policy.problems import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
ValuePath = tuple[str | int, ...]

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 100
MAX_VALUES: Final = 2_000_000
_PLACED_DEPTH: Final = 4  # paths, /products, get, security

_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOLEAN: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,300}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)

_YAML_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class OpenApiError(Exception):
    """The document cannot be used. *problems* are in the order of the document."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Hold every one of *problems* once."""
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Source:
    """The value of one file, and where the values near its root stand; of JSON, only the file."""

    file: str
    value: Value
    positions: dict[ValuePath, Position] = field(default_factory=dict)

    def position(self, path: ValuePath) -> Position:
        """Where the value at *path*, or the nearest one around it, stands."""
        for length in range(min(len(path), _PLACED_DEPTH), 0, -1):
            if (position := self.positions.get(path[:length])) is not None:
                return position
        return Position(self.file)


def read_source(path: Path) -> Source:
    """Read the file *path*, JSON or YAML whatever its name. Raises OpenApiError."""
    file = str(path)
    try:
        octets = _read(path)
    except OSError as error:
        raise _error(Position(file), f"cannot be read: {error.strerror or error}") from None
    except ValueError:  # a NUL in the name
        raise _error(Position(file), "cannot be read: not the name of a file") from None
    if len(octets) > MAX_FILE_BYTES:
        message = f"larger than {MAX_FILE_BYTES // 2**20} MiB: no document of this size is read"
        raise _error(Position(file), message)
    try:
        text = octets.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise _error(Position(file, line, 1), "the file is not UTF-8") from None
    source = _json(file, text) if text.lstrip()[:1] == "{" else None
    return source or _Reader(file, text).read()


def _read(path: Path) -> bytes:
    """At most one byte more than a document may have. Raises OSError."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # to read a pipe could take for ever
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as stream:
        return stream.read(MAX_FILE_BYTES + 1)


def _error(position: Position, message: str) -> OpenApiError:
    return OpenApiError([Problem(position, message)])


# JSON


def _json(file: str, text: str) -> Source | None:
    """Read *text* as JSON; None where it may be YAML that begins with a brace."""

    def members(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
        value = dict(pairs)
        if len(value) < len(pairs):
            names = [name for name, _value in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise _error(Position(file), f'"{twice}" is twice in one object')
        return value

    try:
        value = json.loads(text, object_pairs_hook=members, parse_constant=_no_constant)
    except RecursionError:
        raise _error(Position(file), _TOO_DEEP) from None
    except ValueError:
        return None
    _check_bounds(file, value)
    if "\\ud" in text or "\\uD" in text:
        _refuse_lone_surrogates(file, value)
    return Source(file, value)


def _no_constant(_name: str) -> NoReturn:
    message = "NaN and Infinity are not JSON"
    raise ValueError(message)


_TOO_DEEP: Final = f"nested more than {MAX_DEPTH} deep"
_TOO_MANY: Final = f"more than {MAX_VALUES} values"


def _check_bounds(file: str, value: Value) -> None:
    level: list[Value] = [value]
    count, depth = 0, 0
    while level:
        count, depth = count + len(level), depth + 1
        if depth > MAX_DEPTH + 1 or count > MAX_VALUES:
            raise _error(Position(file), _TOO_MANY if count > MAX_VALUES else _TOO_DEEP)
        level = [inner for outer in level for inner in _inner(outer)]


def _inner(value: Value) -> Iterable[Value]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _refuse_lone_surrogates(file: str, value: Value) -> None:
    if isinstance(value, str) and value.isascii():
        return
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        message = "an escape \\ud800 to \\udfff stands alone: it is no character"
        raise _error(Position(file), message) from None


# YAML


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

    def read(self) -> Source:
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
            raise _error(self._at(mark), message) from None
        except yaml.reader.ReaderError as error:
            message = f"neither JSON nor YAML: {error.reason}"
            raise _error(Position(self._file), message) from None
        return Source(self._file, value, self._positions)

    def _next(self) -> Any:  # noqa: ANN401 - PyYAML's events have no common type
        return next(self._events)

    def _at(self, mark: Any) -> Position:  # noqa: ANN401 - the same
        if mark is None:
            return Position(self._file)
        return Position(self._file, mark.line + 1, mark.column + 1)

    def _error(self, event: Any, message: str) -> OpenApiError:  # noqa: ANN401 - the same
        return _error(self._at(event.start_mark), message)

    def _value(self, event: Any, path: ValuePath, depth: int) -> Value:  # noqa: ANN401 - the same
        if len(path) <= _PLACED_DEPTH:
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
            raise self._error(event, f"{_TOO_MANY}, counting what aliases repeat")
        if depth > MAX_DEPTH:
            raise self._error(event, _TOO_DEEP)

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
            _refuse_lone_surrogates(self._file, event.value)
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
            _refuse_lone_surrogates(self._file, key)
            if key == "<<":  # YAML 1.1's merge: what it brings must not be lost unseen
                raise self._error(event, "merge keys (<<) are not supported: repeat the fields")
            if key in members:
                raise self._error(event, f'"{key}" is twice in one mapping')
            if len(path) < _PLACED_DEPTH:
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
