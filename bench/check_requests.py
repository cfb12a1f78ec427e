"""Checks as Envoy sends them, with the files in `envoy/` and the requests of an API's clients.

The service's own transcription of the API leaves out what it does not read. So the rest is encoded
once by the real API, and the transcription carries it along as unknown fields. That nothing of what
Envoy sends is missing is tested with the real Envoy, in tests/bench.
"""

from __future__ import annotations

import functools
import json
import struct
import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any, Final

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from bench.http2 import Request
from bench.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST: Final = "shop.example.com"
CLIENT_HEADERS: Final[Mapping[str, str]] = {
    "cookie": "theme=dark; lang=en",
    "accept": "application/json",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "accept-encoding": "gzip, deflate, br",
}
"""What a client sends beside its token."""

GRPC_FIELDS: Final[tuple[tuple[str, str | None], ...]] = (
    (":method", "POST"),
    (":path", None),  # Envoy's encoder writes it out each time
    (":authority", "authz-service"),
    (":scheme", "http"),
    ("te", "trailers"),
    ("grpc-timeout", "2000m"),
    ("content-type", "application/grpc"),
    ("x-envoy-internal", "true"),
    ("x-forwarded-for", "192.0.2.2"),
    ("x-envoy-expected-rq-timeout-ms", "2000"),
)
"""The header fields of a Check, in the order in which Envoy sends them."""

_METHOD: Final = {":path": "/envoy.service.auth.v3.Authorization/Check"}
_REAL_API: Final = ROOT / "tests" / "proto" / "real_api.py"


def check(method: str, path: str, token: str | None = None, *, host: str = HOST) -> bytes:
    """The encoded CheckRequest about a client's request, with a request id of its own."""
    message = CheckRequest.FromString(_with_everything())
    http = message.attributes.request.http
    http.method, http.path, http.host = method, path, host
    for name, value in _headers(method, path, token, host).items():
        line = http.header_map.headers.add()
        line.key, line.raw_value = name, value.encode("ascii")
    return message.SerializeToString()


def grpc_request(octets: bytes) -> Request:
    """The request that asks the Check *octets*."""
    return Request(_METHOD, b"\0" + struct.pack(">I", len(octets)) + octets)


def _headers(method: str, path: str, token: str | None, host: str) -> dict[str, str]:
    credentials = {} if token is None else {"authorization": f"Bearer {token}"}
    return {
        ":authority": host,
        ":path": path,
        ":method": method,
        ":scheme": "http",
        **credentials,
        **CLIENT_HEADERS,
        "x-forwarded-for": "192.0.2.2",
        "x-forwarded-proto": "http",
        "x-envoy-external-address": "127.0.0.1",
        "x-request-id": str(uuid.uuid4()),
    }


@functools.cache
def _with_everything() -> bytes:
    """A CheckRequest with what is the same in all of them."""
    document = json.dumps(_same_in_all()).encode("ascii")
    command = (sys.executable, str(_REAL_API), "encode", "envoy.service.auth.v3.CheckRequest")
    return subprocess.run(command, input=document, stdout=subprocess.PIPE, check=True).stdout


def _same_in_all() -> dict[str, Any]:
    http = {"id": "5020812953380071464", "scheme": "http", "protocol": "HTTP/1.1"}
    return {
        "attributes": {
            "source": _peer(44288),
            "destination": _peer(39115),
            "request": {"time": "2026-01-02T03:04:05.642568Z", "http": http},
            "metadataContext": {},
            "routeMetadataContext": {},
        }
    }


def _peer(port: int) -> dict[str, Any]:
    return {"address": {"socketAddress": {"address": "127.0.0.1", "portValue": port}}}
