"""The file of an OpenAPI document: JSON or YAML, bounded before anything is built of it."""

from __future__ import annotations

import codecs
import errno
import json
import stat
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from authz_service.openapi.values import (
    MAX_DEPTH,
    MAX_VALUES,
    PLACED_DEPTH,
    TOO_DEEP,
    TOO_MANY,
    refusal,
    refuse_lone_surrogates,
)
from authz_service.openapi.yaml_values import read_yaml
from authz_service.policy.problems import Position

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from authz_service.openapi.values import Value, ValuePath

MAX_FILE_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """The value of one file, and where the values near its root stand; of JSON, only the file."""

    file: str
    value: Value
    positions: dict[ValuePath, Position] = field(default_factory=dict)

    def position(self, path: ValuePath) -> Position:
        """Where the value at *path*, or the nearest one around it, stands."""
        for length in range(min(len(path), PLACED_DEPTH), 0, -1):
            if (position := self.positions.get(path[:length])) is not None:
                return position
        return Position(self.file)


def read_source(path: Path) -> Source:
    """Read the file *path*, JSON or YAML whatever its name. Raises OpenApiError."""
    file = str(path)
    try:
        octets = _read(path)
    except OSError as error:
        raise refusal(Position(file), f"cannot be read: {error.strerror or error}") from None
    except ValueError:  # a NUL in the name
        raise refusal(Position(file), "cannot be read: not the name of a file") from None
    if len(octets) > MAX_FILE_BYTES:
        message = f"larger than {MAX_FILE_BYTES // 2**20} MiB: no document of this size is read"
        raise refusal(Position(file), message)
    try:
        text = octets.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise refusal(Position(file, line, 1), "the file is not UTF-8") from None
    source = _json(file, text) if text.lstrip()[:1] == "{" else None
    return source or Source(file, *read_yaml(file, text))


def _read(path: Path) -> bytes:
    """At most one byte more than a document may have. Raises OSError."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # to read a pipe could take for ever
        raise OSError(errno.EINVAL, "not a regular file")
    with path.open("rb") as stream:
        return stream.read(MAX_FILE_BYTES + 1)


# JSON


def _json(file: str, text: str) -> Source | None:
    """Read *text* as JSON; None where it may be YAML that begins with a brace."""

    def members(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
        value = dict(pairs)
        if len(value) < len(pairs):
            twice = Counter(name for name, _value in pairs).most_common(1)[0][0]
            raise refusal(Position(file), f'"{twice}" is twice in one object')
        return value

    try:
        value = json.loads(text, object_pairs_hook=members, parse_constant=_no_constant)
    except RecursionError:
        raise refusal(Position(file), TOO_DEEP) from None
    except ValueError:
        return None
    check_bounds(file, value)
    if "\\ud" in text or "\\uD" in text:
        refuse_lone_surrogates(file, value)
    return Source(file, value)


def _no_constant(_name: str) -> NoReturn:
    message = "NaN and Infinity are not JSON"
    raise ValueError(message)


def check_bounds(file: str, value: Value) -> None:
    """Refuse what is too deep, or too much where what is in two places counts twice.

    Raises OpenApiError.
    """
    level: list[Value] = [value]
    count, depth = 0, 0
    while level:
        count, depth = count + len(level), depth + 1
        if depth > MAX_DEPTH + 1 or count > MAX_VALUES:
            raise refusal(Position(file), TOO_MANY if count > MAX_VALUES else TOO_DEEP)
        level = [inner for outer in level for inner in _inner(outer)]


def _inner(value: Value) -> Iterable[Value]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
