"""The policy that Checks are measured with, and the Checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)

if TYPE_CHECKING:
    import grpc.aio

POLICY: Final = """
version: 1
issuers: [{name: development, issuer: "${DEMO_ISSUER}", preset: logto}]
resources:
  - audience: https://shopping.api
    routes:
      - {path: /healthz, methods: {GET: public}}
      - {path: "/products/{id}", methods: {GET: [read:products], POST: [write:products]}}
"""


def request(method: str, path: str, token: str | None = None) -> CheckRequest:
    """What Envoy asks about a request for *path*, with *token* if there is one."""
    message = CheckRequest()
    http = message.attributes.request.http
    http.method, http.path, http.host = method, path, "shop.example.com"
    if token is not None:
        http.headers["authorization"] = f"Bearer {token}"
    return message


def check_on(
    channel: grpc.aio.Channel,
) -> grpc.aio.UnaryUnaryMultiCallable[CheckRequest, CheckResponse]:
    """The method that asks the service at the other end of *channel*."""
    return channel.unary_unary(
        "/envoy.service.auth.v3.Authorization/Check",
        request_serializer=CheckRequest.SerializeToString,
        response_deserializer=CheckResponse.FromString,
    )
