"""`check`: the octets of a CheckRequest, on the way that they take through the service."""

from __future__ import annotations

import asyncio
import atexit
import functools
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import structlog
from google.protobuf.message import DecodeError

from authz_service._proto.envoy.config.core.v3.base_pb2 import HeaderValue
from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from authz_service.ext_authz import servicer
from authz_service.ext_authz.servicer import INTERNAL_ERROR
from fuzz import answers, decision_log
from fuzz.access_token import LINES
from fuzz.second_opinion import Seen
from fuzz.target import Target
from fuzz.token_mutation import mutate_token
from fuzz.world import HOST, keys, policy, tokens
from tests.support.tokens import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

    from authz_service.core.jwks import KeySet
    from authz_service.ext_authz.servicer import DecidedCheck
    from fuzz.target import MutateOctets

_PATHS: Final = (
    *(line.partition(" ")[2] for line in LINES), "/", "/products/", "//products", "/me/../team",
    "/me/%2e%2e/team", "/open/a%2Fb", "/open/a;b", "/healthz?access_token=x", "/products/%37",
    "/products/a%252Fb", "/healthz%00", "/HEALTHZ", "*", "http://shop.example.com/healthz",
)  # fmt: skip
_HOSTS: Final = (
    HOST, "SHOP.example.com:443", "a.b.shop.example.com.", "files.example.com", "[::1]:80",
    "shop.example.com,evil.example", "u@shop.example.com", "[0:0::0:1]", "",
)  # fmt: skip
_METHODS: Final = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "get", "*", "", "GET ")
_NAMES: Final = (
    "authorization", "Authorization", "x-auth-subject", "X-Auth-Subject", "x_auth_subject",
    "x.auth.subject", "x-auth-anything", "x-claims", "x_team", "x-internal", ":path", ":authority",
    ":method", "origin", "access-control-request-method", "x-request-id", "cookie", "host",
)  # fmt: skip
_VALUES: Final = (
    "", "Bearer", "bearer x", "Basic eA==", "Bearer a,Bearer b", "root\r\nx: y", "a" * 5000, "null",
)  # fmt: skip


class _Context:
    """What the servicer asks of gRPC: a caller that waits for as long as it takes."""

    def time_remaining(self) -> float | None:
        return None

    def invocation_metadata(self) -> None:
        """It is read for traces alone."""


class _Keys:
    """Key sets that a fetch does not change."""

    @property
    def key_sets(self) -> Mapping[str, KeySet]:
        return keys()

    def nudge(self, issuer: str) -> asyncio.Future[None]:
        del issuer
        fetch = asyncio.get_running_loop().create_future()
        fetch.set_result(None)
        return fetch


@functools.cache
def _runner() -> asyncio.Runner:
    runner = asyncio.Runner()
    atexit.register(runner.close)
    return runner


def _judge(octets: bytes) -> None:
    decided: list[DecidedCheck] = []
    events = structlog.testing.LogCapture()
    service = servicer.AuthorizationServicer(policy(), _Keys(), decided.append, clock=lambda: NOW)
    message = servicer._parse(octets)
    context: Any = _Context()
    with patch.object(servicer, "_log", structlog.wrap_logger(None, processors=[events])):
        answer = _runner().run(service.check(octets, context))
    (check,) = decided
    if message is None:
        assert [event["event"] for event in events.entries] == ["check_unreadable"]
        assert answer == INTERNAL_ERROR
        return
    assert not events.entries, events.entries
    seen = _seen(message)
    answers.check(seen, CheckResponse.FromString(answer))
    decision_log.check(check, " ".join(seen.values("authorization")))


def _seen(message: CheckRequest) -> Seen:
    """What the upstream gets: the raw lines where Envoy sends them."""
    http = message.attributes.request.http
    raw = [
        (line.key.lower(), line.raw_value.decode("latin-1") or line.value)
        for line in http.header_map.headers
    ]
    joined = [(name.lower(), value) for name, value in http.headers.items()]
    lines = [*raw, *(line for line in joined if line not in raw)]
    paths = [value for name, value in lines if name == ":path"]
    hosts = [value for name, value in lines if name == ":authority"]
    return Seen(http.method, [*hosts, http.host][0], [*paths, http.path][0], tuple(lines))


def _message(method: str, target: str, token: str | None, *, raw: bool) -> CheckRequest:
    message = CheckRequest()
    http = message.attributes.request.http
    http.method, http.path, http.host = method, target, HOST
    if target.startswith(("/files", "/open")):
        http.host = "files.example.com"
    lines = {"x-auth-subject": "root", "x_claims": "e30", "origin": "https://shop.example"}
    if token is not None:
        lines["authorization"] = f"Bearer {token}"
    for name, value in lines.items():
        if raw:
            http.header_map.headers.append(HeaderValue(key=name, raw_value=value.encode()))
        else:
            http.headers[name] = value
    return message


def _seeds() -> Iterator[bytes]:
    for number, token in enumerate((None, *tokens())):
        yield _message("GET", "/products", token, raw=number % 2 > 0).SerializeToString()
    for number, line in enumerate((*LINES, "GET /open/a", "OPTIONS /team")):
        method, _, target = line.partition(" ")
        yield _message(method, target, tokens()[0], raw=number % 2 > 0).SerializeToString()
    yield b"\xff"


def _mutate(octets: bytes, mutate: MutateOctets, random: Random) -> bytes:
    try:
        message = CheckRequest.FromString(octets)
    except DecodeError:
        return mutate(octets)
    if random.random() < 0.1:
        return mutate(octets)
    for _ in range(random.choice((1, 1, 2, 3))):
        _change(message, mutate, random)
    return message.SerializeToString()


def _change(message: CheckRequest, mutate: MutateOctets, random: Random) -> None:
    http = message.attributes.request.http
    match random.randrange(9):
        case 0:
            http.path = _word(http.path, _PATHS, mutate, random)
        case 1:
            http.host = _word(http.host, _HOSTS, mutate, random)
        case 2:
            http.method = _word(http.method, _METHODS, mutate, random)
        case 3:
            name = _word("authorization", _NAMES, mutate, random)
            http.headers[name] = _value(http.headers.get(name, ""), mutate, random)
        case 4 | 5:
            value = _value("", mutate, random).encode("utf-8", "replace")
            name = _word("authorization", _NAMES, mutate, random)
            http.header_map.headers.append(HeaderValue(key=name, raw_value=value))
        case 6 if http.header_map.headers:
            line = random.choice(http.header_map.headers)
            line.raw_value = mutate(line.raw_value)
        case 7 if http.header_map.headers:
            del http.header_map.headers[random.randrange(len(http.header_map.headers))]
        case 8:
            name = _word("gateway", _NAMES, mutate, random)
            message.attributes.context_extensions[name] = _word("edge", _VALUES, mutate, random)
        case _:
            http.headers.pop(random.choice(_NAMES), None)


def _word(text: str, known: tuple[str, ...], mutate: MutateOctets, random: Random) -> str:
    if random.random() < 0.5:
        return random.choice(known)
    return mutate(text.encode()).decode("utf-8", "replace")


def _value(text: str, mutate: MutateOctets, random: Random) -> str:
    chance = random.random()
    if chance < 0.4:
        return f"Bearer {random.choice(tokens())}"
    if chance < 0.6:
        token = text.partition(" ")[2] or random.choice(tokens())
        return f"Bearer {mutate_token(token, mutate, random)}"
    return _word(text, (*_VALUES, *_PATHS, *_HOSTS), mutate, random)


TARGET: Final = Target(_seeds, _judge, _mutate, max_bytes=32 * 1024)
