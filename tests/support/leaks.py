"""The guard over everything that a test sees of the service's logs, metrics and probes.

Wherever a test lets the service run, what the service says passes through `look`: events in this
process, the pipes and files of other processes, what the admin port answers, what metrics expose.
What must never be in there is remembered, and fails the test in which it was said.

Not looked at: what `explain`, `test` and `lint` print, which are no logs of the service.
"""

from __future__ import annotations

import asyncio
import subprocess
import weakref
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import prometheus_client.openmetrics.exposition
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOKEN: Final = "eyJ"
"""How every token begins: the start of a JSON object in base64 (RFC 7515, section 3.1)."""
CANARY: Final = "c4n4ry"
"""For tests to put wherever a secret might be: a query, a cookie, any header's value."""
FORBIDDEN: Final = (TOKEN, CANARY)

_NO_LOGS: Final = {"explain", "import", "lint", "schema", "test"}
_ADMIN_PATHS: Final = {"/metrics", "/readyz", "/livez"}
_OVERLAP: Final = max(len(mark) for mark in FORBIDDEN) - 1


@dataclass
class LeakGuard:
    """Remembers what was said that must not be said, and where."""

    found: list[str] = field(default_factory=list)
    looked_at: set[str] = field(default_factory=set)
    """The places in which there was something to look at."""

    def look(self, text: str | bytes, place: str) -> None:
        """Remember *place* if *text* holds what must not be there."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        if text:
            self.looked_at.add(place)
        self.found += [f"{mark} in {place}" for mark in FORBIDDEN if mark in text]

    def look_into(self, *files: Path) -> None:
        """Look at what a process has written into *files*."""
        for file in files:
            self.look(file.read_bytes(), "a file")

    def take(self) -> list[str]:
        """What was found since the last time."""
        taken, self.found = self.found, []
        return taken


GUARD: Final = LeakGuard()


def stand_guard() -> None:
    """Have everything looked at from now on, until this process ends."""
    _wrap(structlog.BoundLoggerBase, "_process_event", _looking_at_events)
    _wrap(asyncio.StreamReader, "feed_data", _looking_at_pipes)
    _wrap(subprocess.Popen, "communicate", _looking_at_output)
    _wrap(aiohttp.ClientResponse, "read", _looking_at_answers)
    for module in (prometheus_client, prometheus_client.openmetrics.exposition):
        _wrap(module, "generate_latest", _looking_at_metrics)


def _wrap(owner: Any, name: str, looking: Callable[[Any], Any]) -> None:  # noqa: ANN401 - of any type
    original = getattr(owner, name)
    setattr(owner, name, wraps(original)(looking(original)))


def _looking_at_events(process: Callable[..., Any]) -> Callable[..., Any]:
    """What is logged in this process, wherever it goes then."""

    def looking(self: object, level: str, event: str, fields: dict[str, Any]) -> object:
        GUARD.look(f"{event} {fields}", "an event")
        return process(self, level, event, fields)

    return looking


def _looking_at_pipes(feed: Callable[..., None]) -> Callable[..., None]:
    """What processes write, where asyncio reads it; a mark may come in two parts."""
    ends: weakref.WeakKeyDictionary[asyncio.StreamReader, bytes] = weakref.WeakKeyDictionary()

    def looking(self: asyncio.StreamReader, octets: bytes) -> None:
        # A socket's transport is for reading and writing.
        if not isinstance(getattr(self, "_transport"), asyncio.Transport):  # noqa: B009 - private
            both = ends.get(self, b"") + octets
            GUARD.look(both, "a pipe")
            ends[self] = both[-_OVERLAP:]
        feed(self, octets)

    return looking


def _looking_at_output(communicate: Callable[..., Any]) -> Callable[..., Any]:
    """What processes write, where `subprocess` reads it."""

    def looking(self: subprocess.Popen[Any], *arguments: object, **named: object) -> object:
        written = communicate(self, *arguments, **named)
        if not (isinstance(self.args, list | tuple) and _NO_LOGS.intersection(self.args)):
            for part in written:
                GUARD.look(part or "", "the output of a process")
        return written

    return looking


def _looking_at_answers(read: Callable[..., Any]) -> Callable[..., Any]:
    """What the admin port answers."""

    async def looking(self: aiohttp.ClientResponse) -> bytes:
        body: bytes = await read(self)
        if self.url.path in _ADMIN_PATHS:
            GUARD.look(body, f"the answer to {self.url.path}")
        return body

    return looking


def _looking_at_metrics(generate: Callable[..., bytes]) -> Callable[..., bytes]:
    """What metrics expose in this process."""

    def looking(*arguments: object, **named: object) -> bytes:
        GUARD.look(exposed := generate(*arguments, **named), "metrics")
        return exposed

    return looking
