"""What each refusal looks like to the client: one table, and the challenge of RFC 6750.

The texts are constants. Nothing from the request or the token is ever put into an answer,
so an answer cannot carry an attacker's bytes to somebody else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from authz_service.core.decision import Deny, DenyReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class RpcCode(IntEnum):
    """The canonical codes that we put into `google.rpc.Status`."""

    OK = 0
    INVALID_ARGUMENT = 3
    PERMISSION_DENIED = 7
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """The constant part of the answer to one kind of refusal.

    *error* is the code in the body; where *challenge* is set, the answer has a `WWW-Authenticate`
    field too, and *challenge_error* is the code in there (RFC 6750, section 3.1), if any.
    """

    http_status: int
    rpc_code: RpcCode
    error: str
    description: str
    challenge: bool = False
    challenge_error: str | None = None


def _forbidden(description: str) -> Answer:
    return Answer(403, RpcCode.PERMISSION_DENIED, "access_denied", description)


def _bad_request(description: str) -> Answer:
    return Answer(400, RpcCode.INVALID_ARGUMENT, "invalid_request", description)


def _invalid_token(description: str) -> Answer:
    return Answer(
        401, RpcCode.UNAUTHENTICATED, "invalid_token", description,
        challenge=True, challenge_error="invalid_token",
    )  # fmt: skip


_NOT_OFFERED = _forbidden("this host, path and method are not open to anyone")
_NOT_VALID = _invalid_token("the access token is not valid here")
_NOT_FOR_YOU = _forbidden("the access token does not give access to this")

ANSWERS: Final[Mapping[DenyReason, Answer]] = MappingProxyType({
    DenyReason.NO_ROUTE: _NOT_OFFERED,
    DenyReason.METHOD_NOT_ALLOWED: _NOT_OFFERED,
    DenyReason.AMBIGUOUS_PATH: _bad_request("the request's path can be read in more than one way"),
    DenyReason.BAD_HOST: _bad_request("the request does not name one host"),
    DenyReason.TOO_MANY_HEADERS: Answer(  # RFC 6585, section 5
        431, RpcCode.INVALID_ARGUMENT, "invalid_request", "the request has too many header fields",
    ),
    # RFC 6750, section 3.1: without authentication information, no error code in the challenge.
    DenyReason.MISSING_TOKEN: Answer(
        401, RpcCode.UNAUTHENTICATED, "unauthorized", "an access token is needed", challenge=True,
    ),
    DenyReason.MALFORMED_CREDENTIALS: Answer(
        400, RpcCode.INVALID_ARGUMENT, "invalid_request", "send exactly one bearer access token",
        challenge=True, challenge_error="invalid_request",
    ),
    DenyReason.MALFORMED_TOKEN: _invalid_token("the access token is not a well-formed JWT"),
    DenyReason.TOKEN_TOO_LARGE: _invalid_token("the access token is too large"),
    DenyReason.ALGORITHM_NOT_ALLOWED: _NOT_VALID,
    DenyReason.TOKEN_TYPE_NOT_ALLOWED: _NOT_VALID,
    DenyReason.UNKNOWN_ISSUER: _NOT_VALID,
    DenyReason.UNKNOWN_KEY: _NOT_VALID,
    DenyReason.BAD_SIGNATURE: _NOT_VALID,
    DenyReason.MALFORMED_CLAIM: _NOT_VALID,
    DenyReason.MISSING_CLAIM: _NOT_VALID,
    DenyReason.EXPIRED: _invalid_token("the access token has expired"),
    DenyReason.NOT_YET_VALID: _invalid_token("the access token is not valid yet"),
    DenyReason.LIFETIME_TOO_LONG: _NOT_VALID,
    DenyReason.WRONG_AUDIENCE: _invalid_token(
        "the access token is meant for another API or organization"
    ),
    DenyReason.INSUFFICIENT_SCOPE: Answer(
        403, RpcCode.PERMISSION_DENIED, "insufficient_scope",
        "the access token lacks a scope that this needs",
        challenge=True, challenge_error="insufficient_scope",
    ),
    DenyReason.CLAIM_MISMATCH: _NOT_FOR_YOU,
    DenyReason.CONDITION_FAILED: _NOT_FOR_YOU,
    DenyReason.CLAIMS_TOO_LARGE: _NOT_FOR_YOU,
    DenyReason.KEYS_UNAVAILABLE: Answer(
        503, RpcCode.UNAVAILABLE, "temporarily_unavailable",
        "access tokens cannot be checked at the moment",
    ),
    DenyReason.UNTRUSTED_CALLER: Answer(
        503, RpcCode.UNAVAILABLE, "temporarily_unavailable",
        "requests cannot be checked at the moment",
    ),
    DenyReason.OVERLOADED: Answer(
        503, RpcCode.UNAVAILABLE, "temporarily_unavailable",
        "too many requests are being checked at the moment",
    ),
    DenyReason.INTERNAL_ERROR: Answer(
        500, RpcCode.INTERNAL, "server_error", "the request could not be checked",
    ),
})  # fmt: skip


_WORTH_ANOTHER_TRY: Final = frozenset({DenyReason.KEYS_UNAVAILABLE, DenyReason.OVERLOADED})


def body(answer: Answer) -> str:
    """The JSON text of *answer*'s body."""
    return json.dumps({"error": answer.error, "error_description": answer.description})


def response_headers(deny: Deny) -> tuple[tuple[str, str], ...]:
    """The header fields of the answer to *deny*, names in lower case."""
    answer = ANSWERS[deny.reason]
    headers = [("content-type", "application/json"), ("cache-control", "no-store")]
    if answer.challenge:
        headers.append(("www-authenticate", _challenge(answer, deny)))
    if deny.reason in _WORTH_ANOTHER_TRY:
        headers.append(("retry-after", str(_retry_after(deny))))
    return tuple(headers)


def _challenge(answer: Answer, deny: Deny) -> str:
    """Build the challenge of RFC 6750, section 3, which asks for one parameter at the least.

    That one is the realm: the resource's name in the policy, so the operator's word.
    """
    parameters = []
    if deny.match is not None:
        parameters.append(("realm", deny.match.route.resource))
    if answer.challenge_error is not None:
        parameters.append(("error", answer.challenge_error))
    if deny.reason is DenyReason.INSUFFICIENT_SCOPE and deny.requirement is not None:
        parameters.append(("scope", " ".join(deny.requirement.named_scopes)))
    return f"Bearer {', '.join(_quoted(parameters))}" if parameters else "Bearer"


def _quoted(parameters: Iterable[tuple[str, str]]) -> Iterable[str]:
    """Each parameter with its value as a quoted-string (RFC 9110, section 5.6.4)."""
    for name, value in parameters:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        yield f'{name}="{escaped}"'


def _retry_after(deny: Deny) -> int:
    """Whole seconds (RFC 9110, section 10.2.3) after which what was missing may be there."""
    if deny.reason is DenyReason.KEYS_UNAVAILABLE and deny.issuer is not None:
        return deny.issuer.retry_after
    return 1
