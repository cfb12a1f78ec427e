"""The sample API shows what reached it, as it stood on the wire."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from click.testing import CliRunner

from authz_service.demo.upstream import ReceivedRequest, Upstream, main

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]


async def send(port: int, request: bytes) -> bytes:
    """Send bytes as they are, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def serving(use: Callable[[Upstream], Awaitable[T]]) -> T:
    """Run *use* with a sample API that listens."""

    async def run() -> T:
        api = Upstream()
        await api.start()
        try:
            return await use(api)
        finally:
            await api.stop()

    return asyncio.run(run())


def received(request: bytes) -> dict[str, Any]:
    """Send one request and return the answer's JSON."""
    answer = serving(lambda api: send(api.port, request))
    return dict(json.loads(answer.partition(b"\r\n\r\n")[2]))


def test_it_answers_with_method_target_and_headers_as_received() -> None:
    assert received(
        b"PATCH /a//b/../c;v=1?q=%2F&q HTTP/1.1\r\n"
        b"host: api.example\r\nX-Two: 1\r\nconnection: close\r\nx-two: \xe9\r\n\r\n"
    ) == {
        "method": "PATCH",
        "path": "/a//b/../c;v=1?q=%2F&q",
        "headers": [
            ["host", "api.example"],
            ["X-Two", "1"],
            ["connection", "close"],
            ["x-two", "\xe9"],
        ],
    }


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_it_answers_any_method(method: str) -> None:
    request = f"{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    assert received(request.encode())["method"] == method


@pytest.mark.parametrize(
    "path", ["/", "/a%2Fb", "//a", "/%2e%2e/a", "/a%20b?c=d", "/\\a", "/%zz", "/a?#f"]
)
def test_no_path_is_repaired(path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    assert received(request.encode())["path"] == path


def test_a_head_request_is_answered_without_a_body() -> None:
    answer = serving(
        lambda api: send(api.port, b"HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    )
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")


def test_it_remembers_the_last_request_only() -> None:
    async def use(api: Upstream) -> list[ReceivedRequest | None]:
        seen = [api.last]
        for name in (b"one", b"two"):
            await send(api.port, b"GET /%b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % name)
            seen.append(api.last)
        return seen

    headers = (("Host", "a"), ("Connection", "close"))
    one, two = (ReceivedRequest("GET", path, headers) for path in ("/one", "/two"))
    assert serving(use) == [None, one, two]


def test_a_received_header_is_found_in_any_case() -> None:
    request = ReceivedRequest("GET", "/", (("Host", "a"), ("X-A", "1"), ("x-a", "2")))
    assert request.values("x-A") == ["1", "2"]
    assert request.values("x-auth-subject") == []


def test_a_stopped_one_listens_no_more_and_closes_idle_connections() -> None:
    async def run() -> None:
        api = Upstream()
        await api.start()
        port = api.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await api.stop()
        assert await reader.read() == b""
        writer.close()
        assert api.port == 0
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await api.stop()

    asyncio.run(run())


def test_a_port_that_is_taken_is_an_error_and_nothing_is_left() -> None:
    async def use(api: Upstream) -> None:
        second = Upstream()
        with pytest.raises(OSError, match="address already in use"):
            await second.start(api.port)
        assert second.port == 0

    serving(use)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_as_a_command_until_a_signal_comes(number: signal.Signals) -> None:
    async def run() -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "authz_service.demo.upstream", "--port", "0"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=REPOSITORY,
        )
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line.startswith("sample API: http://127.0.0.1:")
        port = int(line.rpartition(":")[2])
        answer = await send(port, b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["path"] == "/a"
        process.send_signal(number)
        assert await process.communicate() == (b"", b"")
        assert process.returncode == 0

    asyncio.run(run())


def test_the_command_says_that_its_port_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["--port", str(port)])
    assert result.exit_code == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in result.output
