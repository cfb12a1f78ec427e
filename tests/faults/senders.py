"""How a request gets to the service: through the real Envoy, or asked directly as Envoy would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp
import grpc.aio

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from tests.edge.rig import CHECK
from tests.faults.judge import Answer
from tests.faults.outcomes import NO_ANSWER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.faults.traffic import Request

HOST: Final = "shop.example.com"
ANSWER_WITHIN: Final = 10.0
"""Seconds after which a client of Envoy has been left without an answer."""

DEADLINE: Final = 2.0
"""Seconds that Envoy gives a Check; see envoy/envoy.yaml."""

_NO_ANSWER: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,  # by a server that stops
    }
)

SPOOFED: Final = (
    ("x-auth-subject", "mallory"),
    ("x-auth-role", "root"),
    ("X_Auth_Subject", "mallory"),
)
"""What every client sends, and no upstream may ever see."""


class Sender(Protocol):
    """Sends requests, as many at once as it is asked to."""

    async def send(self, request: Request, path: str) -> Answer:
        """Send *request* to *path*, and give what came back, whatever that was."""


class ThroughEnvoy:
    """An ordinary client of the API."""

    def __init__(self, port: int) -> None:
        """Connect to Envoy's *port* when there is something to send."""
        self._session = aiohttp.ClientSession(
            f"http://127.0.0.1:{port}",
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN),
        )

    async def close(self) -> None:
        """Let go of all connections."""
        await self._session.close()

    async def send(self, request: Request, path: str) -> Answer:
        """See Sender."""
        headers = _fields(request)
        try:
            async with self._session.get(path, headers=headers) as response:
                return _answer(response.status, await response.text())
        except (aiohttp.ClientError, TimeoutError) as error:
            return Answer(lost=type(error).__name__)


class Directly:
    """Asks the service as Envoy does, where Envoy would hide what was answered."""

    def __init__(self, port: int) -> None:
        """Connect to the service's *port*, and again whenever it was away."""
        self._channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{port}",
            options=(
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 100),
                ("grpc.use_local_subchannel_pool", 1),
            ),
        )
        self._check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(
            CHECK, bytes, bytes
        )

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()

    async def connected(self) -> None:
        """Wait until the service can be asked."""
        await self._channel.channel_ready()

    async def send(self, request: Request, path: str) -> Answer:
        """See Sender."""
        return await self.ask(check_request(request, path).SerializeToString(), request, path)

    async def ask(self, octets: bytes, request: Request, path: str) -> Answer:
        """Send *octets* as a Check about *request*."""
        try:
            reply = await self._check(octets, timeout=DEADLINE)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if code in _NO_ANSWER:
                return Answer(NO_ANSWER.status, reason=NO_ANSWER.reason)
            return Answer(lost=f"{code.name} from gRPC")
        return _decided(CheckResponse.FromString(reply), request, path)


def check_request(request: Request, path: str) -> CheckRequest:
    """What Envoy asks about *request* with `encode_raw_headers`; the token comes last."""
    message = CheckRequest()
    http = message.attributes.request.http
    http.method, http.path, http.host, http.scheme = "GET", path, HOST, "http"
    for name, value in (
        (":method", "GET"), (":path", path), (":authority", HOST), (":scheme", "http"),
        *_fields(request),
    ):  # fmt: skip
        http.header_map.headers.add(key=name.lower(), raw_value=value.encode())
    return message


def _fields(request: Request) -> list[tuple[str, str]]:
    bearer = [] if request.token is None else [("authorization", f"Bearer {request.token}")]
    return [("host", HOST), *SPOOFED, *bearer]


def _answer(status: int, text: str) -> Answer:
    """Read what a client of Envoy gets: the upstream's echo, a refusal, or Envoy's own 503."""
    try:
        document = json.loads(text) if text else {}
    except ValueError:
        return Answer(status, lost="words of Envoy's own")
    if status != 200:
        return Answer(status, document.get("error", ""))
    headers = ((name, value) for name, value in document["headers"])
    return Answer(status, identity=_identity(headers), path=document["path"])


def _decided(response: CheckResponse, request: Request, path: str) -> Answer:
    """Read an answer as Envoy does, and do to the client's fields what it asks for."""
    reason = response.dynamic_metadata.fields["reason"].string_value
    if response.status.code != 0:
        denied = response.denied_response
        return Answer(int(denied.status.code), json.loads(denied.body)["error"], reason)
    fields = {name.lower(): value for name, value in _fields(request)}
    fields |= {option.header.key: option.header.value for option in response.ok_response.headers}
    for name in response.ok_response.headers_to_remove:
        fields.pop(name, None)
    return Answer(200, "", reason, _identity(fields.items()), path)


def _identity(fields: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The claim headers among *fields*, in whatever spelling; repeated ones are joined."""
    found: dict[str, str] = {}
    for name, value in fields:
        key = name.lower()
        if key.replace("_", "-").startswith("x-auth-"):
            found[key] = f"{found[key]}, {value}" if key in found else value
    return found
