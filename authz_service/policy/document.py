"""YAML and JSON files as plain values that remember where each of them stood.

The YAML is the safe and plain part of YAML 1.2 that JSON's values fit into: strings, numbers,
booleans, null, sequences, mappings. Tags, anchors and a second document are errors; `yes`, `on`
and `012` are strings. The parser's events are read one by one, so depth and size are bounded
before anything is built.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from authz_service.policy.problems import PolicyError, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]
ValuePath = tuple[str | int, ...]
_Place = tuple[int, int]
"""Line and column; a `Position` of each value would take longer than to read the file."""

MAX_DEPTH: Final = 32
MAX_VALUES: Final = 150_000
"""Values of one file: each can be a mistake, and each mistake costs time and memory."""

_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOLEAN: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,299})", re.ASCII)
_FLOAT: Final = re.compile(
    r"[-+]?(?:0|[1-9][0-9]*)(?=[.eE])(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?", re.ASCII
)
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<bad>\$\{)")


@dataclass(slots=True)
class Document:
    """The value of one file, and the positions of its values and of the keys that name them.

    *problems* are those that did not keep the rest from being read.
    """

    file: str
    value: Value = None
    problems: list[Problem] = field(default_factory=list)
    _values: dict[ValuePath, _Place] = field(default_factory=dict)
    _keys: dict[ValuePath, _Place] = field(default_factory=dict)

    def position(self, path: ValuePath, *, key: bool = False) -> Position:
        """Where the value at *path* stands (its key, if *key*), or the nearest value around it.

        Steps of *path* that the file does not have are passed over: a validator may name the
        alternative that it tried.
        """
        known: ValuePath = ()
        for step in path:
            if (*known, step) in self._values:
                known = (*known, step)
        places = self._keys if key and known in self._keys else self._values
        return Position(self.file, *places.get(known, (1, 1)))


def read_document(
    file: str, text: str, environment: Mapping[str, str], *, begins_with: str = "version: 1"
) -> Document:
    """Parse *text*, the content of *file*, and replace `${NAME}` in its strings.

    *begins_with* is what to write into a file that is empty.
    Duplicate keys and unset names are among the document's problems; the first thing that is not
    YAML as described above raises PolicyError.
    """
    return _Reader(file, text, environment, begins_with).read()


class _Reader:
    """Builds one Document from the parser's events."""

    def __init__(
        self, file: str, text: str, environment: Mapping[str, str], begins_with: str
    ) -> None:
        self._begins_with = begins_with
        self._document = Document(file)
        self._text = text
        self._environment = environment
        self._count = 0
        self._next: Callable[[], yaml.Event]  # gives one event after the other

    def read(self) -> Document:
        try:
            self._next = _YAML_LOADER(_yaml_of(self._document.file, self._text)).get_event
            self._next()  # the stream starts
            if isinstance(event := self._next(), yaml.StreamEndEvent):
                why = f"the file is empty: start with {self._begins_with}"
                raise self._error(event.start_mark, why)
            self._document.value = self._value(self._next(), (), 0)
            self._next()  # the document ends
            if not isinstance(event := self._next(), yaml.StreamEndEvent):
                raise self._error(event.start_mark, "a file holds one document: remove ---")
        except yaml.MarkedYAMLError as error:
            raise self._error(error.problem_mark or error.context_mark, _why(error)) from error
        except yaml.reader.ReaderError as error:
            before = self._text.encode("utf-8")[: error.position].decode("utf-8", "ignore")
            line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
            position = Position(self._document.file, line + 1, column + 1)
            problems = (
                *self._document.problems,
                Problem(position, f"the file cannot be read as YAML: {error.reason}"),
            )
            raise PolicyError(problems) from error
        return self._document

    def _value(self, event: Any, path: ValuePath, depth: int) -> Value:  # noqa: ANN401
        self._document._values[path] = _place(event.start_mark)  # noqa: SLF001 - it is its maker
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._error(event.start_mark, f"more than {MAX_VALUES} values: use several files")
        if depth > MAX_DEPTH:
            raise self._error(event.start_mark, f"nested more than {MAX_DEPTH} deep")
        self._refuse_anchors_and_tags(event)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(path, depth)
        return self._mapping(path, depth)

    def _refuse_anchors_and_tags(self, event: Any) -> None:  # noqa: ANN401
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._error(event.start_mark, "anchors and aliases are not supported: repeat it")
        if event.tag not in {None, "!"}:
            raise self._error(event.start_mark, "YAML tags are not supported: remove it")

    def _sequence(self, path: ValuePath, depth: int) -> list[Value]:
        items: list[Value] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(event, (*path, len(items)), depth + 1))
        return items

    def _mapping(self, path: ValuePath, depth: int) -> dict[str, Value]:
        members: dict[str, Value] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            self._refuse_anchors_and_tags(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._error(event.start_mark, "a key must be a string")
            key, inner = event.value, (*path, event.value)
            if key in members:
                first = self._document.position(inner, key=True)
                position = self._at(event.start_mark)
                self._problem(position, f'"{key}" is here already, at line {first.line}')
                self._value(self._next(), (_OUT_OF_THE_WAY, *inner), depth + 1)
                continue
            self._document._keys[inner] = _place(event.start_mark)  # noqa: SLF001 - as above
            members[key] = self._value(self._next(), inner, depth + 1)
        return members

    def _scalar(self, event: yaml.ScalarEvent) -> Value:
        text: str = event.value
        plain = event.style in {None, ""} and event.tag is None
        if plain and _NULL.fullmatch(text):
            return None
        if plain and _BOOLEAN.fullmatch(text):
            return text[0] in "tT"
        if plain and _INTEGER.fullmatch(text):
            return int(text)
        if plain and _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return self._with_environment(text, event.start_mark) if "${" in text else text

    def _with_environment(self, text: str, mark: Any) -> str:  # noqa: ANN401 - as below
        position = self._at(mark)

        def value(reference: re.Match[str]) -> str:
            if reference["bad"]:
                self._problem(position, "after ${ comes a name and }; write $${ for a literal ${")
            if (name := reference["name"]) is None:
                return "${"
            if name not in self._environment:
                self._problem(position, f"the environment variable {name} is not set")
            return self._environment.get(name, "")

        return _REFERENCE.sub(value, text)

    def _at(self, mark: Any) -> Position:  # noqa: ANN401 - PyYAML's events and marks have no common type
        return Position(self._document.file, *_place(mark))

    def _problem(self, position: Position, message: str) -> None:
        self._document.problems.append(Problem(position, message))

    def _error(self, mark: Any, message: str) -> PolicyError:  # noqa: ANN401
        return PolicyError([*self._document.problems, Problem(self._at(mark), message)])


def _place(mark: Any) -> _Place:  # noqa: ANN401 - as above
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


_SURROGATES: Final = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)


def _yaml_of(file: str, text: str) -> str:
    """What of *text* is YAML; of a JSON file, two things are not.

    JSON has tabs between its tokens, and writes a character beyond U+FFFF as two escapes.
    """
    if not file.endswith(".json"):
        return text

    def character(pair: re.Match[str]) -> str:
        octets = bytes.fromhex(pair[2] + pair[3])
        return pair[1] + octets.decode("utf-16-be")

    return _SURROGATES.sub(character, text.replace("\t", " "))


def _why(error: yaml.MarkedYAMLError) -> str:
    """What libyaml found, or what was probably meant where that is known."""
    if error.context == "while scanning an alias":
        return 'put what starts with * in quotes: "*" or "*.example.com"'
    why = " ".join(part for part in (error.context, error.problem) if part)
    opened, found = error.context_mark, error.problem_mark
    if opened is not None and found is not None and opened.line != found.line:
        why += f" (it begins at line {opened.line + 1})"
    return why


_OUT_OF_THE_WAY: Final = "a value that does not count"

_YAML_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""libyaml's parser where the wheel has it; ten times faster than the one in Python."""
