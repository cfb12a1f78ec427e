"""Why there was no answer, in words: real sockets, and real TLS."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import ipaddress
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Final

import h11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from authz_service.keys.fetch import FetchError, HttpFetcher
from authz_service.keys.no_answer import CutShortError, why_no_answer
from tests.support.event_loops import in_event_loop
from tests.support.hostile_issuer import JWKS, fake_issuer, hangs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

LATER: Final = 20.0
NOW: Final = dt.datetime.now(dt.UTC)
YEAR: Final = dt.timedelta(days=365)


class Certificate:
    """A certificate for *host*, self-signed, in a file together with its key."""

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        begins: dt.datetime = NOW - YEAR,
        ends: dt.datetime = NOW + YEAR,
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]),
                critical=False,
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.file = directory / "certificate.pem"
        self.file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


@contextlib.contextmanager
def server(certificate: Certificate | None = None) -> Iterator[str]:
    """Answer on a loopback port, with TLS where there is a *certificate*; gives the https URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if certificate is not None:
        context.load_cert_chain(certificate.file)

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            if certificate is None:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            else:
                context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}/jwks"
        thread.join()


async def problem_of(url: str, *, within: float = LATER, **arguments: Any) -> str:  # noqa: ANN401
    """Fetch *url* in vain, for what is told of it."""
    async with HttpFetcher(**arguments) as fetcher:
        with pytest.raises(FetchError) as raised:
            await fetcher.get(url, within=within)
    return raised.value.problem


@in_event_loop
async def test_a_certificate_that_nobody_here_trusts_is_told_so(tmp_path: Path) -> None:
    with server(Certificate(tmp_path)) as url:
        assert await problem_of(url) == "no answer: TLS certificate not valid: self-signed"


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        ({"ends": NOW - dt.timedelta(days=1)}, "expired"),
        (
            {"begins": NOW + dt.timedelta(days=1)},
            "not yet valid, by this machine's clock",
        ),
        ({"host": "192.0.2.1"}, "made out to another IP address"),
    ],
)
@in_event_loop
async def test_what_is_wrong_with_a_certificate_is_told(
    certificate: dict[str, Any], why: str, tmp_path: Path
) -> None:
    made = Certificate(tmp_path, **certificate)
    with pytest.MonkeyPatch.context() as environment, server(made) as url:
        environment.setenv("SSL_CERT_FILE", str(made.file))
        assert await problem_of(url) == f"no answer: TLS certificate not valid: {why}"


@in_event_loop
async def test_a_server_that_does_not_speak_tls_is_told_so() -> None:
    with server() as url:
        assert await problem_of(url) == "no answer: the server does not speak TLS"


@in_event_loop
async def test_a_refused_connection_is_told_so() -> None:
    async with fake_issuer() as issuer:
        await issuer.stop()
        assert await problem_of(issuer.jwks_uri) == "no answer: connection refused"


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (socket.EAI_NONAME, "host name not found"),
        (socket.EAI_AGAIN, "host name could not be looked up"),
        (socket.EAI_FAIL, "host name could not be looked up"),
    ],
)
@in_event_loop
async def test_a_name_that_cannot_be_looked_up_is_told_so(number: int, why: str) -> None:
    async def fail(_work: Callable[..., Any], /, *_: object, **__: object) -> Any:  # noqa: ANN401
        raise socket.gaierror(number, "\x1b[31m words of a resolver")

    assert (
        await problem_of("https://auth.example.com/jwks", in_background=fail) == f"no answer: {why}"
    )


@in_event_loop
async def test_what_took_too_long_is_told() -> None:
    async def hang(_work: Callable[..., Any], /, *_: object, **__: object) -> Any:  # noqa: ANN401
        await asyncio.Event().wait()

    url = "https://auth.example.com/jwks"
    assert await problem_of(url, within=0.02, in_background=hang) == (
        "no answer in time, while looking up the host name"
    )
    async with fake_issuer({JWKS: hangs}) as issuer:
        assert await problem_of(issuer.jwks_uri, within=0.1) == "no answer in time, while reading"


@in_event_loop
async def test_a_server_that_takes_no_connection_is_told_so() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        queue = [socket.socket() for _ in range(4)]
        for each in queue:  # none of which is ever accepted
            each.settimeout(0)
            each.connect_ex(address)
        problem = await problem_of(f"http://127.0.0.1:{address[1]}/jwks", within=0.2)
        for each in queue:
            each.close()
    assert problem == "no answer in time, while connecting"


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.ECONNREFUSED, "connection refused"),
        (errno.EHOSTUNREACH, "host not reachable"),
        (errno.ENETUNREACH, "network not reachable"),
        (errno.ETIMEDOUT, "timeout while connecting"),
        (errno.EMFILE, "too many open files on this side"),
        (errno.EACCES, "permission denied"),
    ],
)
def test_the_words_are_those_for_the_number_whatever_else_is_said(number: int, why: str) -> None:
    assert why_no_answer(OSError(number, "\x1b[31m something else")) == f"no answer: {why}"


@pytest.mark.parametrize(
    "error",
    [
        h11.RemoteProtocolError("\x1b[31m"),
        CutShortError("\x1b[31m"),
        EOFError("\x1b[31m"),
        ssl.SSLError("\x1b[31m"),
        OSError("\x1b[31m"),
        ValueError("\x1b[31m"),
        ConnectionResetError("\x1b[31m"),
    ],
)
def test_neither_a_class_nor_what_somebody_sent_is_in_the_words(error: Exception) -> None:
    words = why_no_answer(error)
    assert words.startswith("no answer: ")
    assert words.isprintable()
    assert "Error" not in words
