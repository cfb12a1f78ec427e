"""From an event to its one line: JSON, or something for people to read."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from structlog.typing import EventDict, Processor


class LineOutput(Protocol):
    """Takes lines; see output.Output."""

    def put(self, line: str) -> None:
        """Have *line* written."""


def renderers(log_format: str) -> Sequence[Processor]:
    """What makes the line of an event, which nothing in the event can break or colour."""
    if log_format == "console":
        console = structlog.dev.ConsoleRenderer(colors=_takes_colours(), sort_keys=False)
        return (_stamp, _escape, console)
    return (_stamp, _as_json)


def render(processors: Sequence[Processor], level: str, event: str, **fields: object) -> str:
    """Make the line of an *event* that does not come from a logger."""
    rendered: Any = {"event": event, **fields}
    for processor in processors:
        rendered = processor(None, level, rendered)
    return str(rendered)


class LineLogger:
    """What structlog ends at: hands the lines that it has made to *output*."""

    def __init__(self, output: LineOutput) -> None:
        """Levels were looked at before."""
        self.debug = self.info = self.warning = self.error = output.put


def _stamp(_logger: object, level: str, event: EventDict) -> EventDict:
    """Begin with when, which may have been said, how grave and what."""
    name = event.pop("event")
    at = event.pop("timestamp", None) or timestamp(time.time_ns())
    return {"timestamp": at, "level": level, "event": name, **event}


def timestamp(nanoseconds: int) -> str:
    """A time since the epoch as RFC 3339 has it: in UTC, with microseconds."""
    seconds, microseconds = divmod(nanoseconds // 1000, 10**6)
    return f"{_second(seconds)}.{microseconds:06d}Z"


@lru_cache(1)  # many events of one second follow each other
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def members(fields: Mapping[str, object]) -> str:
    """The members of the JSON object with *fields*, without its braces, as a line has them."""
    return _as_json(None, "", dict(fields))[1:-1]


def _unwritable(value: object) -> str:
    return type(value).__name__


_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ENCODER: Final = json.JSONEncoder(default=_unwritable)


def _as_json(_logger: object, _level: str, event: EventDict) -> str:
    line = _ENCODER.encode(event)
    return _ENCODER.encode(_rewritten(event, _well_formed)) if "\\ud" in line else line


def _well_formed(text: str) -> str:
    """Replace lone surrogates: there are readers of JSON that refuse the whole line for one."""
    return _SURROGATE.sub("\ufffd", text)


def _takes_colours() -> bool:
    """Whether standard output is a terminal of somebody who wants colours (no-color.org)."""
    return sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _escape(_logger: object, _level: str, event: EventDict) -> EventDict:
    """Leave nothing in a value that a terminal would obey; in JSON nothing is left anyway."""
    return {key: _rewritten(value, _escaped) for key, value in event.items()}


def _escaped(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii")


def _rewritten(value: object, rewrite: Callable[[str], str]) -> object:
    """Give *value* with *rewrite* done to every text in it."""
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, dict):
        return {rewrite(str(key)): _rewritten(item, rewrite) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rewritten(item, rewrite) for item in value]
    return value
