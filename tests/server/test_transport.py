"""The service as a process, over TLS: how it starts, and what it does when files change."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest

from tests.edge.rig import PATIENCE
from tests.edge.shop import check_request
from tests.server.processes import PUBLIC_ONLY, environment, service
from tests.server.tls.handshakes import asked, connected, is_let_in
from tests.support.certificates import DAY, ENVOY_ID, Authority, authority, dns

if TYPE_CHECKING:
    from pathlib import Path

    from authz_service.server.tls.identity import TlsFiles

FLOOD: Final = 200


def _options(files: TlsFiles, *more: str) -> list[str]:
    options = ["--tls-cert", str(files.certificate), "--tls-key", str(files.key)]
    if files.client_ca is not None:
        options += ["--tls-client-ca", str(files.client_ca)]
    return [*options, *more]


def _port(listen: str) -> int:
    return int(listen.rpartition(":")[2])


def test_the_service_follows_its_files_and_says_so_everywhere(tmp_path: Path) -> None:
    ca, other = authority(), authority("other")
    files = ca.server(not_after=DAY).write(tmp_path, ca.pem)

    async def exchange() -> None:
        options = _options(files, "--tls-client-san", ENVOY_ID)
        async with service(tmp_path, PUBLIC_ONLY, *options) as running:
            port = _port(running.listen)
            await running.event("readiness", ready=True)
            async with connected(port, ca.envoy()) as old:
                assert (await old.check(check_request("/healthz"))).status.code == 0
                other.server(not_after=5 * DAY).write(tmp_path, other.pem)
                reloaded = await running.event("tls_reloaded")
                assert not await is_let_in(port, ca.envoy())
                assert await is_let_in(port, other.envoy(), ca=other)
                assert (await old.check(check_request("/healthz"))).status.code == 0

            files.key.write_bytes(b"")
            running.signal(signal.SIGHUP)
            failed = await running.event("tls_not_reloaded")
            assert (
                failed["problem"] == f"{files.key}: holds no private key in PEM, or a damaged one"
            )
            assert failed["not_after"] == reloaded["not_after"]
            status, body = await running.get("/readyz")
            assert status == 200
            assert json.loads(body)["warnings"] == [
                f"the TLS files were not taken: {failed['problem']}"
            ]
            assert await is_let_in(port, other.envoy(), ca=other)
            _, metrics = await running.get("/metrics")
            [value] = [
                float(line.split()[1])
                for line in metrics.splitlines()
                if line.startswith("authz_tls_certificate_not_after_seconds ")
            ]
            stranger = await asked(port, other.leaf(dns("envoy.edge.svc")), ca=other)
            assert stranger.denied_response.status.code == 503
            assert (await running.event("caller_not_trusted"))["names"] == "DNS:envoy.edge.svc"
            assert (await running.event("check", decision="deny"))["reason"] == "untrusted_caller"
            running.signal(signal.SIGTERM)
            assert await running.exit_status() == 0
            assert str(reloaded["not_after"]).startswith(_iso(value))
        assert running.errors.read_text() == ""

    asyncio.run(exchange())


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_bad_clients_leave_no_trace_in_the_log_and_nothing_breaks(tmp_path: Path) -> None:
    ca = authority()
    files = ca.server().write(tmp_path, ca.pem)

    async def _junk(port: int, octets: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            writer.write(octets)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()

    async def exchange() -> None:
        async with service(tmp_path, PUBLIC_ONLY, *_options(files)) as running:
            port = _port(running.listen)
            await running.event("readiness", ready=True)
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
            for octets in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 3000):
                await asyncio.gather(*(_junk(port, octets) for _ in range(FLOOD // 4)))
            for client in (None, authority("stranger").envoy(), ca.leaf(not_after=-DAY / 2)):
                assert not await is_let_in(port, client)
            assert await is_let_in(port, ca.envoy())
            running.signal(signal.SIGTERM)
            assert await running.exit_status() == 0
            events = [event["event"] for event in await running.rest_of_the_log()]
            assert events == ["check", "stopping", "stopped"]
            assert running.errors.read_text() == ""
            for _, writer in silent:
                writer.close()

    asyncio.run(exchange())


def _serve(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    policy = tmp_path / "policy.yaml"
    policy.write_text(PUBLIC_ONLY, "utf-8")
    return subprocess.run(
        [sys.executable, "-m", "authz_service", "serve", "--policy", str(policy),
         "--admin", "off", *options],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def _assert_is_refused(finished: subprocess.CompletedProcess[str], message: str) -> None:
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr == f"authz-service: {message}\n"


def test_a_start_beyond_loopback_without_tls_says_what_to_do(tmp_path: Path) -> None:
    _assert_is_refused(
        _serve(tmp_path, "--listen", "0.0.0.0:0"),
        "cannot listen on 0.0.0.0:0 without TLS, as it is not loopback: give --tls-cert and"
        " --tls-key, or --insecure-listen if the network itself keeps everybody but Envoy away",
    )


def test_a_start_with_an_expired_certificate_says_so(tmp_path: Path) -> None:
    files = Authority().server(not_after=-DAY / 2).write(tmp_path)
    finished = _serve(tmp_path, "--listen", "127.0.0.1:0", *_options(files))
    expired = finished.stderr.rpartition(" ")[2].strip()
    _assert_is_refused(finished, f"{files.certificate}: has expired at {expired}")


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "unix:{}/authz.sock"])
def test_with_tls_any_address_is_listened_on(tmp_path: Path, listen: str) -> None:
    files = authority().server().write(tmp_path)

    async def exchange() -> None:
        address = listen.format(tmp_path)
        async with service(tmp_path, PUBLIC_ONLY, *_options(files), listen=address) as running:
            if address.startswith("0"):
                assert await is_let_in(_port(running.listen), None)

    asyncio.run(exchange())
