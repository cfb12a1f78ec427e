"""What a client asks of the token endpoint (RFC 6749, sections 2.3.1 and 4.4.2).

Bytes become a ``TokenRequest`` here and nowhere else.
Knows neither the registered clients nor what they may have.
"""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_BODY_BYTES: Final = 56 * 1024
"""Logto's own limit."""

_FORM: Final = "application/x-www-form-urlencoded"
_MAX_PARAMETERS: Final = 100


class ErrorCode(StrEnum):
    """The registered error codes that the token endpoint uses."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_TARGET = "invalid_target"  # RFC 8707, 2
    ACCESS_DENIED = "access_denied"  # Logto's, for a client outside the organization


class TokenError(Exception):
    """The client's fault: a token request that is answered with an error (RFC 6749, 5.2)."""

    def __init__(self, code: ErrorCode, description: str, *, status: int = 400) -> None:
        """Take the error *code*, a constant *description* and the HTTP *status*."""
        super().__init__(code, description)
        self.code: Final = code
        self.description: Final = description
        self.status: Final = status


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A well-formed token request; the client's credentials are not checked yet."""

    client_id: str
    client_secret: str = field(repr=False)
    grant_type: str
    resource: str | None
    organization_id: str | None
    scopes: tuple[str, ...]
    """The requested scopes, each once, in the order asked for."""

    @classmethod
    def parse(
        cls, body: bytes, *, media_type: str, authorization: Sequence[str] = ()
    ) -> TokenRequest:
        """Read *body* and the values of the ``Authorization`` headers.

        Raises:
            TokenError: the request is malformed or carries no client credentials.

        """
        parameters = _parse_form(body, media_type)
        client_id, client_secret = _parse_credentials(parameters, authorization)
        if "grant_type" not in parameters:
            raise TokenError(ErrorCode.INVALID_REQUEST, "the parameter grant_type is missing")
        return cls(
            client_id=client_id,
            client_secret=client_secret,
            grant_type=parameters["grant_type"],
            resource=parameters.get("resource"),
            organization_id=parameters.get("organization_id"),
            scopes=_parse_scope(parameters.get("scope", "")),
        )


def _parse_form(body: bytes, media_type: str) -> Mapping[str, str]:
    if media_type != _FORM:
        raise TokenError(ErrorCode.INVALID_REQUEST, f"the content type must be {_FORM}")
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        raise TokenError(ErrorCode.INVALID_REQUEST, "the body is not a form in UTF-8") from None
    _refuse_repeated(name for name, _ in pairs)
    # RFC 6749, 3.2: "Parameters sent without a value MUST be treated as if they were omitted".
    return {name: value for name, value in pairs if value}


def _refuse_repeated(names: Iterable[str]) -> None:
    repeated = {name for name, count in Counter(names).items() if count > 1}
    # RFC 8707, 2, lets `resource` be repeated, so the request is well formed; like Logto, this
    # issuer has no token for two targets.
    if repeated == {"resource"}:
        raise TokenError(ErrorCode.INVALID_TARGET, "only one resource can be asked for at a time")
    # RFC 6749, 3.2: "Request and response parameters MUST NOT be included more than once."
    if repeated:
        raise TokenError(ErrorCode.INVALID_REQUEST, "a parameter is given more than once")


def _parse_scope(scope: str) -> tuple[str, ...]:
    # RFC 6749, 3.3: scope tokens are delimited by the space character alone.
    return tuple(dict.fromkeys(token for token in scope.split(" ") if token))


def _parse_credentials(
    parameters: Mapping[str, str], authorization: Sequence[str]
) -> tuple[str, str]:
    """Find the client's id and secret, in the header or in the body (RFC 6749, 2.3.1)."""
    if not authorization:
        return _present(parameters.get("client_id", ""), parameters.get("client_secret", ""))
    # RFC 6749, 2.3: "The client MUST NOT use more than one authentication method".
    if len(authorization) > 1 or "client_secret" in parameters:
        raise TokenError(ErrorCode.INVALID_REQUEST, "the client authenticates in more than one way")
    client_id, client_secret = _parse_basic(authorization[0])
    if parameters.get("client_id", client_id) != client_id:
        raise TokenError(ErrorCode.INVALID_REQUEST, "two client ids are given and they differ")
    return _present(client_id, client_secret)


def _present(client_id: str, client_secret: str) -> tuple[str, str]:
    if not client_id or not client_secret:
        raise TokenError(ErrorCode.INVALID_CLIENT, "client authentication is missing", status=401)
    return client_id, client_secret


def _parse_basic(authorization: str) -> tuple[str, str]:
    """Decode HTTP Basic; inside it, id and secret are form-urlencoded (RFC 6749, 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise TokenError(ErrorCode.INVALID_REQUEST, "the authorization header is not HTTP Basic")
    try:
        client_id, client_secret = base64.b64decode(encoded, validate=True).decode().split(":", 1)
        return _form_decode(client_id), _form_decode(client_secret)
    except ValueError:
        description = "the HTTP Basic credentials are malformed"
        raise TokenError(ErrorCode.INVALID_REQUEST, description) from None


def _form_decode(value: str) -> str:
    return unquote_plus(value, errors="strict")
