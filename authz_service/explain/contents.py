"""What a token says, decoded as far as it can be, whether or not it is to be believed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_service.core import base64url, strict_json
from authz_service.core.bearer import credentials
from authz_service.core.errors import AccessDenied

if TYPE_CHECKING:
    from authz_service.core.strict_json import JsonObject
    from authz_service.explain.judged import Judged


@dataclass(frozen=True, slots=True)
class TokenContents:
    """A token's header and claims; None for what is no strict JSON object.

    The signature is never here. Unless *verified*, anybody may have written the rest.
    """

    header: JsonObject | None = field(repr=False)
    claims: JsonObject | None = field(repr=False)
    verified: bool


def contents_of(judged: Judged) -> TokenContents | None:
    """Decode the request's token; None where there is none, or nothing in it can be read."""
    try:
        parts = credentials(judged.request).value.split(".")
    except AccessDenied:
        return None
    header, claims = (_object(part) for part in (*parts, "")[:2])
    if header is None and claims is None:
        return None
    verified = judged.trail.payload is not None and not judged.signature_skipped
    return TokenContents(header, claims, verified)


def _object(part: str) -> JsonObject | None:
    try:
        return strict_json.parse_object(base64url.decode(part))
    except ValueError:
        return None
