"""From a path template of OpenAPI to a pattern of a policy, which cannot say all of them.

What a pattern cannot say becomes one that covers more, and is marked so; never one that covers
less, because a request that no longer finds its route could find a more generous one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from authz_service.core.routes import Literal, PathPattern

if TYPE_CHECKING:
    from collections.abc import Iterator

Shape = tuple[str | None, ...]
"""The literal segments of a pattern, None for each that is a variable: what tells two apart."""

MAX_TEMPLATE: Final = 8 * 1024

_VARIABLE: Final = re.compile(r"\{([^{}]*)\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_]", re.ASCII)
_AFTER_THE_PATH: Final = re.compile(r"[?#]")
_LONE_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SAFE: Final = "-._~!&'()+,=@:%"


class PathError(ValueError):
    """No request can have such a path, or none that is not refused as ambiguous."""


@dataclass(frozen=True, slots=True)
class RoutePath:
    """A pattern, and what is to say of it. With *wider*, it covers more than the template.

    A template has a final *slash* or not; a pattern matches both. *ends* are how each segment
    begins and ends in the template; *shape* is what two patterns have in common that a policy takes
    for equal.
    """

    pattern: PathPattern
    shape: Shape
    wider: bool = False
    slash: bool = False
    ends: tuple[tuple[str, str], ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()


def shape_of(pattern: PathPattern) -> Shape:
    """The shape of a *pattern* without `**`."""
    return tuple(
        segment.text if isinstance(segment, Literal) else None for segment in pattern.segments
    )


@lru_cache(maxsize=16)  # the servers of an operation often have one base
def route_path(base: str, template: str) -> RoutePath:
    """The pattern for *template* below *base*. Raises PathError."""
    if len(template) > MAX_TEMPLATE:
        message = f"it is longer than {MAX_TEMPLATE} characters"
        raise PathError(message)
    names = _Names()
    named = quote_base(base) + names.replace(template)
    path = _AFTER_THE_PATH.split(named, maxsplit=1)[0]
    segments = path.split("/")[1:]
    if slash := segments[-1:] == [""]:
        segments.pop()
    if "" in segments:
        message = "a path has no empty segment"
        raise PathError(message)
    written = [_segment(segment, names) for segment in segments]
    wider = path != named or any(written_wider for _text, written_wider in written)
    try:
        pattern = PathPattern.parse("/" + "/".join(text for text, _wider in written))
    except ValueError as error:
        raise PathError(str(error)) from None
    ends = tuple(_ends(segment) for segment in segments)
    return RoutePath(pattern, shape_of(pattern), wider, slash, ends, tuple(names.renamed))


def _ends(segment: str) -> tuple[str, str]:
    """What stands before the first variable of *segment* and after the last one."""
    return unquote(segment.partition("{")[0]), unquote(segment.rpartition("}")[2])


def quote_base(base: str) -> str:
    """The path of a server, which has no variables: a brace in it is only a brace."""
    return base.replace("{", "%7B").replace("}", "%7D")


class _Names:
    """Gives each variable of one template a name of its own that a pattern takes."""

    def __init__(self) -> None:
        self.renamed: list[tuple[str, str]] = []
        self._taken: set[str] = set()

    def replace(self, template: str) -> str:
        return _VARIABLE.sub(lambda match: "{" + self._name(match[1]) + "}", template)

    def _name(self, original: str) -> str:
        name = self.unused(original)
        if name != original:
            self.renamed.append((original, name))
        return name

    def unused(self, original: str) -> str:
        name = _NOT_IN_NAMES.sub("_", original)
        if not _NAME.fullmatch(name):
            name = f"_{name}"
        unique = next(option for option in _numbered(name) if option not in self._taken)
        self._taken.add(unique)
        return unique


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def _segment(segment: str, names: _Names) -> tuple[str, bool]:
    """How a pattern writes *segment*, and whether that covers more."""
    if _VARIABLE.fullmatch(segment):
        return segment, False
    if "{" in segment or "}" in segment:
        inside = _VARIABLE.findall(segment)
        name = inside[0] if len(inside) == 1 else names.unused("_".join(inside) or "part")
        return "{" + name + "}", True
    text = quote(_LONE_PERCENT.sub("%25", segment), safe=_SAFE)
    return (f"%3A{text[1:]}" if text.startswith(":") else text), False
