"""Checks are what the real Envoy sends."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import grpc.aio
from aiohttp import ClientSession

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from authz_service.core.decision import Deny
from authz_service.demo.envoy import Envoy
from authz_service.ext_authz.convert import to_check_response, to_http_request
from bench.check_requests import CLIENT_HEADERS, GRPC_FIELDS, HOST, check, grpc_request
from bench.processes import ROOT
from tests.deploy.envoys import FOLDER, local

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "not.a.token"


def as_the_real_api_has_it(octets: bytes) -> dict[str, Any]:
    """Decode a CheckRequest with every field that there is."""
    command = (sys.executable, str(ROOT / "tests" / "proto" / "real_api.py"), "decode")
    name = "envoy.service.auth.v3.CheckRequest"
    done = subprocess.run((*command, name), input=octets, stdout=subprocess.PIPE, check=True)
    decoded: dict[str, Any] = json.loads(done.stdout)
    return decoded


def shape(document: Any) -> Any:  # noqa: ANN401 - JSON
    """Give the names of *document*'s members alone, in order, at every depth."""
    match document:
        case dict():
            return {name: shape(value) for name, value in document.items()}
        case list():
            return [shape(value) for value in document]
    return None


def headers(document: dict[str, Any]) -> dict[str, str]:
    """Give the header lines of the request that a CheckRequest is about."""
    lines = document["attributes"]["request"]["http"]["headerMap"]["headers"]
    return {line["key"]: line["rawValue"] for line in lines}


async def sent_by_envoy(directory: Path) -> tuple[bytes, list[tuple[str, str]], float | None]:
    """Give what Envoy sends about one request: the message, the metadata and the deadline."""
    caught: list[tuple[bytes, list[tuple[str, str]], float | None]] = []

    async def catch(octets: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        metadata = [(str(key), str(value)) for key, value in context.invocation_metadata() or ()]
        caught.append((octets, metadata, context.time_remaining()))
        return to_check_response(Deny()).SerializeToString()

    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Check": grpc.unary_unary_rpc_method_handler(catch)
    }
    name = "envoy.service.auth.v3.Authorization"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    config = local(FOLDER / "envoy.yaml", directory, f"127.0.0.1:{port}")
    async with Envoy(config, log=directory / "log") as envoy, ClientSession() as client:
        sent = {"host": HOST, "authorization": f"Bearer {TOKEN}", **CLIENT_HEADERS}
        url = f"http://127.0.0.1:{envoy.listener}/products-1/1"
        async with client.get(url, headers=sent) as answered:
            await answered.read()
    await server.stop(0)
    [found] = caught
    return found


def test_a_check_has_every_field_that_the_real_envoy_sends(tmp_path: Path) -> None:
    octets, metadata, deadline = asyncio.run(sent_by_envoy(tmp_path))
    theirs = as_the_real_api_has_it(octets)
    ours = as_the_real_api_has_it(check("GET", "/products-1/1", TOKEN))
    assert shape(ours) == shape(theirs)
    varying = {"x-request-id", "x-forwarded-for"}
    assert list(headers(ours)) == list(headers(theirs))
    assert {name: value for name, value in headers(ours).items() if name not in varying} == {
        name: value for name, value in headers(theirs).items() if name not in varying
    }
    # gRPC shows what it does not take for itself; of that, the address is the machine's.
    assert {name for name, _value in metadata} == {name for name, _value in GRPC_FIELDS[-3:]}
    expected = "x-envoy-expected-rq-timeout-ms"
    assert dict(metadata)[expected] == dict(GRPC_FIELDS)[expected]
    assert deadline is not None
    assert 1 < deadline <= 2


def test_the_service_reads_of_a_check_what_was_asked() -> None:
    octets = check("POST", "/products/1", TOKEN, host="api.example.com")
    request = to_http_request(CheckRequest.FromString(octets))
    assert (request.method, request.authority, request.target) == (
        "POST",
        "api.example.com",
        "/products/1",
    )
    assert request.header_values("authorization") == [f"Bearer {TOKEN}"]


def test_a_check_without_a_token_has_no_such_field() -> None:
    message = CheckRequest.FromString(check("GET", "/"))
    lines = message.attributes.request.http.header_map.headers
    assert "authorization" not in {line.key for line in lines}


def test_every_check_has_a_request_id_of_its_own() -> None:
    assert check("GET", "/") != check("GET", "/")


def test_a_message_is_sent_with_its_length_before_it() -> None:
    request = grpc_request(b"x" * 258)
    assert request.body == b"\0" + b"\0\0\x01\x02" + b"x" * 258
    assert request.varying == {":path": "/envoy.service.auth.v3.Authorization/Check"}
