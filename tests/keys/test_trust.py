"""Key sets over TLS, from a server on loopback, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest
import uvloop
from cryptography import x509

from authz_service.keys import trust
from authz_service.keys.fetch import Fetched, FetchError, HttpFetcher
from tests.support.certificates import Authority, Leaf, authority, dns
from tests.support.hostile_issuer import JWKS, fake_issuer, has, response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path

    Run = Callable[[Coroutine[Any, Any, None]], None]

LATER: Final = 20.0
DOCUMENT: Final = b'{"keys": []}'
HERE: Final = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a test on the loop of the service, or the one that is there where that is not."""
    return uvloop.run if request.param == "uvloop" else asyncio.run


@pytest.fixture(autouse=True)
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the authority of the tests, and no other."""
    file = tmp_path / "authority.pem"
    file.write_bytes(authority().pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


def context_of(leaf: Leaf, directory: Path) -> ssl.SSLContext:
    files = leaf.write(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context


@contextlib.asynccontextmanager
async def https(context: ssl.SSLContext | None, answer: bytes) -> AsyncIterator[str]:
    """Say *answer* to every request; gives the https URL. Without *context*, say nothing."""
    silent = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, EOFError):
            if context is None:
                await silent.wait()
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks"
    finally:
        silent.set()
        server.close()


async def here(work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    """Do *work*, and find every name on this machine."""
    if work is not socket.getaddrinfo:
        return work(*args, **kwargs)
    _name, port = args
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


async def fetched(url: str, within: float = LATER) -> Fetched:
    async with HttpFetcher(here) as fetcher:
        return await fetcher.get(url, within=within)


async def problem_of(url: str, within: float = LATER) -> str:
    with pytest.raises(FetchError) as raised:
        await fetched(url, within)
    return raised.value.problem


def test_a_server_that_the_system_trusts_is_listened_to(run: Run, tmp_path: Path) -> None:
    context = context_of(authority().leaf(HERE, dns("keys.example")), tmp_path)
    context.set_alpn_protocols(["h2", "http/1.1"])
    told: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: told.append(name)

    async def exchange() -> None:
        async with https(context, response(DOCUMENT)) as url:
            assert (await fetched(url)).document == DOCUMENT
            assert (await fetched(url.replace("127.0.0.1", "keys.example."))).document == DOCUMENT
        assert told == [None, "keys.example"]  # no address in SNI (RFC 6066, section 3)

    run(exchange())


@pytest.mark.parametrize(
    ("leaf", "why"),
    [
        (authority().leaf(dns("127.0.0.1")), "made out to another IP address"),
        (authority().leaf(dns("localhost")), "made out to another IP address"),
        (Authority("strangers").leaf(HERE), "its authority is not known here"),
    ],
    ids=["address as a name", "another host", "another authority"],
)
def test_a_certificate_of_somebody_else_is_refused(
    run: Run,
    leaf: Leaf,
    why: str,
    tmp_path: Path,
) -> None:
    async def exchange() -> None:
        async with https(context_of(leaf, tmp_path), response(DOCUMENT)) as url:
            assert await problem_of(url) == f"no answer: TLS certificate not valid: {why}"

    run(exchange())


def test_a_name_is_looked_for_in_the_certificate(run: Run, tmp_path: Path) -> None:
    context = context_of(authority().leaf(HERE, dns("elsewhere.example")), tmp_path)

    async def exchange() -> None:
        async with https(context, response(DOCUMENT)) as url:
            assert await problem_of(url.replace("127.0.0.1", "keys.example")) == (
                "no answer: TLS certificate not valid: made out to another host"
            )

    run(exchange())


@contextlib.contextmanager
def refusing(context: ssl.SSLContext) -> Iterator[str]:
    """Fail in the handshake, and say why; asyncio's own server does not."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            with contextlib.suppress(ssl.SSLError):
                context.wrap_socket(connection.dup(), server_side=True)
            with contextlib.suppress(OSError):
                while connection.recv(65536):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/jwks"
        thread.join()


def test_an_old_version_of_tls_is_not_spoken(run: Run, tmp_path: Path) -> None:
    context = context_of(authority().leaf(HERE), tmp_path)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match=r"TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    async def exchange(url: str) -> None:
        assert await problem_of(url) == "no answer: no TLS version in common"

    with refusing(context) as url:
        run(exchange(url))


def test_a_server_that_wants_a_client_certificate_is_told_so(run: Run, tmp_path: Path) -> None:
    context = context_of(authority().leaf(HERE), tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED

    async def exchange(url: str) -> None:
        assert await problem_of(url) == "no answer: the server wants a client certificate"

    with refusing(context) as url:
        run(exchange(url))


def test_a_handshake_that_hangs_is_given_up_in_half_of_the_time(run: Run) -> None:
    async def exchange() -> None:
        async with https(None, b"") as url:
            assert await problem_of(url, within=0.2) == "no answer in time, while connecting"

    run(exchange())


def test_a_document_that_is_cut_short_is_refused(run: Run, tmp_path: Path) -> None:
    context = context_of(authority().leaf(HERE), tmp_path)

    async def exchange() -> None:
        async with https(context, response(DOCUMENT, length=4096)) as url:
            assert await problem_of(url) == "no answer: what came was cut short"

    run(exchange())


def test_authorities_are_read_once_in_the_background_and_for_https_alone(
    run: Run,
    tmp_path: Path,
) -> None:
    done: list[object] = []

    async def note(work: Callable[..., Any], /, *args: object, **kwargs: object) -> Any:  # noqa: ANN401
        done.append(work)
        return await asyncio.to_thread(work, *args, **kwargs)

    async def exchange() -> None:
        async with (
            https(context_of(authority().leaf(HERE), tmp_path), response(DOCUMENT)) as url,
            fake_issuer({JWKS: has(DOCUMENT)}) as issuer,
            HttpFetcher(note) as fetcher,
        ):
            await fetcher.get(issuer.jwks_uri, within=LATER)
            assert done == []
            await asyncio.gather(*(fetcher.get(url, within=LATER) for _ in range(3)))
            assert done == [trust._context]

    run(exchange())
