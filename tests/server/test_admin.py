"""The admin port, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import functools
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
import uvloop
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from authz_service.core.decision import Deny, DenyReason
from authz_service.server import admin as admin_module
from authz_service.server import http_port
from authz_service.server.admin import AdminServer
from authz_service.server.http_port import MAX_CONNECTIONS, Request
from authz_service.server.listen import ListenError, TcpAddress
from authz_service.server.readiness import Readiness
from authz_service.telemetry.metrics import Metrics, checks
from tests.edge.rig import PATIENCE
from tests.support.event_loops import eventually
from tests.support.log_events import captured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from authz_service.telemetry.metrics import Format

ANY_PORT: Final = TcpAddress("127.0.0.1", 0)
SECRET: Final = b"in-the-request"
READY: Final = Readiness(stopping=False, issuers_without_keys=())


@dataclass
class Admin:
    """A running admin server, of which a test may change what it reports."""

    metrics: Metrics
    readiness: Readiness = READY
    address: TcpAddress = ANY_PORT

    @functools.cached_property
    def server(self) -> AdminServer:
        """The server itself."""
        return AdminServer(lambda: self.readiness, self.metrics)

    async def ask(self, path: str, method: str = "GET") -> tuple[int, str, str]:
        """Give status, content type and body."""
        async with (
            ClientSession() as session,
            session.request(method, f"http://{self.address}{path}") as answer,
        ):
            return answer.status, answer.headers["content-type"], await answer.text()

    @property
    def connections(self) -> int:
        """How many there are."""
        return self.server._port.connections

    async def send(self, octets: bytes) -> bytes:
        """Send *octets*, whatever they are, and give all that comes until the connection ends."""
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
            with contextlib.closing(writer):
                writer.write(octets)
                return await reader.read()


@contextlib.asynccontextmanager
async def _admin() -> AsyncIterator[Admin]:
    admin = Admin(Metrics())
    admin.address = await admin.server.start(admin.address)
    try:
        yield admin
    finally:
        await admin.server.stop()


def test_livez_says_that_the_process_answers_whatever_is_missing() -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            admin.readiness = Readiness(stopping=True, issuers_without_keys=("logto",))
            status, content_type, body = await admin.ask("/livez")
        assert (status, body) == (200, '{"status": "alive"}')
        assert content_type.startswith("application/json")

    asyncio.run(exchange())


@pytest.mark.parametrize(
    ("readiness", "status", "body"),
    [
        (READY, 200, '{"ready": true, "missing": [], "warnings": [], "issuers": {}}'),
        (
            Readiness(stopping=False, issuers_without_keys=("a", "b")),
            503,
            (
                '{"ready": false, "missing": ["keys of issuer a", "keys of issuer b"],'
                ' "warnings": [], "issuers": {}}'
            ),
        ),
        (
            Readiness(stopping=False, issuers_without_keys=(), warnings=("an old policy",)),
            200,
            '{"ready": true, "missing": [], "warnings": ["an old policy"], "issuers": {}}',
        ),
        (
            Readiness(stopping=True, issuers_without_keys=()),
            503,
            (
                '{"ready": false, "missing": ["the service is stopping"], "warnings": [],'
                ' "issuers": {}}'
            ),
        ),
    ],
    ids=["ready", "no_keys", "warning", "stopping"],
)
def test_readyz_says_what_is_missing(readiness: Readiness, status: int, body: str) -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            admin.readiness = readiness
            answer = await admin.ask("/readyz")
        assert (answer[0], answer[2]) == (status, body)
        assert answer[1].startswith("application/json")

    asyncio.run(exchange())


def test_readyz_is_asked_anew_each_time() -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            admin.readiness = Readiness(stopping=False, issuers_without_keys=("logto",))
            assert (await admin.ask("/readyz"))[0] == 503
            admin.readiness = READY
            assert (await admin.ask("/readyz"))[0] == 200

    asyncio.run(exchange())


def test_metrics_are_in_the_text_format_that_prometheus_reads() -> None:
    async def exchange() -> str:
        async with _admin() as admin:
            admin.metrics.count(Deny(DenyReason.EXPIRED), 0.001)
            admin.metrics.count(Deny(DenyReason.EXPIRED), 0.001)
            status, content_type, body = await admin.ask("/metrics")
        assert status == 200
        assert content_type == "text/plain; version=0.0.4; charset=utf-8"
        return body

    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(asyncio.run(exchange()))
        for sample in family.samples
    }
    counted = (
        "authz_decisions_total",
        ("decision", "deny"),
        ("mode", "enforce"),
        ("reason", "expired"),
        ("resource", ""),
    )
    assert samples[counted] == 2


def test_metrics_are_openmetrics_for_whoever_reads_that() -> None:
    async def exchange() -> None:
        async with (
            _admin() as admin,
            ClientSession(
                headers={"accept": "application/openmetrics-text;version=1.0.0"}
            ) as session,
            session.get(f"http://{admin.address}/metrics") as answer,
        ):
            expected = "application/openmetrics-text; version=1.0.0; charset=utf-8"
            assert answer.headers["content-type"] == expected
            assert (await answer.text()).endswith("\n# EOF\n")

    asyncio.run(exchange())


def test_others_get_their_turn_during_a_scrape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of series take longer to write than Envoy waits for a Check."""
    monkeypatch.setattr(checks, "_SERIES_AT_ONCE", 1)
    turns: list[int] = []

    async def take_turns() -> None:
        while True:
            turns.append(len(turns))
            await asyncio.sleep(0)

    async def exchange() -> None:
        async with _admin() as admin:
            for reason in DenyReason:
                admin.metrics.count(Deny(reason), 0.001)
            page = admin.server._pages["/metrics"]
            request = Request("GET", "/metrics")
            others = asyncio.create_task(take_turns())
            await page(request)
            others.cancel()
        assert len(turns) > len(DenyReason)

    asyncio.run(exchange())


