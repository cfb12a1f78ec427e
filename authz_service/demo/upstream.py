"""A sample API that says what reached it.

It believes every header, as an API behind Envoy does: what it shows is what Envoy let through.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import asdict, dataclass

import click
from aiohttp import web


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it stood on the wire.

    Each byte of *path* and of a header is one character (ISO 8859-1): nothing lost or guessed.
    """

    method: str
    path: str
    """The request target, with its query."""
    headers: tuple[tuple[str, str], ...]
    """Names and values in order, repeated ones too, names in the case they came in."""

    def values(self, name: str) -> list[str]:
        """Return the value of every header called *name*, in any case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Upstream:
    """The API: one server on loopback that answers any method and path with what it received."""

    def __init__(self) -> None:
        """Make one that does not listen yet."""
        self._runner: web.ServerRunner | None = None
        self.last: ReceivedRequest | None = None
        """The last request that reached it; set it to None before one that should not."""

    @property
    def port(self) -> int:
        """The port that it listens on, or 0 when it does not."""
        if self._runner is None:
            return 0
        _host, port = self._runner.addresses[0]
        return int(port)

    async def start(self, port: int = 0) -> None:
        """Listen on 127.0.0.1; with 0, on any free port.

        Raises OSError if the port is taken.
        """
        runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner

    async def stop(self) -> None:
        """Close every connection and stop."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.last = _received(request)
        return web.json_response(asdict(self.last))


def _received(request: web.BaseRequest) -> ReceivedRequest:
    return ReceivedRequest(
        method=request.method,
        path=request.raw_path.encode("utf-8", "surrogateescape").decode("latin-1"),
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers
        ),
    )


class _CannotListenError(click.ClickException):
    exit_code = 2


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=9000, show_default=True)
def main(port: int) -> None:
    """Run the sample API on 127.0.0.1, until SIGTERM or Ctrl-C."""
    asyncio.run(_serve(port))


async def _serve(port: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    api = Upstream()
    try:
        await api.start(port)
    except OSError as error:
        message = f"cannot listen on 127.0.0.1:{port}: {os.strerror(error.errno or 0)}"
        raise _CannotListenError(message) from None
    click.echo(f"sample API: http://127.0.0.1:{api.port}")
    await stopped.wait()
    await api.stop()


if __name__ == "__main__":
    main()
