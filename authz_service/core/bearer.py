"""Bearer credentials in a request (RFC 6750, section 2.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied

if TYPE_CHECKING:
    from authz_service.core.request import HttpRequest

_CREDENTIALS: Final = re.compile(r"(?i:bearer) +(?P<token>[A-Za-z0-9._~+/-]+=*)", re.ASCII)
_MENTIONS_BEARER: Final = re.compile(r"(?i:(?:^|,)[ \t]*bearer(?![!#$%&'*+.^_`|~0-9a-z-]))")


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A `b64token` that somebody sent. Nothing is known of it; `repr` does not show it."""

    value: str = field(repr=False)


def credentials(request: HttpRequest) -> BearerToken:
    """The one access token in *request*'s `Authorization` field.

    The query and the body are not looked at: RFC 6750 discourages both, and tokens in a URL end up
    in logs. Credentials of another scheme count as no token (section 3.1).

    Raises AccessDenied: missing_token, or malformed_credentials where a bearer token was meant but
    there are several, or the grammar is not met. Envoy joins repeated fields with a comma.
    """
    values = request.header_values("authorization")
    if not any(values):
        raise AccessDenied(DenyReason.MISSING_TOKEN)
    if len(values) == 1 and (match := _CREDENTIALS.fullmatch(values[0])):
        return BearerToken(match["token"])
    if len(values) > 1 or _MENTIONS_BEARER.search(values[0]):
        raise AccessDenied(DenyReason.MALFORMED_CREDENTIALS)
    raise AccessDenied(DenyReason.MISSING_TOKEN)
