"""The load: a process of its own that sends requests over one connection and times the answers.

`python -m bench.load JOB` reads a job as `bench.loads` writes it, and prints its result as JSON:
nanoseconds by the monotonic clock, which all processes of a machine share.

With a rate, requests are sent when they are due, whatever has been answered, and a time counts from
when a request was due: what waits behind a slow answer is late as well (no coordinated omission).
Without, a number of requests is in flight all the time, and each is timed from its sending.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import select
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.http2 import Client, Http2Error, Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PATIENCE: Final = 20.0  # seconds without an octet
_NANOSECONDS: Final = 10**9
_READ: Final = 2**18


class Load:
    """One client on one socket, and what it has measured."""

    def __init__(self, client: Client, connection: socket.socket) -> None:
        """Nothing is sent yet."""
        self._client = client
        self._connection = connection
        self._due: dict[int, int] = {}
        self.moments: list[int] = []
        """When each answered request was due, in the order of the answers."""
        self.latencies: list[int] = []
        """How long each took from then, in the same order."""
        self.answers: Counter[bytes] = Counter()
        """How often each answer came."""

    def in_flight(self, count: int, at_once: int) -> None:
        """Send *count* requests, *at_once* of them at a time."""
        sent = 0
        while len(self.latencies) < count:
            while sent < count and self._client.in_flight < at_once and self._has_room(sent):
                self._ask(sent, time.monotonic_ns())
                sent += 1
            self._flush()
            self._receive(_PATIENCE)

    def at_a_rate(self, count: int, rate: float) -> None:
        """Send *count* requests, *rate* of them in a second."""
        start, between = time.monotonic_ns(), _NANOSECONDS / rate
        sent, due = 0, start
        while len(self.latencies) < count:
            while sent < count and due <= time.monotonic_ns() and self._has_room(sent):
                self._ask(sent, due)
                sent += 1
                due = start + round(sent * between)
            self._flush()
            if sent < count and self._has_room(sent):
                self._receive(max(0, due - time.monotonic_ns()) / _NANOSECONDS, must_come=False)
            else:
                self._receive(_PATIENCE)

    def _has_room(self, number: int) -> bool:
        return self._client.has_room(number)

    def _ask(self, number: int, due: int) -> None:
        self._due[self._client.ask(number)] = due

    def _flush(self) -> None:
        if octets := self._client.to_send():
            self._connection.sendall(octets)

    def _receive(self, within: float, *, must_come: bool = True) -> None:
        """Take in what comes *within* so many seconds."""
        if not select.select([self._connection], [], [], within)[0]:
            if must_come:
                raise Http2Error(f"nothing came in {within:g} s")
            return
        octets = self._connection.recv(_READ)
        now = time.monotonic_ns()
        if not octets:
            raise Http2Error("the connection was closed")
        for answer in self._client.receive(octets):
            due = self._due.pop(answer.stream)
            self.moments.append(due)
            self.latencies.append(now - due)
            self.answers[answer.octets] += 1


def connect(target: str) -> socket.socket:
    """A connection to `HOST:PORT` or `unix:PATH`."""
    if target.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(target.removeprefix("unix:"))
        except OSError:
            connection.close()
            raise
        return connection
    host, _colon, port = target.rpartition(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


@contextlib.contextmanager
def _without_pauses() -> Iterator[None]:
    """Collect no garbage meanwhile: a pause here would be taken for one of the server's."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do *job*, and give its result. Raises Http2Error and OSError."""
    requests = [Request(varying, base64.b64decode(body)) for varying, body in job["requests"]]
    client = Client([(name, value) for name, value in job["fields"]], requests)
    with connect(job["target"]) as connection:
        load = Load(client, connection)
        started = time.monotonic_ns()
        with _without_pauses():
            if job["rate"]:
                load.at_a_rate(job["count"], job["rate"])
            else:
                load.in_flight(job["count"], job["at_once"])
            ended = time.monotonic_ns()
    return {
        "seconds": (ended - started) / _NANOSECONDS,
        "moments": load.moments,
        "latencies": load.latencies,
        "answers": [
            (base64.b64encode(octets).decode("ascii"), times)
            for octets, times in load.answers.items()
        ],
    }


def main(job: Path) -> int:
    """Do the job in the file *job*, and give the exit status."""
    try:
        result = run(json.loads(job.read_text("ascii")))
    except (Http2Error, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
