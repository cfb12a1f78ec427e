"""Where an issuer says that its keys are: OpenID Connect Discovery and RFC 8414."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authz_service.core import strict_json
from authz_service.core.errors import IssuerError
from authz_service.core.urls import url_fault
from authz_service.keys.fetch import FetchError

if TYPE_CHECKING:
    from authz_service.keys.fetch import Fetcher


MAX_URI_CHARS: Final = 2048
"""Of a `jwks_uri` that metadata names: it goes to the log whenever nothing is had from it."""

_SHOWN: Final = 200  # characters of what a server sent


def metadata_urls(identifier: str) -> tuple[str, str]:
    """Both places where the metadata of the issuer *identifier* may be.

    OpenID Connect Discovery 1.0, section 4, appends to the issuer's path; RFC 8414, section 3.1,
    puts its well-known part between host and path.
    """
    base = identifier.rstrip("/")
    scheme, _, rest = base.partition("://")
    host, slash, path = rest.partition("/")
    return (
        f"{base}/.well-known/openid-configuration",
        f"{scheme}://{host}/.well-known/oauth-authorization-server{slash}{path}",
    )


async def discover_jwks_uri(
    fetcher: Fetcher,
    identifier: str,
    *,
    allow_http: bool,
    within: float,
) -> str:
    """Find the key set of the issuer *identifier*, in *within* seconds for each of two requests.

    Raises FetchError where nothing was had from either place, and IssuerError where something was
    that cannot be used.
    """
    faults: list[IssuerError] = []
    for url in metadata_urls(identifier):
        try:
            fetched = await fetcher.get(url, within=within)
            return jwks_uri_of(fetched.document or b"", identifier, allow_http=allow_http)
        except FetchError as fault:
            faults.append(FetchError(f"metadata: {fault.message}", **fault.fields))
        except IssuerError as fault:
            faults.append(fault)
    raise next((fault for fault in faults if not isinstance(fault, FetchError)), faults[0])


def jwks_uri_of(document: bytes, identifier: str, *, allow_http: bool) -> str:
    """The `jwks_uri` in the metadata *document*, which must be *identifier*'s own.

    Metadata that names another issuer is not to be used (RFC 8414, section 3.3): it would let one
    issuer speak with another's keys. Raises IssuerError.
    """
    try:
        metadata = strict_json.parse_object(document)
    except strict_json.NotStrictJson:
        raise IssuerError("the metadata is not a JSON object") from None
    issuer = metadata.get("issuer")
    if issuer != identifier:
        named = issuer[:_SHOWN] if isinstance(issuer, str) else ""
        raise IssuerError("the metadata names another issuer", expected=identifier, named=named)
    jwks_uri = metadata.get("jwks_uri")
    if not isinstance(jwks_uri, str):
        raise IssuerError("the metadata has no jwks_uri")
    fault = jwks_uri_fault(jwks_uri, identifier, allow_http=allow_http)
    if fault is not None:
        raise IssuerError("the metadata's jwks_uri cannot be used", fault=fault)
    return jwks_uri


def jwks_uri_fault(jwks_uri: str, identifier: str, *, allow_http: bool) -> str | None:
    """Why keys of *identifier* may not be fetched from the *jwks_uri* that metadata named."""
    if len(jwks_uri) > MAX_URI_CHARS:
        return f"more than {MAX_URI_CHARS} characters"
    fault = url_fault(jwks_uri, allow_http=allow_http)
    if fault is None and identifier.startswith("https:") and not jwks_uri.startswith("https:"):
        fault = None if allow_http else "http:// from an issuer that is https://"
    return fault
