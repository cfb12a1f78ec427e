"""From an event to its one line: JSON, or something for people to read."""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """Begin with when, how grave and what."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    name = event.pop("event")
    return {"timestamp": now.replace("+00:00", "Z"), "level": level, "event": name, **event}


def _unwritable(value: object) -> str:
    return type(value).__name__


_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ENCODER: Final = json.JSONEncoder(default=_unwritable)


def _as_json(_logger: object, _level: str, event: EventDict) -> str:
    line = _ENCODER.encode(event)
    return _ENCODER.encode(_well_formed(event)) if "\\ud" in line else line


def _well_formed(value: object) -> object:
    """Replace lone surrogates: there are readers of JSON that refuse the whole line for one."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {key: _well_formed(item) for key, item in value.items()}
    return [_well_formed(item) for item in value] if isinstance(value, list | tuple) else value


def _takes_colours() -> bool:
    """Whether standard output is a terminal of somebody who wants colours (no-color.org)."""
    return sys.stdout is not None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _escape(_logger: object, _level: str, event: EventDict) -> EventDict:
    """Leave nothing in a value that a terminal would obey; in JSON nothing is left anyway."""
    return {key: _escaped(value) for key, value in event.items()}


def _escaped(value: object) -> object:
    return value.encode("unicode_escape").decode("ascii") if isinstance(value, str) else value
