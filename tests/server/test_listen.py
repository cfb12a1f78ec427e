"""Addresses: what is understood, what is refused, and what happens to sockets that are there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc.aio
import pytest

from authz_service.server.listen import ListenError, TcpAddress, UnixAddress, parse_address
from authz_service.server.rpc import RpcServer
from tests.edge.rig import Caller, edge, servicer
from tests.edge.shop import check_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANY_PORT: Final = TcpAddress("127.0.0.1", 0)

UNDERSTOOD: Final = {
    "127.0.0.1:9191": TcpAddress("127.0.0.1", 9191),
    "0.0.0.0:0": TcpAddress("0.0.0.0", 0),  # noqa: S104 - parsed, never bound
    "[::]:9191": TcpAddress("::", 9191),
    "[::1]:65535": TcpAddress("::1", 65535),
    "localhost:1": TcpAddress("localhost", 1),
    "authz.internal.example:443": TcpAddress("authz.internal.example", 443),
    "unix:/run/authz/authz.sock": UnixAddress(Path("/run/authz/authz.sock")),
    "unix:/with space": UnixAddress(Path("/with space")),
}
NOT_UNDERSTOOD: Final = (
    "", ":", "9191", ":9191", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
    "127.0.0.1:+1", "127.0.0.1:1e3", "127.0.0.1:http", "127.0.0.1:000080", "127.0.0.1:80:90",
    "127.0.0.1:\uff18\uff10", "h\xf6st:80", "::1:80", "[::1]", "[::1:80", "::1]:80", "[]:80",
    "[fe80::1%eth0]:80", " 127.0.0.1:80", "127.0.0.1:80 ", "127.0.0.1:80\n", "*:80",
    "http://127.0.0.1:80", "user@127.0.0.1:80", "127.0.0.1:80/", "a,b:80", "a b:80",
    "unix:", "unix:relative.sock", "unix", "UNIX:/run/x.sock", "off",
)  # fmt: skip


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_an_address_is_understood_and_written_as_it_was(text: str) -> None:
    assert parse_address(text) == UNDERSTOOD[text]
    assert str(parse_address(text)) == text


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
def test_anything_else_is_refused_with_what_to_write_instead(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


@contextlib.asynccontextmanager
async def _serving(address: TcpAddress | UnixAddress) -> AsyncIterator[TcpAddress | UnixAddress]:
    server = RpcServer(servicer())
    bound = await server.start(address)
    try:
        yield bound
    finally:
        await server.stop(0)


async def _assert_refused(address: TcpAddress | UnixAddress, why: str = "cannot listen on") -> None:
    with pytest.raises(ListenError, match=why) as refusal:
        async with _serving(address):
            pass
    assert str(address) in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("text", ["unix:9191", "unix-abstract:9191", "vsock:9191"])
def test_a_host_and_port_never_become_a_socket_of_another_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """To gRPC, `unix:9191` is a socket of that name: open to all, where a port was asked for."""
    monkeypatch.chdir(tmp_path)

    async def exchange() -> None:
        async with _serving(parse_address(text)):
            pass

    with pytest.raises((ValueError, ListenError)):
        asyncio.run(exchange())
    assert list(tmp_path.iterdir()) == []


def _assert_is_private(path: Path) -> None:
    mode = path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "authz.sock"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_unix_socket_is_for_its_owner_and_group_whatever_the_umask(
    path: Path, umask: int
) -> None:
    async def exchange() -> None:
        before = os.umask(umask)
        try:
            async with _serving(UnixAddress(path)):
                _assert_is_private(path)
        finally:
            left = os.umask(before)
        assert left == umask

    asyncio.run(exchange())


def test_the_umask_is_put_back_when_the_socket_cannot_be_bound(tmp_path: Path) -> None:
    async def exchange() -> None:
        before = os.umask(0o027)
        try:
            await _assert_refused(UnixAddress(tmp_path / "missing" / "authz.sock"))
        finally:
            left = os.umask(before)
        assert left == 0o027

    asyncio.run(exchange())


def test_a_stale_socket_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as leftover:
        leftover.bind(str(path))

    async def exchange() -> None:
        async with edge(servicer(), UnixAddress(path)) as caller:
            assert (await caller.check(check_request("/healthz"))).status.code == 0
            _assert_is_private(path)

    asyncio.run(exchange())


def test_a_live_socket_of_a_stranger_is_left_alone(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen(1)
        before = path.stat()
        asyncio.run(_assert_refused(UnixAddress(path), "somebody does already"))
        assert path.stat().st_ino == before.st_ino
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_second_server_does_not_take_the_socket_over(path: Path) -> None:
    async def exchange() -> None:
        async with edge(servicer(), UnixAddress(path)) as caller:
            await _assert_refused(UnixAddress(path), "somebody does already")
            assert (await caller.check(check_request("/healthz"))).status.code == 0
        async with edge(servicer(), UnixAddress(path)) as caller:
            assert (await caller.check(check_request("/healthz"))).status.code == 0

    asyncio.run(exchange())


def test_a_socket_whose_queue_is_full_is_alive(path: Path) -> None:
    with contextlib.ExitStack() as stack:
        stranger = stack.enter_context(socket.socket(socket.AF_UNIX))
        stranger.bind(str(path))
        stranger.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(str(path))
        asyncio.run(_assert_refused(UnixAddress(path)))
        assert path.is_socket()


def test_a_regular_file_is_refused_and_kept(path: Path) -> None:
    path.write_text("precious")
    asyncio.run(_assert_refused(UnixAddress(path), "not a socket"))
    assert path.read_text() == "precious"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    asyncio.run(_assert_refused(UnixAddress(tmp_path), "not a socket"))


@pytest.mark.parametrize("target", ["precious.txt", "nothing"])
def test_a_symbolic_link_is_refused_and_not_followed(path: Path, target: str) -> None:
    (path.parent / "precious.txt").write_text("precious")
    path.symlink_to(path.parent / target)
    asyncio.run(_assert_refused(UnixAddress(path), "not a socket"))
    assert path.is_symlink()


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    asyncio.run(_assert_refused(UnixAddress(tmp_path / "file" / "authz.sock")))


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    asyncio.run(_assert_refused(UnixAddress(tmp_path / ("x" * 120))))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["with space", "a%41", "a?b=c", "a#b", "\u043f\u0443\u0442\u044c"])
def test_a_socket_is_at_the_path_that_was_named_and_nowhere_else(tmp_path: Path, name: str) -> None:
    """Elsewhere, what was there would be taken over without a look."""

    async def exchange() -> None:
        async with _serving(UnixAddress(tmp_path / name)):
            assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - Path's is called blocking

    asyncio.run(exchange())


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(_assert_refused(TcpAddress("127.0.0.1", taken.getsockname()[1])))


def test_a_second_server_does_not_share_the_port() -> None:
    async def exchange() -> None:
        async with _serving(ANY_PORT) as bound:
            await _assert_refused(bound)

    asyncio.run(exchange())


def test_port_zero_becomes_the_port_that_was_chosen() -> None:
    async def exchange() -> None:
        async with _serving(ANY_PORT) as bound:
            assert isinstance(bound, TcpAddress)
            assert bound.port > 0
            async with grpc.aio.insecure_channel(str(bound)) as channel:
                response = await Caller(channel).check(check_request("/healthz"))
            assert response.status.code == 0

    asyncio.run(exchange())


def test_a_port_is_free_again_after_a_stop() -> None:
    async def exchange() -> None:
        async with _serving(ANY_PORT) as bound:
            pass
        async with _serving(bound) as again:
            assert again == bound

    asyncio.run(exchange())


@pytest.mark.parametrize("host", ["192.0.2.1", "..", "x" * 70])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    asyncio.run(_assert_refused(TcpAddress(host, 0)))
