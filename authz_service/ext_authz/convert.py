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
from authz_service.core.decision import Allow, Decision, Deny
from authz_service.core.request import HttpRequest
from authz_service.core.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from authz_service._proto.envoy.service.auth.v3.attribute_context_pb2 import AttributeContext

_OVERWRITE: Final = HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD


def to_http_request(check: CheckRequest) -> HttpRequest:
    """The request that *check* asks about. An empty message gives an empty request, to be refused.

    Where Envoy sends the raw `:path` and `:authority`, those are taken: they are what the upstream
    will get.
    """
    http = check.attributes.request.http
    headers = tuple(_headers(http))
    # Of two, the first: the raw ones come first.
    pseudo = dict(header for header in reversed(headers) if header[0].startswith(":"))
    return HttpRequest(
        method=http.method,
        authority=pseudo.get(":authority", http.host),
        target=pseudo.get(":path", http.path),
        headers=headers,
    )


def _headers(http: AttributeContext.HttpRequest) -> Iterator[tuple[str, str]]:
    """Every field line once, also where a sender tells of it in both ways."""
    lines = [
        (header.key.lower(), header.raw_value.decode("latin-1") or header.value)
        for header in http.header_map.headers
    ]
    yield from lines
    seen = set(lines)
    for key, value in http.headers.items():
        if (line := (key.lower(), value)) not in seen:
            yield line


def context_extensions(check: CheckRequest) -> Mapping[str, str]:
    """What Envoy's configuration adds to *check*: which gateway or route asks, for those who read.

    No decision depends on it.
    """
    return check.attributes.context_extensions


def to_check_response(decision: Decision) -> CheckResponse:
    """The answer to Envoy; its status is always set, for an unset one would mean allow."""
    metadata = Struct()
    metadata.update(summarize(decision))
    if isinstance(decision, Allow):
        return CheckResponse(
            status=Status(code=RpcCode.OK),
            ok_response=OkHttpResponse(
                headers=_options(decision.headers.overwrite),
                headers_to_remove=decision.headers.remove,
            ),
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


def _options(headers: Iterable[tuple[str, str]]) -> Iterator[HeaderValueOption]:
    """Every field with the one append action that leaves no value of somebody else's in place."""
    for name, value in headers:
        yield HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=_OVERWRITE)


INTERNAL_ERROR: Final = to_check_response(Deny())
"""The refusal that is left when everything else has failed."""
