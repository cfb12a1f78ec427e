"""`authz-service health`: a probe where nobody can send an HTTP request, as in a container.

Runs every few seconds beside a service, so it loads nothing of it. It believes whoever answers, and
waits for nobody for long.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from threading import Timer
from typing import TYPE_CHECKING, Final, NoReturn

import click

from authz_service.cli.admin_address import admin_option
from authz_service.cli.examples import examples
from authz_service.cli.exits import FAILED
from authz_service.server.listen import TcpAddress

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 3.0
"""For the whole answer. Docker and the examples of docs/image.md wait for longer."""

_MAX_BODY: Final = 1024 * 1024
_MAX_SHOWN: Final = 1000
_OK: Final = 200
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it listens, not we


@dataclass(frozen=True, slots=True)
class _Question:
    """*field* of the answer is *value* where the service is in that *state*."""

    state: str
    path: str
    field: str
    value: object


_READY: Final = _Question("ready", "/readyz", "ready", value=True)
_LIVE: Final = _Question("alive", "/livez", "status", value="alive")


@click.command("health", epilog=examples(
    "authz-service health",
    "authz-service health --live",
    "AUTHZ_ADMIN=0.0.0.0:9192 authz-service health",
))  # fmt: skip
@click.option("--live", is_flag=True, help="Whether it answers at all (/livez).")
@admin_option("Where the service has its admin port: what its own --admin says.")
def command(*, live: bool, admin: TcpAddress | None) -> None:
    """Say whether the service that runs here is ready (/readyz).

    Exit status 0 if it is; 1 if not, with what is missing.
    """
    if admin is None:
        raise click.UsageError("there is no admin port to ask: --admin is off")
    if admin.port == 0:
        raise click.UsageError("--admin has no port to ask: 0 stands for any that is free")
    question = _LIVE if live else _READY
    address = TcpAddress(_ANY.get(admin.host, admin.host), admin.port)
    try:
        answer = _get(address, question.path)
    except (OSError, HTTPException, UnicodeError) as error:
        _fail(question, f"no answer from {address}: {_why(error)}")
    if answer.status != _OK or answer.body.get(question.field) != question.value:
        _fail(question, _missing(answer) or f"{address} answered with status {answer.status}")
    click.echo(question.state)


def _fail(question: _Question, why: str) -> NoReturn:
    click.echo(f"not {question.state}: {why}", err=True)
    sys.exit(FAILED)


@dataclass(frozen=True, slots=True)
class _Answer:
    """*body* is what `/livez` and `/readyz` answer with: it may be cut off after a good status."""

    status: int
    body: dict[str, object]


def _get(address: TcpAddress, path: str) -> _Answer:
    """Raise OSError, HTTPException or UnicodeError."""
    connection = HTTPConnection(address.host, address.port, timeout=SECONDS)  # heeds no proxy
    with contextlib.closing(connection):
        connection.connect()
        with _cut_off_after(SECONDS, connection.sock):
            connection.request("GET", path)
            response = connection.getresponse()
            return _Answer(response.status, _object(response.read(_MAX_BODY)))


@contextlib.contextmanager
def _cut_off_after(seconds: float, sock: socket.socket) -> Iterator[None]:
    """End *sock* then: its own timeout begins anew with every byte that comes."""

    def cut_off() -> None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    timer = Timer(seconds, cut_off)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _object(octets: bytes) -> dict[str, object]:
    """The JSON object that *octets* are, or an empty one where it is none."""
    try:
        value = json.loads(octets)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _missing(answer: _Answer) -> str:
    """What `/readyz` says is missing; nothing if that is not what came."""
    missing = answer.body.get("missing")
    if not isinstance(missing, list):
        return ""
    return _printable("; ".join(each for each in missing if isinstance(each, str)))


def _printable(text: str) -> str:
    """*text* as one line of bounded length, in which nothing is for a terminal to obey."""
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]} …"
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in shown)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "none in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "what came is not HTTP" if isinstance(error, HTTPException) else "not the name of a host"
