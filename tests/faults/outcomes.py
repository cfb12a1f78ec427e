"""What can become of a request: an allow, one of the documented refusals, or no answer in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an answer looks to a client of Envoy; *reason* is what Envoy itself is told besides.

    *error* is the code in the body. An allow has neither.
    """

    reason: str
    status: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """The claim headers with which the upstream must see a request, and no others."""

    headers: Mapping[str, str]


ALLOWED: Final = Outcome("", 200)
MISSING_TOKEN: Final = Outcome("missing_token", 401, "unauthorized")
MALFORMED_TOKEN: Final = Outcome("malformed_token", 401, "invalid_token")
TOKEN_TOO_LARGE: Final = Outcome("token_too_large", 401, "invalid_token")
UNKNOWN_ISSUER: Final = Outcome("unknown_issuer", 401, "invalid_token")
UNKNOWN_KEY: Final = Outcome("unknown_key", 401, "invalid_token")
BAD_SIGNATURE: Final = Outcome("bad_signature", 401, "invalid_token")
EXPIRED: Final = Outcome("expired", 401, "invalid_token")
NOT_YET_VALID: Final = Outcome("not_yet_valid", 401, "invalid_token")
WRONG_AUDIENCE: Final = Outcome("wrong_audience", 401, "invalid_token")
INSUFFICIENT_SCOPE: Final = Outcome("insufficient_scope", 403, "insufficient_scope")
NO_ROUTE: Final = Outcome("no_route", 403, "access_denied")
AMBIGUOUS_PATH: Final = Outcome("ambiguous_path", 400, "invalid_request")
BAD_HOST: Final = Outcome("bad_host", 400, "invalid_request")
KEYS_UNAVAILABLE: Final = Outcome("keys_unavailable", 503, "temporarily_unavailable")
INTERNAL_ERROR: Final = Outcome("internal_error", 500, "server_error")

NO_ANSWER: Final = Outcome("no answer", 503)
"""The service did not answer: Envoy's own 503 (`status_on_error`), to Envoy an error of gRPC."""