def test_one_scrape_is_written_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or Checks would wait for a part of each of them in every turn."""
    under_way, together = [0], []

    def parts(_form: Format) -> Iterator[bytes]:
        under_way[0] += 1
        together.append(under_way[0])
        yield from [b"# a part\n"] * 10
        under_way[0] -= 1

    async def exchange() -> None:
        async with _admin() as admin:
            monkeypatch.setattr(admin.metrics, "parts", parts)
            answers = await asyncio.gather(*(admin.ask("/metrics") for _ in range(5)))
        assert [body.count("# a part") for _status, _type, body in answers] == [10] * 5
        assert together == [1] * 5

    asyncio.run(exchange())


def test_nothing_is_written_for_a_client_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Format] = []

    def parts(form: Format) -> Iterator[bytes]:
        begun.append(form)
        yield b""
        while len(begun) == 1:
            yield b""

    async def exchange() -> None:
        async with _admin() as admin:
            monkeypatch.setattr(admin.metrics, "parts", parts)
            _reader, writer = await asyncio.open_connection(admin.address.host, admin.address.port)
            writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            await eventually(lambda: len(begun) == 1)
            writer.close()
            async with asyncio.timeout(PATIENCE):
                assert (await admin.ask("/metrics"))[0] == 200

    asyncio.run(exchange())


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_head_is_get_without_the_body(path: str) -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            for readiness in (READY, Readiness(stopping=True, issuers_without_keys=())):
                admin.readiness = readiness
                got, headed = await admin.ask(path), await admin.ask(path, "HEAD")
                assert headed == (*got[:2], "")

    asyncio.run(exchange())


@pytest.mark.parametrize("path", ["/", "/livez/", "/healthz", "/metrics/x", "/..%2freadyz", "//"])
def test_anything_else_is_not_found(path: str) -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            assert (await admin.ask(path))[0] == 404

    asyncio.run(exchange())


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(path: str, method: str) -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            assert (await admin.ask(path, method))[0] == 405

    asyncio.run(exchange())


def _head(answer: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """The status line and the fields of *answer*."""
    status, *fields = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return status, {
        name.lower(): value for name, _, value in (field.partition(b": ") for field in fields)
    }


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n", b"200 OK"),
        (b"GET /livez HTTP/1.0\r\n\r\n", b"200 OK"),
        (b"GET /livez?%s HTTP/1.1\r\nhost: x\r\n\r\n" % SECRET, b"200 OK"),
        (b"GET /%s HTTP/1.1\r\nhost: x\r\n\r\n" % SECRET, b"404 Not Found"),
        (b"%s /livez HTTP/1.1\r\nhost: x\r\n\r\n" % SECRET.upper(), b"400 Bad Request"),
        (b"BREW /livez HTTP/1.1\r\nhost: x\r\n\r\n", b"400 Bad Request"),
        (b"DELETE /livez HTTP/1.1\r\nhost: x\r\n\r\n", b"405 Method Not Allowed"),
        (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", b"404 Not Found"),
        (b"CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n", b"404 Not Found"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\n%s\r\n\r\n" % SECRET, b"400 Bad Request"),
        (b"\x16\x03\x01" + SECRET + b"\r\n\r\n", b"400 Bad Request"),
        (b"GET /%s HTTP/1.1\r\nhost: x\r\n\r\n" % (b"x" * 5000), b"400 Bad Request"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\nx: %s\r\n\r\n" % (SECRET * 500), b"400 Bad Request"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\n%s\r\n" % (b"x: y\r\n" * 70), b"400 Bad Request"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\n%s" % (b"x: yyyy\r\n" * 5000), b"400 Bad Request"),
        (b"GET http://x:9192/livez?%s HTTP/1.1\r\nhost: x\r\n\r\n" % SECRET, b"200 OK"),
        (b"GET http://x HTTP/1.1\r\nhost: x\r\n\r\n", b"404 Not Found"),
        (b"GET /livez HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", b"400 Bad Request"),
        (b"GET /livez HTTP/2.0\r\nhost: x\r\n\r\n", b"400 Bad Request"),
        (b"GET /livez\r\n\r\n", b"400 Bad Request"),
        (b"GET  /livez HTTP/1.1\r\nhost: x\r\n\r\n", b"400 Bad Request"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\nx : y\r\n\r\n", b"400 Bad Request"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\nx: y\0\r\n\r\n", b"400 Bad Request"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n\r\n", b"200 OK"),
        (b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n", b"400 Bad Request"),
        (b"POST /livez HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
         b"405 Method Not Allowed"),
    ],
)  # fmt: skip
def test_whatever_is_sent_the_answer_repeats_none_of_it_and_says_no_version(
    octets: bytes, status: bytes
) -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            answer = await admin.send(octets)
            line, fields = _head(answer)
            assert line.partition(b" ")[2] == status
            assert fields[b"server"] == b"authz-service"
            assert SECRET not in answer.lower()
            for told in (b"aiohttp", b"python", b"traceback"):
                assert told not in answer.lower()
            assert (await admin.ask("/livez"))[0] == 200

    asyncio.run(exchange())


@pytest.mark.parametrize("path", ["/livez", "/metrics", "/elsewhere"])
def test_an_answer_says_when_it_was_made_how_long_it_is_and_that_it_is_the_last(path: str) -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            answer = await admin.send(b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % path.encode())
        _line, fields = _head(answer)
        made = email.utils.parsedate_to_datetime(fields.pop(b"date").decode())
        assert abs(time.time() - made.timestamp()) < PATIENCE
        assert int(fields.pop(b"content-length")) == len(answer.partition(b"\r\n\r\n")[2])
        assert fields.pop(b"content-type")
        assert fields == {
            b"server": b"authz-service", b"cache-control": b"no-store", b"connection": b"close",
        }  # fmt: skip

    asyncio.run(exchange())


def test_a_method_that_is_not_allowed_is_told_which_are() -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            answer = await admin.send(b"PUT /livez HTTP/1.1\r\nhost: x\r\n\r\n")
        assert _head(answer)[1][b"allow"] == b"GET, HEAD"

    asyncio.run(exchange())


@pytest.mark.parametrize("seconds", [0, 951827696, 1709164800, 4102444799])
def test_the_date_is_written_as_http_has_it(seconds: int) -> None:
    assert http_port.imf_fixdate(seconds) == email.utils.formatdate(seconds, usegmt=True)


def test_it_works_on_the_event_loop_that_the_service_has() -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            assert await admin.send(b"nothing that is HTTP\r\n\r\n")
            head, ready = await admin.ask("/metrics", "HEAD"), await admin.ask("/readyz")
            assert (head[0], head[2], ready[0]) == (200, "", 200)
            await eventually(lambda: admin.connections == 0)

    uvloop.run(exchange())


def test_a_stop_lets_an_answer_end_and_cuts_off_whoever_has_asked_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, parts = asyncio.Event(), [b"# one\n", b"# two\n"]

    def slowly(_form: Format) -> Iterator[bytes]:
        begun.set()
        yield from parts

    async def exchange() -> None:
        async with _admin() as admin:
            monkeypatch.setattr(admin.metrics, "parts", slowly)
            silent, other = await asyncio.open_connection(admin.address.host, admin.address.port)
            scrape = asyncio.create_task(admin.ask("/metrics"))
            await begun.wait()
            await admin.server.stop()
            assert (await scrape)[2] == "# one\n# two\n"
            with contextlib.suppress(ConnectionResetError):
                assert await silent.read() == b""
            other.close()
            assert admin.connections == 0
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(admin.address.host, admin.address.port)

    asyncio.run(exchange())


def test_a_stop_does_not_wait_for_an_answer_that_has_no_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_port, "_STOP_SECONDS", 0.05)
    begun = asyncio.Event()

    def endlessly(_form: Format) -> Iterator[bytes]:
        begun.set()
        while True:
            yield b""

    async def exchange() -> None:
        async with _admin() as admin:
            monkeypatch.setattr(admin.metrics, "parts", endlessly)
            scrape = asyncio.create_task(admin.send(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"))
            await begun.wait()
            await admin.server.stop()
            with contextlib.suppress(ConnectionResetError):
                assert await scrape == b""

    asyncio.run(exchange())


def test_a_connection_has_one_request() -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            answer = await admin.send(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" * 3)
            assert answer.count(b"HTTP/1.1") == 1

    asyncio.run(exchange())


def test_a_body_is_not_waited_for() -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            answer = await admin.send(
                b"GET /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\nx"
            )
            assert answer.startswith(b"HTTP/1.1 200")

    asyncio.run(exchange())


def test_lines_are_counted_before_they_are_parsed() -> None:
    """Thousands of them take milliseconds to parse, and Checks would wait for it."""

    async def exchange() -> None:
        async with _admin() as admin:
            start, line = b"GET /livez HTTP/1.1\r\nhost: x\r\n", b"x: y\r\n"
            assert (await admin.send(start + 65 * line)).startswith(b"HTTP/1.1 400")  # no end
            assert (await admin.send(start + 63 * line + b"\r\n")).startswith(b"HTTP/1.1 200")
            with_body = start + b"content-length: 999\r\n\r\n" + b"\n" * 999
            assert (await admin.send(with_body)).startswith(b"HTTP/1.1 200")

    asyncio.run(exchange())


@pytest.mark.parametrize("octets", [b"", b"GET /livez HTTP/1.1\r\nhost:", b"GET"])
def test_a_client_that_does_not_finish_its_request_is_cut_off(
    octets: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_port, "CONNECTION_SECONDS", 0.05)

    async def exchange() -> None:
        async with _admin() as admin:
            with contextlib.suppress(ConnectionResetError):
                assert await admin.send(octets) == b""

    asyncio.run(exchange())


def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_port, "CONNECTION_SECONDS", 0.2)
    warnings = ("x" * 20_000_000,)  # more than the system keeps for a reader

    async def exchange() -> None:
        async with _admin() as admin:
            admin.readiness = Readiness(stopping=False, issuers_without_keys=(), warnings=warnings)
            reader, writer = await asyncio.open_connection(admin.address.host, admin.address.port)
            with contextlib.closing(writer):
                writer.transport.pause_reading()  # type: ignore[attr-defined] # it reads, too
                writer.write(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
                await eventually(lambda: admin.connections == 1)
                await eventually(lambda: admin.connections == 0)
            assert not reader.at_eof()

    asyncio.run(exchange())


def test_of_too_many_connections_the_oldest_is_cut_off_and_the_newest_answered() -> None:
    async def exchange() -> None:
        async with _admin() as admin, contextlib.AsyncExitStack() as stack:
            readers = []
            for _ in range(MAX_CONNECTIONS):
                reader, writer = await asyncio.open_connection(
                    admin.address.host, admin.address.port
                )
                stack.callback(writer.close)
                readers.append(reader)
            assert (await admin.ask("/livez"))[0] == 200
            async with asyncio.timeout(PATIENCE):
                with contextlib.suppress(ConnectionResetError):
                    assert await readers[0].read() == b""
            assert not readers[-1].at_eof()

    asyncio.run(exchange())


def test_a_fault_of_ours_is_told_to_the_log_and_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = captured(monkeypatch, admin_module)

    def fail() -> bytes:
        raise ValueError("in-the-message")

    async def exchange() -> None:
        async with _admin() as admin:
            monkeypatch.setattr(admin.metrics, "parts", lambda _form: fail())
            assert await admin.ask("/metrics") == (
                500, "text/plain; charset=utf-8", "500: Internal Server Error"
            )  # fmt: skip
            assert (await admin.ask("/livez"))[0] == 200

    asyncio.run(exchange())
    assert events == [{"event": "admin_failed", "error": "ValueError", "log_level": "error"}]


def test_a_port_that_is_taken_is_refused() -> None:
    async def exchange(port: int) -> None:
        address = TcpAddress("127.0.0.1", port)
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port}"):
            await AdminServer(lambda: READY, Metrics()).start(address)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(exchange(taken.getsockname()[1]))


@pytest.mark.parametrize("host", ["192.0.2.1", "..", "x" * 70])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    async def exchange() -> None:
        with pytest.raises(ListenError, match="cannot listen on"):
            await AdminServer(lambda: READY, Metrics()).start(TcpAddress(host, 0))

    asyncio.run(exchange())


def test_ipv6_is_served_and_named_with_brackets() -> None:
    async def exchange() -> None:
        server = AdminServer(lambda: READY, Metrics())
        address = await server.start(TcpAddress("::1", 0))
        try:
            assert str(address).startswith("[::1]:")
            assert (await Admin(Metrics(), address=address).ask("/livez"))[0] == 200
        finally:
            await server.stop()

    asyncio.run(exchange())
