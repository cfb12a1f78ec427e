"""What holds for every answer to Envoy, whatever the question was."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

from google.protobuf.json_format import MessageToDict

from authz_service._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from authz_service.core.decision import Deny, DenyReason
from authz_service.core.policy import RouteMatch, TokenRequirement
from authz_service.ext_authz.convert import to_check_response
from fuzz.second_opinion import objection
from fuzz.world import policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import OkHttpResponse
    from authz_service.core.policy import Route
    from fuzz.second_opinion import Seen

_IDENTITY: Final = frozenset({
    "x-auth-subject", "x-auth-client-id", "x-auth-scope", "x-auth-issuer", "x-team", "x-auth-email",
    "x-claims",
})  # fmt: skip
_STRIPPED: Final = re.compile(r"x-auth-.*|x-team|x-claims|x-internal", re.DOTALL)
_VALUE: Final = re.compile(r"[!-~]([ -~]{0,4094}[!-~])?", re.ASCII)
_METADATA: Final = frozenset({
    "decision", "reason", "mode", "resource", "route", "issuer", "subject", "client_id", "scope",
    "expires_at",
})  # fmt: skip


def check(seen: Seen, response: CheckResponse) -> None:
    """Raise unless *response* is one that *seen* may get."""
    assert CheckResponse.FromString(response.SerializeToString()) == response
    assert response.HasField("status"), "an unset status means allow"
    told = MessageToDict(response.dynamic_metadata)
    assert told.keys() <= _METADATA, told.keys()
    if response.status.code:
        _check_denied(response)
        assert told["decision"] == "deny"
        return
    assert not response.HasField("denied_response")
    _check_headers(seen, response.ok_response)
    audited = told.get("mode") == "audit"
    assert told["decision"] == ("deny" if audited else "allow")
    identity = _overwritten(response.ok_response)
    assert not (audited and identity), "an identity that was not earned"
    why = objection(seen, identity)
    assert why is None, f"{why}: {seen}"


def _check_denied(response: CheckResponse) -> None:
    """An answer is one that could be written down before the request came: it repeats nothing."""
    assert not response.HasField("ok_response")
    assert response.denied_response.status.code >= 400
    answer = response.denied_response.SerializeToString(deterministic=True)
    assert (response.status.code, answer) in _answers(), response.denied_response


@functools.cache
def _answers() -> frozenset[tuple[int, bytes]]:
    """Every denied response that the policy gives cause for."""
    responses = map(to_check_response, _denials())
    return frozenset(
        (each.status.code, each.denied_response.SerializeToString(deterministic=True))
        for each in responses
    )


def _denials() -> Iterator[Deny]:
    routes = [route for index in policy().hosts.values.values() for route in index]
    for reason in set(DenyReason) - {DenyReason.INTERNAL_ERROR}:
        for issuer in (None, *policy().issuers):
            yield Deny(reason, issuer=issuer)
            for route in routes:
                match = RouteMatch(route, {})
                yield Deny(reason, match, issuer=issuer)
                for requirement in _requirements(route):
                    yield Deny(reason, match, requirement, issuer)


def _requirements(route: Route) -> Iterator[TokenRequirement]:
    for requirement in (*route.methods.values(), route.other_methods):
        if isinstance(requirement, TokenRequirement):
            yield requirement


def _overwritten(response: OkHttpResponse) -> dict[str, str]:
    return {option.header.key: option.header.value for option in response.headers}


def _check_headers(seen: Seen, response: OkHttpResponse) -> None:
    """No name that the upstream trusts has a value that is the client's."""
    overwritten = _overwritten(response)
    removed = frozenset(response.headers_to_remove)
    assert len(overwritten) == len(response.headers), "a name twice"
    assert overwritten.keys() <= _IDENTITY
    assert not overwritten.keys() & removed, "Envoy removes last"
    assert overwritten.keys() | removed >= _IDENTITY | {"authorization", "x-internal"}
    assert {name.replace("-", "_") for name in _IDENTITY} <= removed
    assert not any(name.startswith(":") or name == "host" for name in removed)
    for option in response.headers:
        assert option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        assert _VALUE.fullmatch(option.header.value), option.header.key
    for name, _value in seen.headers:
        if _STRIPPED.fullmatch(re.sub(r"[^a-z0-9]", "-", name)) and not name.startswith(":"):
            assert name in overwritten or name in removed, name
