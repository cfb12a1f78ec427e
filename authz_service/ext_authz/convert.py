"""Between Envoy's messages and the core's values.

Envoy describes a request in one of two ways. Without `encode_raw_headers`, `headers` is a map with
repeated fields joined by a comma, and bytes that are no UTF-8 replaced by `!`. With it, `headers`
is empty and `header_map` lists every field line with its raw bytes. Both are read; raw bytes are
decoded as Latin-1, one character for each, so that nothing is lost and nothing fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authz_service._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from authz_service.core.answers import ANSWERS, RpcCode, body, response_headers
from authz_service.core.decision import Allow, Decision
from authz_service.core.request import HttpRequest
from authz_service.core.summary import identified, identity, outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

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
    return HttpRequest(
        http.method,
        _first(headers, ":authority", http.host),
        _first(headers, ":path", http.path),
        tuple(headers),
    )


def _first(headers: Iterable[tuple[str, str]], name: str, default: str) -> str:
    """The first value of *name*, which is the raw one where there are two."""
    for key, value in headers:
        if key == name:
            return value
    return default


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
    response = CheckResponse()
    _tell(response, outcome(decision))
    if isinstance(decision, Allow):
        response.status.code = RpcCode.OK
        response.status.SetInParent()
        response.ok_response.SetInParent()
        return response
    answer = ANSWERS[decision.reason]
    response.status.code = answer.rpc_code
    denied = response.denied_response
    denied.status.code = answer.http_status  # type: ignore[assignment] # an open enum
    denied.body = body(answer)
    _set(denied.headers, response_headers(decision))
    return response


def changes(headers: UpstreamHeaders) -> CheckResponse:
    """The part of an allow that makes a request as the upstream is to see it."""
    response = CheckResponse()
    ok_response = response.ok_response
    ok_response.SetInParent()
    _set(ok_response.headers, headers.overwrite)
    ok_response.headers_to_remove.extend(headers.remove)
    return response


def identification(issuer: Issuer | None, claims: AccessTokenClaims | None) -> CheckResponse:
    """The part of an answer that tells whose token it was; empty where nobody knows."""
    response = CheckResponse()
    _tell(response, identity(issuer, claims))
    return response


def _tell(response: CheckResponse, told: Mapping[str, SummaryValue]) -> None:
    """Put *told* into the metadata. Field by field, as a Struct's own ways take twice as long."""
    if not told:
        return
    fields = response.dynamic_metadata.fields
    for name, value in told.items():
        if isinstance(value, str):
            fields[name].string_value = value
        else:
            fields[name].number_value = value


def _set(
    options: RepeatedCompositeFieldContainer[HeaderValueOption], headers: Iterable[tuple[str, str]]
) -> None:
    """Every field with the one append action that leaves no value of somebody else's in place."""
    for name, value in headers:
        option = options.add()
        option.header.key, option.header.value = name, value
        option.append_action = _OVERWRITE
