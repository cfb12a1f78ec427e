"""`health`: what a container's probe gets to know, also from something that is no service."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

import pytest
from click.testing import CliRunner, Result

from authz_service.cli import health
from authz_service.cli.main import main
from tests.cli.test_imports import modules_after
from tests.edge.rig import PATIENCE
from tests.edge.shop import ISSUER
from tests.server.processes import PUBLIC_ONLY, bound_socket, environment, policy_with, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_READY: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n%b"


def run(*arguments: str, **variables: str) -> Result:
    return CliRunner(env=variables).invoke(main, ["health", *arguments], prog_name="authz-service")


async def probe(*arguments: str, **variables: str) -> tuple[int, str]:
    """Run the command as an engine does, and return its status and all that it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "authz_service", "health", *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(variables),
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    return process.returncode or 0, said.decode()


@contextlib.contextmanager
def answering(answer: bytes, *, hold: bool = False) -> Iterator[str]:
    """A server that answers one connection with *answer*; where it is to *hold*, it never ends."""
    done = threading.Event()
    listener = bound_socket()
    listener.listen()

    def answer_one() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                if hold:
                    done.wait(PATIENCE)

    thread = threading.Thread(target=answer_one)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(PATIENCE)


def not_ready(body: object) -> bytes:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return NOT_READY % (len(octets), octets)


def test_a_service_that_is_ready_and_listens_everywhere_is_asked_on_this_machine(
    tmp_path: Path,
) -> None:
    async def exchange() -> None:
        async with service(tmp_path, PUBLIC_ONLY, admin="0.0.0.0:0") as running:
            await running.event("readiness", ready=True)
            everywhere = running.admin or ""
            assert everywhere.startswith("0.0.0.0:")
            assert await probe(AUTHZ_ADMIN=everywhere) == (0, "ready\n")
            assert await probe("--admin", everywhere, "--live") == (0, "alive\n")

    asyncio.run(exchange())


def test_a_service_that_has_no_keys_is_alive_and_not_ready(tmp_path: Path) -> None:
    async def exchange() -> None:
        with bound_socket() as silent:
            jwks_uri = f"http://127.0.0.1:{silent.getsockname()[1]}/jwks"
            async with service(tmp_path, policy_with(ISSUER, jwks_uri)) as running:
                admin = running.admin or ""
                assert await probe("--admin", admin) == (1, "not ready: keys of issuer logto\n")
                assert await probe("--admin", admin, "--live") == (0, "alive\n")

    asyncio.run(exchange())


@pytest.mark.parametrize(("option", "state"), [((), "ready"), (("--live",), "alive")])
def test_where_nobody_listens_it_says_so(option: tuple[str, ...], state: str) -> None:
    with bound_socket() as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        result = run("--admin", address, *option)
    assert result.exit_code == 1
    assert result.stderr == f"not {state}: no answer from {address}: connection refused\n"
    assert result.stdout == ""


def test_what_is_missing_is_one_line_in_which_nothing_is_obeyed() -> None:
    missing = ["keys of issuer \x1b[2J\n\u202e", "bücher"]
    with answering(not_ready({"missing": missing})) as address:
        result = run("--admin", address)
    assert result.exit_code == 1
    assert result.stderr == "not ready: keys of issuer \\x1b[2J\\n\\u202e; bücher\n"


def test_what_is_missing_is_told_in_bounded_length() -> None:
    with answering(not_ready({"missing": ["x" * 100_000]})) as address:
        assert len(run("--admin", address).stderr) < 2000


@pytest.mark.parametrize(
    "body",
    [
        b"", b"503: Service Unavailable", b"\xff", b"[" * 100_000, [], None, 1, {},
        {"missing": None}, {"missing": [1]}, {"missing": []}, {"missing": 5},
    ],
    ids=lambda body: str(body)[:20],
)  # fmt: skip
def test_another_body_is_not_believed(body: object) -> None:
    with answering(not_ready(body)) as address:
        result = run("--admin", address)
    assert result.exit_code == 1
    assert result.stderr == f"not ready: {address} answered with status 503\n"


@pytest.mark.parametrize(
    "status", [b"302 Found\r\nLocation: /livez", b"404 Not Found", b"204 None"]
)
def test_another_status_is_not_ready_and_leads_nowhere(status: bytes) -> None:
    with answering(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status) as address:
        result = run("--admin", address)
    assert result.exit_code == 1
    assert result.stderr == f"not ready: {address} answered with status {status[:3].decode()}\n"


@pytest.mark.parametrize("body", [b"ok", b'{"ready": false}', b'{"status": "alive"}'])
def test_a_good_status_alone_is_not_ready(body: bytes) -> None:
    with answering(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    ) as address:
        assert run("--admin", address).exit_code == 1


@pytest.mark.parametrize("answer", [b"", b"\0\0\x12\4\0\0\0\0\0", b"HTTP/1.1 \x1b[2J\r\n\r\n"])
def test_what_is_not_http_is_no_answer(answer: bytes) -> None:
    with answering(answer) as address:
        result = run("--admin", address)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"not ready: no answer from {address}: ")
    assert "\x1b" not in result.stderr


def test_an_answer_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "SECONDS", 0.2)
    with answering(b"HTTP/1.1 200 OK\r\nX: ", hold=True) as address:
        result = run("--admin", address)
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--admin", "off"), "there is no admin port to ask: --admin is off"),
        (("--admin", "127.0.0.1:0"), "--admin has no port to ask"),
        (("--admin", "unix:/run/authz/admin.sock"), "write HOST:PORT, [::]:PORT or off"),
        (("ready",), "unexpected extra argument"),
    ],
)
def test_what_cannot_be_asked_is_bad_usage(arguments: tuple[str, ...], why: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert why in result.stderr


def test_no_proxy_is_asked() -> None:
    with (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as proxy,
        answering(not_ready({"missing": ["x"]})) as address,
    ):
        proxies = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), f"http://{proxy}")
        assert run("--admin", address, **proxies).stderr == "not ready: x\n"


def test_it_loads_nothing_of_the_service() -> None:
    modules = modules_after(
        "import contextlib\nfrom authz_service.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(['health', '--admin', '127.0.0.1:1'])\n"
    )
    assert "authz_service.cli.health" in modules
    heavy = {
        "grpc",
        "aiohttp",
        "structlog",
        "pydantic",
        "asyncio",
        "google",
        "yaml",
        "cryptography",
    }
    assert not heavy & modules
