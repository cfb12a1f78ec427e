"""Texts that somebody else chose, cut to a length that a log line can bear."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

MOST: Final = {"subject": 256, "client_id": 256, "scope": 1024, "audience": 512, "path": 1024}
"""Characters of each field, as JSON has them in ASCII: a `"` counts as 2, an `é` as 6."""

_QUOTES: Final = len('""')


def cut_long(fields: MutableMapping[str, object]) -> None:
    """Cut those of *fields* that are longer than `MOST`, and name them in `truncated`."""
    truncated = []
    for name, most in MOST.items():
        text = fields.get(name)
        if isinstance(text, str):
            fields[name] = start = _start(text, most)
            if start is not text:
                truncated.append(name)
    if truncated:
        fields["truncated"] = truncated


def _start(text: str, most: int) -> str:
    """Give *text* itself if it is short enough, else as much of it as is."""
    if len(text) <= most and len(encode_basestring_ascii(text)) - _QUOTES <= most:
        return text
    length = 0
    for index, character in enumerate(text):
        length += len(encode_basestring_ascii(character)) - _QUOTES
        if length > most:
            return text[:index]
    return text
