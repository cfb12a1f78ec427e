"""Addresses: what is understood, what is refused, and what may be listened on without TLS."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Final

import grpc.aio
import pytest

from authz_service.server.listen import (
    AbstractAddress,
    ListenError,
    TcpAddress,
    UnixAddress,
    is_loopback,
    parse_address,
)
from tests.edge.rig import Caller
from tests.edge.shop import check_request
from tests.server.listening import assert_refused, serving

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
    "unix:@authz": AbstractAddress("authz"),
    "unix:@/run/authz %41": AbstractAddress("/run/authz %41"),
    f"unix:@{'x' * 106}": AbstractAddress("x" * 106),
}
NOT_UNDERSTOOD: Final = (
    "", ":", "9191", ":9191", "127.0.0.1", "127.0.0.1:", "127.0.0.1:-1",
    "127.0.0.1:+1", "127.0.0.1:1e3", "127.0.0.1:http", "127.0.0.1:000080", "127.0.0.1:80:90",
    "127.0.0.1:\uff18\uff10", "h\xf6st:80", "::1:80", "[::1]", "[::1:80", "::1]:80", "[]:80",
    "[fe80::1%eth0]:80", " 127.0.0.1:80", "127.0.0.1:80 ", "127.0.0.1:80\n", "*:80",
    "http://127.0.0.1:80", "user@127.0.0.1:80", "127.0.0.1:80/", "a,b:80", "a b:80",
    "unix:", "unix:relative.sock", "unix", "UNIX:/run/x.sock", "off", "@authz", "unix-abstract:x",
    "unix:/", "unix://", "unix:/./",
)  # fmt: skip


@pytest.mark.parametrize("text", UNDERSTOOD)
def test_an_address_is_understood_and_written_as_it_was(text: str) -> None:
    assert parse_address(text) == UNDERSTOOD[text]
    assert str(parse_address(text)) == text


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
def test_anything_else_is_refused_with_what_to_write_instead(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


def test_a_port_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="a port is at most 65535"):
        parse_address("127.0.0.1:65536")


@pytest.mark.parametrize(
    "name", ["", "a\0b", "a\nb", "\x1b[2J", "x" * 107, "\u043f" * 54, "\udcff"]
)
def test_a_name_that_envoy_could_not_have_is_no_name_of_an_abstract_socket(name: str) -> None:
    with pytest.raises(ValueError, match="unix:@name, with 1 to 106 bytes"):
        parse_address(f"unix:@{name}")


LOOPBACK: Final = ("127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1")
NOT_LOOPBACK: Final = (
    "0.0.0.0",  # noqa: S104 - looked at, never bound
    "10.0.0.1", "::", "::ffff:10.0.0.1", "::ffff:0.0.0.0", "::127.0.0.1", "fe80::1%1",
    "2001:db8::1", "128.0.0.1",
)  # fmt: skip


def test_what_others_can_reach_is_not_loopback() -> None:
    assert [address for address in LOOPBACK if not is_loopback(address)] == []
    assert [address for address in NOT_LOOPBACK if is_loopback(address)] == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::ffff:10.0.0.1", "192.0.2.1"])  # noqa: S104 - refused
def test_without_tls_only_loopback_is_listened_on(host: str) -> None:
    asyncio.run(assert_refused(TcpAddress(host, 0), "without TLS.*--tls-cert.*--insecure-listen"))


def test_a_name_counts_as_what_it_resolves_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def exchange(resolved: str, why: str) -> None:
        async def look_up(*_arguments: object, **_options: object) -> list[object]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (resolved, 0))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        await assert_refused(TcpAddress("localhost", 0), why)

    asyncio.run(exchange("10.1.2.3", r"localhost:0 \(10\.1\.2\.3\) without TLS"))


@pytest.mark.parametrize(
    ("host", "insecure"),
    [("0.0.0.0", True), ("127.0.0.1", False), ("::ffff:127.0.0.1", False)],  # noqa: S104 - the point
)
def test_loopback_needs_nothing_and_insecure_listen_reaches_further(
    host: str,
    insecure: bool,  # noqa: FBT001 - of the table
) -> None:
    async def exchange() -> None:
        async with serving(TcpAddress(host, 0), insecure=insecure) as bound:
            assert isinstance(bound, TcpAddress)
            async with grpc.aio.insecure_channel(f"127.0.0.1:{bound.port}") as channel:
                assert (await Caller(channel).check(check_request("/healthz"))).status.code == 0

    asyncio.run(exchange())


@pytest.mark.parametrize("text", ["unix:9191", "unix-abstract:9191", "vsock:9191"])
def test_a_host_and_port_never_become_a_socket_of_another_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """To gRPC, `unix:9191` is a socket of that name: open to all, where a port was asked for."""
    monkeypatch.chdir(tmp_path)

    async def exchange() -> None:
        async with serving(parse_address(text)):
            pass

    with pytest.raises((ValueError, ListenError)):
        asyncio.run(exchange())
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(assert_refused(TcpAddress("127.0.0.1", taken.getsockname()[1])))


def test_a_second_server_does_not_share_the_port() -> None:
    async def exchange() -> None:
        async with serving(ANY_PORT) as bound:
            await assert_refused(bound)

    asyncio.run(exchange())


def test_port_zero_becomes_the_port_that_was_chosen() -> None:
    async def exchange() -> None:
        async with serving(ANY_PORT) as bound:
            assert isinstance(bound, TcpAddress)
            assert bound.port > 0
            async with grpc.aio.insecure_channel(str(bound)) as channel:
                response = await Caller(channel).check(check_request("/healthz"))
            assert response.status.code == 0

    asyncio.run(exchange())


def test_a_port_is_free_again_after_a_stop() -> None:
    async def exchange() -> None:
        async with serving(ANY_PORT) as bound:
            pass
        async with serving(bound) as again:
            assert again == bound

    asyncio.run(exchange())


@pytest.mark.parametrize("host", ["192.0.2.1", "..", "x" * 70])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    asyncio.run(assert_refused(TcpAddress(host, 0)))
