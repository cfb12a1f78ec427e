"""Real connections: who gets in, who does not, and what happens when the files change."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from grpc.experimental import session_cache
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz_service.server import limits
from authz_service.server.listen import TcpAddress
from authz_service.server.tls import rotation
from authz_service.server.tls.callers import CallerList, TrustedCallers
from authz_service.server.tls.rotation import RotatingIdentity
from tests.edge.rig import PATIENCE, reason
from tests.edge.shop import check_request
from tests.server.listening import serving
from tests.server.tls.handshakes import asked, client_context, connected, is_let_in, serving_tls
from tests.support.certificates import DAY, ENVOY_ID, Authority, authority, dns, uri
from tests.support.event_loops import eventually
from tests.support.log_events import captured

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from pathlib import Path
    from typing import Any

    from tests.support.certificates import Leaf

_SERVER_ONLY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    return captured(monkeypatch, rotation)


def _mutual(tmp_path: Path) -> RotatingIdentity:
    return RotatingIdentity(authority().server().write(tmp_path, authority().pem))


def test_without_a_client_ca_anybody_gets_in_over_tls(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with serving_tls(RotatingIdentity(authority().server().write(tmp_path))) as port:
            assert await is_let_in(port, None)
            assert await is_let_in(port, authority("stranger").envoy())

    asyncio.run(exchange())


def test_with_a_client_ca_only_a_valid_certificate_of_its_gets_in(tmp_path: Path) -> None:
    ca = authority()
    strangers: dict[str, Leaf | None] = {
        "no certificate": None,
        "another CA": authority("stranger").envoy(),
        "another CA of the same name": Authority().envoy(),
        "expired": ca.leaf(uri(ENVOY_ID), not_after=timedelta(seconds=-1)),
        "not yet valid": ca.leaf(uri(ENVOY_ID), not_before=DAY / 2),
        "for servers only": ca.leaf(uri(ENVOY_ID), extensions=[_SERVER_ONLY]),
    }

    async def exchange() -> None:
        async with serving_tls(_mutual(tmp_path)) as port:
            let_in = [name for name, leaf in strangers.items() if await is_let_in(port, leaf)]
            assert let_in == []
            assert await is_let_in(port, ca.envoy())

    asyncio.run(exchange())


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("TLSv1_1", False), ("TLSv1_2", True), ("TLSv1_3", True)],
)
def test_tls_begins_at_1_2(tmp_path: Path, version: str, accepted: bool) -> None:  # noqa: FBT001 - of the table
    with (
        pytest.warns(DeprecationWarning, match="TLSv1_1")
        if not accepted
        else contextlib.nullcontext()
    ):
        context = client_context(
            tmp_path, authority().envoy(), maximum_version=ssl.TLSVersion[version],
            minimum_version=ssl.TLSVersion[version],
        )  # fmt: skip
    context.set_ciphers("ALL:@SECLEVEL=0")

    async def exchange() -> None:
        async with serving_tls(_mutual(tmp_path)) as port:
            with contextlib.nullcontext() if accepted else pytest.raises((ssl.SSLError, OSError)):
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
                assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
                writer.close()

    asyncio.run(exchange())


@pytest.mark.parametrize("protocols", [["http/1.1"], []])
def test_what_does_not_speak_http_2_is_disconnected(tmp_path: Path, protocols: list[str]) -> None:
    context = client_context(tmp_path, authority().envoy())
    context.set_alpn_protocols(protocols)

    async def exchange() -> None:
        async with serving_tls(_mutual(tmp_path)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
            writer.close()

    asyncio.run(exchange())


def test_plain_text_on_a_tls_port_is_disconnected_and_others_are_served(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with serving_tls(_mutual(tmp_path)) as port:
            silent, half_open = await asyncio.open_connection("127.0.0.1", port)
            for junk in (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"GET / HTTP/1.1\r\n\r\n",
                b"\0" * 999,
            ):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(junk)
                with contextlib.suppress(ConnectionError):
                    await asyncio.wait_for(reader.read(), PATIENCE)
                writer.close()
            assert await is_let_in(port, authority().envoy())
            assert not silent.at_eof()
            half_open.close()

    asyncio.run(exchange())


def test_new_connections_get_the_new_certificate_and_old_ones_go_on(tmp_path: Path) -> None:
    asyncio.run(_new_connections_get_the_new_certificate(tmp_path))


async def _new_connections_get_the_new_certificate(tmp_path: Path) -> None:
    other = authority("other")
    rotating = _mutual(tmp_path)
    async with (
        serving_tls(rotating) as port,
        connected(port, authority().envoy()) as old,
    ):
        assert (await old.check(check_request("/healthz"))).status.code == 0
        before = rotating.validity
        other.server(not_after=5 * DAY).write(tmp_path, other.pem)
        await eventually(lambda: rotating.validity != before)
        assert await is_let_in(port, other.envoy(), ca=other)
        assert not await is_let_in(port, authority().envoy(), ca=other)
        assert not await is_let_in(port, other.envoy(), ca=authority())
        assert (await old.check(check_request("/healthz"))).status.code == 0


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_a_session_of_a_client_whose_ca_has_gone_is_not_resumed(
    tmp_path: Path, version: str
) -> None:
    context = client_context(tmp_path, authority().envoy(), maximum_version=ssl.TLSVersion[version])

    def resume(port: int, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        """Connect; None where the server hangs up."""
        with (
            socket.create_connection(("127.0.0.1", port), PATIENCE) as raw,
            context.wrap_socket(raw, session=session) as connection,
        ):
            answered = connection.recv(9)  # a session of TLS 1.3 comes with it
            assert connection.session_reused == (session is not None and bool(answered))
            return connection.session if answered else None

    async def exchange() -> None:
        rotating = _mutual(tmp_path)
        async with serving_tls(rotating) as port:
            session = await asyncio.to_thread(resume, port, None)
            assert session is not None
            assert await asyncio.to_thread(resume, port, session) is not None
            before = rotating.identity
            (tmp_path / "ca.crt").write_bytes(authority("other").pem)
            await eventually(lambda: rotating.identity is not before)
            with contextlib.suppress(OSError):
                assert await asyncio.to_thread(resume, port, session) is None

    asyncio.run(exchange())


def test_a_session_that_is_resumed_gets_denied_responses_once_its_certificate_has_expired(
    tmp_path: Path,
) -> None:
    """Its CA and its name are fine: as long as it is valid, it is let in."""
    later = time.time() + 2 * DAY.total_seconds()
    cache = session_cache.ssl_session_cache_lru(1)  # type: ignore[no-untyped-call] # gRPC has no types for it
    session = [("grpc.ssl_session_cache", cache)]
    envoy = authority().envoy()

    async def reasons(clock: Callable[[], float]) -> list[str]:
        answers = []
        async with serving_tls(_mutual(tmp_path), TrustedCallers(None, clock=clock)) as port:
            for _ in range(2):
                async with connected(port, envoy, options=session) as caller:
                    answers.append(reason(await caller.check(check_request("/healthz"))))
        return answers

    assert asyncio.run(reasons(lambda: later)) == ["", "untrusted_caller"]
    assert asyncio.run(reasons(time.time)) == ["", ""]


@pytest.mark.parametrize("over_tls", [True, False])
def test_who_connects_and_says_nothing_is_disconnected(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    over_tls: bool,  # noqa: FBT001 - of the table
) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE", 0.1)

    async def _is_disconnected(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()

    async def exchange() -> None:
        if over_tls:
            async with serving_tls(_mutual(tmp_path)) as port:
                await _is_disconnected(port)
        else:
            async with serving(TcpAddress("127.0.0.1", 0)) as bound:
                await _is_disconnected(int(str(bound).rpartition(":")[2]))

    asyncio.run(exchange())


NAMES = CallerList.parse([ENVOY_ID, "envoy.edge.svc"])


def _callers() -> dict[str, tuple[bool, Leaf]]:
    ca = authority()
    signs = x509.BasicConstraints(ca=True, path_length=None)
    return {
        "its SPIFFE ID": (True, ca.leaf(uri(ENVOY_ID))),
        "its SPIFFE ID, after a DNS name": (True, ca.leaf(dns("a.example"), uri(ENVOY_ID))),
        "its DNS name": (True, ca.leaf(dns("a.example"), dns("ENVOY.edge.svc"))),
        "its DNS name, and two URIs": (
            True, ca.leaf(dns("envoy.edge.svc"), uri("spiffe://a/b"), uri("spiffe://a/c")),
        ),
        "no name": (False, ca.leaf()),
        "a common name": (False, ca.leaf(common_name="envoy.edge.svc")),
        "a common name that looks like a SPIFFE ID": (False, ca.leaf(common_name=ENVOY_ID)),
        "a DNS name that looks like a SPIFFE ID": (False, ca.leaf(dns(ENVOY_ID))),
        "a URI that looks like a DNS name": (False, ca.leaf(uri("envoy.edge.svc"))),
        "an e-mail address": (False, ca.leaf(x509.RFC822Name("a@envoy.edge.svc"))),
        "the SPIFFE ID and another": (False, ca.leaf(uri(ENVOY_ID), uri("spiffe://a/b"))),
        "the SPIFFE ID and another URI": (False, ca.leaf(uri("https://a"), uri(ENVOY_ID))),
        "the SPIFFE ID of a CA": (False, ca.leaf(uri(ENVOY_ID), extensions=[signs])),
        "another path": (False, ca.leaf(uri(f"{ENVOY_ID}/more"))),
        "another case": (False, ca.leaf(uri(ENVOY_ID.replace("envoy", "Envoy")))),
        "an escape": (False, ca.leaf(uri(ENVOY_ID.replace("envoy", "%65nvoy")))),
        "a NUL after the SPIFFE ID": (False, ca.leaf(uri(f"{ENVOY_ID}\0.evil"))),
        "a NUL after the DNS name": (False, ca.leaf(dns("envoy.edge.svc\0.evil.example"))),
        "a wildcard": (False, ca.leaf(dns("*.edge.svc"))),
        "a last dot": (False, ca.leaf(dns("envoy.edge.svc."))),
        "a name below": (False, ca.leaf(dns("a.envoy.edge.svc"))),
    }  # fmt: skip


def test_only_callers_with_a_name_on_the_list_are_answered(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with serving_tls(_mutual(tmp_path), TrustedCallers(NAMES)) as port:
            for name, (trusted, leaf) in _callers().items():
                response = await asked(port, leaf)
                answer = (response.status.code, reason(response))
                assert (name, answer) == (name, (0, "") if trusted else (14, "untrusted_caller"))
                assert trusted or response.denied_response.status.code == 503

    asyncio.run(exchange())


def test_health_is_told_to_every_caller_with_a_certificate_of_the_ca(tmp_path: Path) -> None:
    """Without it, Envoy would ask nobody, and its `failure_mode_allow` would decide."""

    async def exchange() -> None:
        async with (
            serving_tls(_mutual(tmp_path), TrustedCallers(NAMES)) as port,
            connected(port, authority().leaf(uri("spiffe://a/b"))) as caller,
        ):
            stub = health_pb2_grpc.HealthStub(caller.channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    asyncio.run(exchange())


def test_a_tls_client_on_a_plain_port_is_disconnected(tmp_path: Path) -> None:
    context = client_context(tmp_path, authority().envoy())

    async def exchange() -> None:
        async with serving(TcpAddress("127.0.0.1", 0)) as bound:
            assert isinstance(bound, TcpAddress)
            with pytest.raises((ssl.SSLError, OSError)):
                await asyncio.open_connection(bound.host, bound.port, ssl=context)
            async with grpc.aio.insecure_channel(str(bound)) as channel:
                await asyncio.wait_for(channel.channel_ready(), PATIENCE)

    asyncio.run(exchange())


def test_a_key_that_boringssl_cannot_serve_never_takes_the_place_of_one_that_it_can(
    tmp_path: Path, events: list[MutableMapping[str, Any]]
) -> None:
    async def exchange() -> None:
        async with serving_tls(_mutual(tmp_path)) as port:
            key = ed25519.Ed25519PrivateKey.generate()
            authority().leaf(dns("localhost"), key=key).write(tmp_path)
            await eventually(lambda: events[-1]["event"] == "tls_not_reloaded")
            for _ in range(5):
                assert await is_let_in(port, authority().envoy())

    asyncio.run(exchange())
    assert [event["event"] for event in events] == ["tls_loaded", "tls_not_reloaded"]
