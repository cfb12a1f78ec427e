"""Texts that somebody else chose, cut to a length that a log line can bear."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

MOST: Final = {"subject": 256, "client_id": 256, "scope": 1024, "audience": 512, "path": 1024}
"""Characters of each field, as JSON has them in ASCII: a `"` counts as 2, an `é` as 6."""

MOST_EXTENSIONS: Final = 8
EXTENSIONS_LENGTH: Final = 1024
"""Characters of all names and values together, counted in the same way."""

_QUOTES: Final = len('""')


def cut_long(fields: MutableMapping[str, object]) -> None:
    """Cut those of *fields* that are longer than `MOST`, and name them in `truncated`."""
    truncated = []
    extensions = fields.get("context_extensions")
    if isinstance(extensions, Mapping):
        fields["context_extensions"] = shown = _first_extensions(extensions)
        if shown != extensions:
            truncated.append("context_extensions")
    for name, most in MOST.items():
        text = fields.get(name)
        if isinstance(text, str):
            fields[name] = start = _start(text, most)
            if start is not text:
                truncated.append(name)
    if truncated:
        fields["truncated"] = truncated


def _first_extensions(extensions: Mapping[str, str]) -> dict[str, str]:
    """Give the first of *extensions* by name, as many and as much of them as a line can bear."""
    shown = {}
    left = EXTENSIONS_LENGTH
    for name in heapq.nsmallest(MOST_EXTENSIONS, extensions):
        left -= _length(name)
        if left < 0:
            break
        shown[name] = value = _start(extensions[name], left)
        left -= _length(value)
    return shown


def _length(text: str) -> int:
    return len(encode_basestring_ascii(text)) - _QUOTES


def _start(text: str, most: int) -> str:
    """Give *text* itself if it is short enough, else as much of it as is."""
    if len(text) <= most and _length(text) <= most:
        return text
    length = 0
    for index, character in enumerate(text):
        length += _length(character)
        if length > most:
            return text[:index]
    return text
