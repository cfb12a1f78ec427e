"""Between Envoy's messages and the core's values.

Envoy describes a request in one of two ways. Without `encode_raw_headers`, `headers` is a map with
repeated fields joined by a comma, and bytes that are no UTF-8 replaced by `!`. With it, `headers`
is empty and `header_map` lists every field line with its raw bytes. Both are read; raw bytes are
decoded as Latin-1, one character for each, so that nothing is lost and nothing fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.struct_pb2 import Struct
from google.rpc.status_pb2 import Status

from authz_service._proto.envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
    DeniedHttpResponse,
    OkHttpResponse,
)
from authz_service._proto.envoy.type.v3.http_status_pb2 import HttpStatus
from authz_service.core.answers import ANSWERS, RpcCode, body, response_headers
from authz_service.core.decision import Allow, Decision
from authz_service.core.request import HttpRequest
from authz_service.core.summary import identified, identity, outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from authz_service._proto.envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
    from authz_service.core.claims import AccessTokenClaims
    from authz_service.core.forward import UpstreamHeaders
    from authz_service.core.policy import Issuer
    from authz_service.core.summary import SummaryValue

_OVERWRITE: Final = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


def to_http_request(check: CheckRequest) -> HttpRequest:
    """The request that *check* asks about. An empty message gives an empty request, to be refused.

    Where Envoy sends the raw `:path` and `:authority`, those are taken: they are what the upstream
    will get.
    """
    http = check.attributes.request.http
    headers = _headers(http)
    first = dict(reversed(headers))  # of two of a name, the first: the raw ones come first
    return HttpRequest(
        http.method,
        first.get(":authority", http.host),
        first.get(":path", http.path),
        tuple(headers),
    )


def _headers(http: AttributeContext.HttpRequest) -> list[tuple[str, str]]:
    """Every field line once, also where a sender tells of it in both ways."""
    lines = [
        (header.key.lower(), header.raw_value.decode("latin-1") or header.value)
        for header in http.header_map.headers
    ]
    if joined := http.headers:
        seen = set(lines)
        named = ((key.lower(), value) for key, value in joined.items())
        lines += [line for line in named if line not in seen]
    return lines


def context_extensions(check: CheckRequest) -> Mapping[str, str]:
    """What Envoy's configuration adds to *check*: which gateway or route asks, for those who read.

    No decision depends on it.
    """
    return check.attributes.context_extensions


def to_check_response(decision: Decision) -> CheckResponse:
    """The answer to Envoy; its status is always set, for an unset one would mean allow."""
    response = verdict(decision)
    if isinstance(decision, Allow):
        response.MergeFrom(changes(decision.headers))
    response.MergeFrom(identification(*identified(decision)))
    return response


def verdict(decision: Decision) -> CheckResponse:
    """The part of the answer to *decision* that has nothing to do with a token's claims."""
    metadata = _struct(outcome(decision))
    if isinstance(decision, Allow):
        return CheckResponse(
            status=Status(code=RpcCode.OK),
            ok_response=OkHttpResponse(),
            dynamic_metadata=metadata,
        )
    answer = ANSWERS[decision.reason]
    return CheckResponse(
        status=Status(code=answer.rpc_code),
        denied_response=DeniedHttpResponse(
            status=HttpStatus(code=answer.http_status),  # type: ignore[arg-type] # an open enum
            headers=_options(response_headers(decision)),
            body=body(answer),
        ),
        dynamic_metadata=metadata,
    )


def changes(headers: UpstreamHeaders) -> CheckResponse:
    """The part of an allow that makes a request as the upstream is to see it."""
    return CheckResponse(
        ok_response=OkHttpResponse(
            headers=_options(headers.overwrite), headers_to_remove=headers.remove
        )
    )


def identification(issuer: Issuer | None, claims: AccessTokenClaims | None) -> CheckResponse:
    """The part of an answer that tells whose token it was; empty where nobody knows."""
    fields = identity(issuer, claims)
    return CheckResponse(dynamic_metadata=_struct(fields)) if fields else CheckResponse()


def _struct(fields: Mapping[str, SummaryValue]) -> Struct:
    struct = Struct()
    struct.update(fields)
    return struct


def _options(headers: Iterable[tuple[str, str]]) -> Iterator[HeaderValueOption]:
    """Every field with the one append action that leaves no value of somebody else's in place."""
    for name, value in headers:
        yield HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=_OVERWRITE)
