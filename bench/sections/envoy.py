"""Requests through the real Envoy: what each way of authorizing them adds.

Envoy answers by itself: with nobody asked, with its own `jwt_authn`, with `ext_authz` that asks a
no-op or the service, over TCP, a unix socket and mutual TLS. One keep-alive connection, HTTP/2.
A network between Envoy and the service adds its round trip.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from authz_service.demo.envoy import Envoy
from bench.check_requests import CLIENT_HEADERS, HOST
from bench.figures import Unit
from bench.http2 import Request
from bench.loads import Pace, fetch, one_answer
from bench.minting import AUDIENCE, KeyServer
from bench.policies import path, policy
from bench.processes import noop, resident, service
from bench.rounds import in_turns
from bench.rows import Reference, Row
from bench.shop import Kind
from tests.deploy.envoys import FOLDER, local
from tests.support.certificates import ENVOY_ID, authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bench.loads import Report
    from bench.minting import Issuer
    from bench.processes import Server
    from bench.scale import Scale

_FIELDS: Final[tuple[tuple[str, str | None], ...]] = (
    (":method", "GET"),
    (":scheme", "http"),
    (":path", None),
    (":authority", HOST),
    ("authorization", None),
    *CLIENT_HEADERS.items(),
)
_RATE: Final = 1000
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Way:
    """One way to authorize: the file of `envoy/` that is its configuration, and who is asked."""

    name: str
    file: str = "envoy.yaml"
    listen: str = "127.0.0.1:0"
    beside: str = "Envoy, nobody asked"
    filters: str = "ext_authz"
    asks: str = "authz-service"
    tls: bool = False


_SOCKET: Final = ("unix-socket.yaml", "unix:{directory}/authz.sock")
WAYS: Final = (
    Way("Envoy, nobody asked", filters="", asks=""),
    Way("Envoy, jwt_authn", filters="jwt_authn", asks=""),
    Way("ext_authz, no-op, TCP", asks="no-op"),
    Way("ext_authz, TCP", beside="ext_authz, no-op, TCP"),
    Way("ext_authz, no-op, unix socket", *_SOCKET, asks="no-op"),
    Way("ext_authz, unix socket", *_SOCKET, beside="ext_authz, no-op, unix socket"),
    Way(
        "ext_authz, mutual TLS",
        "central-mutual-tls/envoy.yaml",
        beside="ext_authz, TCP",
        tls=True,
    ),
)


@dataclass(frozen=True, slots=True)
class _Running:
    """An Envoy at *target*, and the processes that serve a request."""

    target: str
    pids: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Round:
    """Requests at a rate, one after the other, and sixteen at once."""

    paced: Report
    one_by_one: Report
    at_once: Report


_MEASURES: Final[Mapping[str, tuple[Unit, Callable[[_Round], float]]]] = {
    "CPU, 1,000/s": (Unit.SECONDS, lambda each: each.paced.cpu),
    "p50, 1,000/s": (Unit.SECONDS, lambda each: each.paced.percentile(0.5)),
    "p99, 1,000/s": (Unit.SECONDS, lambda each: each.paced.percentile(0.99)),
    "p50, one by one": (Unit.SECONDS, lambda each: each.one_by_one.percentile(0.5)),
    "p99, one by one": (Unit.SECONDS, lambda each: each.one_by_one.percentile(0.99)),
    "requests, 16 in flight": (Unit.PER_SECOND, lambda each: each.at_once.per_second),
}


def rows(scale: Scale) -> Iterator[Row]:
    """Each way, beside the one that it adds to. All run all the time, and take turns."""
    with ExitStack() as stack:
        issuer = stack.enter_context(KeyServer()).issuer("issuer", "RS256")
        setup = _Setup(issuer, _answer(issuer, scale), scale, stack)
        running = {way.name: setup.run(way) for way in WAYS}
        requests = _requests(issuer, scale.pick(1000, 100))
        measured = [partial(_round, each, requests, scale) for each in running.values()]
        for each in running.values():
            fetch(each.target, each.pids, _FIELDS, requests, Pace(len(requests)))  # to warm up
        rounds = in_turns(measured, scale.pick(5, 1))
        by_name = dict(zip(running, zip(*rounds, strict=True), strict=True))
        for way in WAYS:
            yield from _rows(way, by_name)
            memory = [sum(map(resident, running[way.name].pids))]
            yield Row(f"{way.name}: resident", memory, unit=Unit.BYTES)


def _rows(way: Way, rounds: Mapping[str, Sequence[_Round]]) -> Iterator[Row]:
    for label, (unit, value) in _MEASURES.items():
        figures, others = (
            [value(each) for each in rounds[name]] for name in (way.name, way.beside)
        )
        reference = Reference(way.beside, others) if way.beside != way.name else None
        yield Row(f"{way.name}: {label}", figures, reference, unit=unit)


def _round(running: _Running, requests: Sequence[Request], scale: Scale) -> _Round:
    send = partial(fetch, running.target, running.pids, _FIELDS, requests)
    return _Round(
        send(Pace(scale.pick(2000, 100), rate=_RATE)),
        send(Pace(scale.pick(1000, 100))),
        send(Pace(scale.pick(2000, 100), at_once=_AT_ONCE)),
    )


def _requests(issuer: Issuer, number: int) -> list[Request]:
    return [
        Request({":path": path(n), "authorization": f"Bearer {token}"})
        for n, token in enumerate(issuer.tokens(number))
    ]


def _answer(issuer: Issuer, scale: Scale) -> bytes:
    """What the service says, for the no-ops to say."""
    with service(policy([issuer]), scale.directory) as running:
        return one_answer(running, Kind.ALLOWED.checks(issuer, 1).octets[0])


@dataclass(frozen=True, slots=True)
class _Setup:
    """Starts what each way needs, until *stack* is closed. A no-op says *answer*."""

    issuer: Issuer
    answer: bytes
    scale: Scale
    stack: ExitStack
    _loop: asyncio.Runner = field(default_factory=asyncio.Runner)

    def run(self, way: Way) -> _Running:
        """Start *way*'s processes."""
        directory = Path(tempfile.mkdtemp(dir=self.scale.directory))
        server = self._server(way, directory)
        config = self._configuration(way, directory, server)
        envoy = Envoy(config, log=directory / "envoy.log")
        self._loop.run(envoy.start())
        self.stack.callback(lambda: self._loop.run(envoy.stop()))
        asked = [server.pid] if server else []
        return _Running(f"127.0.0.1:{envoy.listener}", [envoy.pid, *asked])

    def _server(self, way: Way, directory: Path) -> Server | None:
        listen = way.listen.format(directory=directory)
        if way.asks == "no-op":
            return self.stack.enter_context(noop(self.answer, directory, listen=listen))
        if way.asks:
            more = _tls(directory) if way.tls else {}
            text = policy([self.issuer])
            return self.stack.enter_context(
                service(text, directory, listen=listen, environment=more)
            )
        return None

    def _configuration(self, way: Way, directory: Path, server: Server | None) -> Path:
        """Write *way*'s file with the addresses of here, and an Envoy that answers by itself."""
        over_tcp = server is not None and not way.listen.startswith("unix:")
        addresses = [server.target] if server and over_tcp else []
        file = local(FOLDER / way.file, directory, *addresses)
        config: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
        [filter_] = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
        manager = filter_["typed_config"]
        [host] = manager["route_config"]["virtual_hosts"]
        host["routes"] = [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]
        if way.filters != "ext_authz":
            own = [_jwt_authn(self.issuer)] if way.filters else []
            manager["http_filters"][:1] = own
        file.write_text(yaml.safe_dump(config), "utf-8")
        return file


def _jwt_authn(issuer: Issuer) -> dict[str, Any]:
    """Envoy's own filter, with the issuer's keys at hand. It verifies each token each time."""
    kind = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"
    provider = {
        "issuer": issuer.identifier,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": issuer.jwk_set.decode("ascii")},
    }
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": f"type.googleapis.com/{kind}",
            "providers": {"issuer": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
        },
    }


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
