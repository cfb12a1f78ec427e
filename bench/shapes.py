"""What a Check adds to a request, in each shape in which the service is deployed.

The real Envoy answers one request after the other on one connection, by itself, with nobody asked
and with the service asked over a unix socket, over loopback and over mutual TLS. The shapes are
measured in turns. A network between Envoy and the service adds its round trip to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any, Final

import yaml

from authz_service.demo import tokens
from authz_service.demo.envoy import Envoy
from authz_service.demo.issuer import DevelopmentIssuer
from authz_service.demo.service import AuthzService, resident_mib
from authz_service.demo.world import SHOP
from bench.comparison import spread
from bench.process import cpu_seconds
from bench.shop import POLICY
from tests.deploy.envoys import FOLDER, local
from tests.support.certificates import ENVOY_ID, authority

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to ask the service, or none: the file of ``envoy/`` that is its configuration."""

    name: str
    file: str
    listen: str = "127.0.0.1:0"
    tls: bool = False
    asks: bool = True


SHAPES: Final = (
    Shape("nobody asked", "envoy.yaml", asks=False),
    Shape("sidecar, unix socket", "unix-socket.yaml", listen="unix:{directory}/authz.sock"),
    Shape("sidecar, loopback", "envoy.yaml"),
    Shape("central, mutual TLS", "central-mutual-tls/envoy.yaml", tls=True),
)


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one shape: seconds of each request, CPU seconds of both processes for each."""

    latencies: Sequence[float]
    cpu: float

    @property
    def p99(self) -> float:
        """The time that one request in a hundred takes longer than."""
        return quantiles(self.latencies, n=100)[98]


class Running:
    """One shape that runs."""

    def __init__(self, envoy: Envoy, service: AuthzService | None, request: bytes) -> None:
        """Both processes, and the request that is sent."""
        self._envoy = envoy
        self._service = service
        self._request = request

    @property
    def pids(self) -> list[int]:
        """Envoy's, and the service's where there is one."""
        return [self._envoy.pid, *([self._service.pid] if self._service else [])]

    @property
    def memory(self) -> str:
        """What each process holds."""
        return " + ".join(f"{resident_mib(pid):.0f}" for pid in self.pids)

    def measure(self, requests: int) -> Round:
        """Send *requests*, one after the other. Each must be answered with 200."""
        with socket.create_connection(("127.0.0.1", self._envoy.listener)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._exchange(connection)
            before = sum(map(cpu_seconds, self.pids))
            moments = [time.perf_counter()]
            for _number in range(requests):
                self._exchange(connection)
                moments.append(time.perf_counter())
            cpu = (sum(map(cpu_seconds, self.pids)) - before) / requests
        return Round([after - before for before, after in pairwise(moments)], cpu)

    def _exchange(self, connection: socket.socket) -> None:
        connection.sendall(self._request)
        answer = connection.recv(65536)  # a head without a body, which Envoy writes at once
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b"\r\n\r\n")


def _configuration(shape: Shape, directory: Path, service: AuthzService | None) -> Path:
    """Write *shape*'s file with the addresses of here, and an Envoy that answers by itself."""
    over_tcp = service is not None and not shape.listen.startswith("unix:")
    file = local(
        FOLDER / shape.file, directory, *([service.listen] if service and over_tcp else [])
    )
    config: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    [filter_] = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    manager = filter_["typed_config"]
    [host] = manager["route_config"]["virtual_hosts"]
    host["routes"] = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
    if service is None:
        del manager["http_filters"][0]
    file.write_text(yaml.safe_dump(config), "utf-8")
    return file


def _tls(directory: Path) -> dict[str, str]:
    """Write certificates of both ends into *directory*; gives the service's settings."""
    ca = authority()
    own = directory / "service"
    own.mkdir()
    files = ca.server().write(own, ca.pem)
    ca.envoy().write(directory, ca.pem)
    return {
        "AUTHZ_TLS_CERT": str(files.certificate),
        "AUTHZ_TLS_KEY": str(files.key),
        "AUTHZ_TLS_CLIENT_CA": str(files.client_ca),
        "AUTHZ_TLS_CLIENT_SAN": ENVOY_ID,
    }


async def _start(shape: Shape, issuer: DevelopmentIssuer, stack: AsyncExitStack) -> Running:
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    service = None
    if shape.asks:
        policy = directory / "policy.yaml"
        policy.write_text(POLICY, encoding="utf-8")
        more: Mapping[str, str] = _tls(directory) if shape.tls else {}
        service = AuthzService(
            policy, environment={"DEMO_ISSUER": issuer.issuer, **more}, log=directory / "log"
        )
        service.listen = shape.listen.format(directory=directory)
        await service.start()
        stack.push_async_callback(service.stop)
    config = _configuration(shape, directory, service)
    envoy = await stack.enter_async_context(Envoy(config, log=directory / "envoy.log"))
    return Running(envoy, service, _request(issuer))


def _request(issuer: DevelopmentIssuer) -> bytes:
    token = issuer.mint(tokens.claims(issuer))
    return (
        "GET /products/1 HTTP/1.1\r\nhost: shop.example.com\r\n"
        f"authorization: Bearer {token}\r\n\r\n"
    ).encode("ascii")


async def _run(requests: int, rounds: int) -> None:
    async with AsyncExitStack() as stack:
        issuer = DevelopmentIssuer([SHOP])
        await issuer.start()
        stack.push_async_callback(issuer.stop)
        running = [(shape, await _start(shape, issuer, stack)) for shape in SHAPES]
        measured: list[list[Round]] = [[] for _ in running]
        for number in range(rounds + 1):
            for (_shape, each), so_far in zip(running, measured, strict=True):
                # In a thread: what the processes log is read on the loop meanwhile.
                one = await asyncio.to_thread(each.measure, requests)
                if number:  # the first is to warm up
                    so_far.append(one)
        print(f"{'shape':22} {'p50 (spread)':30} {'p99 (spread)':30} {'CPU':8} MiB")
        for (shape, each), of_shape in zip(running, measured, strict=True):
            p50 = spread([median(one.latencies) for one in of_shape])
            p99 = spread([one.p99 for one in of_shape])
            cpu = f"{median(one.cpu for one in of_shape) * 1e6:.0f} µs"
            print(f"{shape.name:22} {p50:30} {p99:30} {cpu:8} {each.memory}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    quick = parser.parse_args().quick
    asyncio.run(_run(200 if quick else 2_000, 3 if quick else 5))
    sys.exit(0)
