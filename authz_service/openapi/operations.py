"""The operations of a document: where each is called, and what it asks of the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from authz_service.core.urls import split_url, url_fault
from authz_service.openapi.document import METHODS
from authz_service.openapi.references import pointer
from authz_service.openapi.security import Alternative, Scheme, alternative
from authz_service.openapi.servers import SCHEMES, Addresses, addresses
from authz_service.openapi.values import OpenApiError
from authz_service.policy.problems import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from authz_service.openapi.document import (
        ApiDocument,
        ApiOperation,
        PathItem,
        SecurityScheme,
    )
    from authz_service.openapi.values import ValuePath

MAX_ALTERNATIVES: Final = 50

_DISCOVERY: Final = "/.well-known/openid-configuration"
_MAX_ISSUER: Final = 200
_EVERYBODY: Final = (Alternative(),)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. *alternatives* are None where the whole document asks for nothing.

    *stated* is false where others are told what to ask for, and this one is not.
    """

    method: str
    template: str
    addresses: Addresses
    alternatives: tuple[Alternative, ...] | None
    position: Position
    stated: bool = True

    def __str__(self) -> str:
        """As an HTTP request begins."""
        return f"{self.method} {self.template}"


@dataclass(frozen=True, slots=True)
class FoundIssuer:
    """An issuer that a document names; not *sure* where it is a guess."""

    url: str
    sure: bool


def operations(document: ApiDocument) -> tuple[Operation, ...]:
    """Every operation of *document*, in its order.

    Raises OpenApiError where one asks for a security scheme that there is not.
    """
    return _Operations(document).collect()


class _Operations:
    """The defaults of one document, and what has been said of it."""

    def __init__(self, document: ApiDocument) -> None:
        self._document = document
        self._model = document.model
        self._schemes = schemes(document)
        self._problems: list[Problem] = []
        self._anything_stated = self._states_anything()

    def collect(self) -> tuple[Operation, ...]:
        found = tuple(self._all())
        if self._problems:
            raise OpenApiError(self._problems)
        return found

    def _all(self) -> Iterator[Operation]:
        everywhere = addresses(self._model.servers or (), self._document.file)
        for template, item in (self._model.paths or {}).items():
            here = addresses(item.servers, self._document.file) if item.servers else everywhere
            for method, operation in _methods(item):
                yield self._operation(template, here, method, operation)

    def _states_anything(self) -> bool:
        return self._model.security is not None or any(
            operation.security is not None
            for item in (self._model.paths or {}).values()
            for _method, operation in _methods(item)
        )

    def _operation(
        self, template: str, here: Addresses, method: str, operation: ApiOperation
    ) -> Operation:
        path: ValuePath = ("paths", template, method)
        security, place = operation.security, (*path, "security")
        if security is None:
            security, place = self._model.security, ("security",)
        return Operation(
            method=method.upper(),
            template=template,
            addresses=(
                addresses(operation.servers, self._document.file) if operation.servers else here
            ),
            alternatives=self._alternatives(security, place),
            position=self._document.source.position(path),
            stated=security is not None,
        )

    def _alternatives(
        self, security: Sequence[Mapping[str, Sequence[str]]] | None, path: ValuePath
    ) -> tuple[Alternative, ...] | None:
        if security is None:
            return _EVERYBODY if self._anything_stated else None
        if len(security) > MAX_ALTERNATIVES:
            message = f"{pointer(path)}: more than {MAX_ALTERNATIVES} alternatives"
            raise OpenApiError([Problem(self._document.source.position(path), message)])
        unknown = {name for each in security for name in each} - set(self._schemes)
        for name in sorted(unknown):
            message = f'{pointer(path)}: no security scheme is named "{name:.100}"'
            self._problems.append(Problem(self._document.source.position(path), message))
        if unknown:
            return ()
        return tuple(alternative(each, self._schemes) for each in security) or _EVERYBODY


def _methods(item: PathItem) -> Iterator[tuple[str, ApiOperation]]:
    for method in METHODS:
        operation: ApiOperation | None = getattr(item, method)
        if operation is not None:
            yield method, operation


# Security schemes


@dataclass(frozen=True, slots=True)
class _Surroundings:
    """What an issuer is guessed from: where the API is, and the issuers that are named."""

    home: str | None
    named: tuple[str, ...]


def schemes(document: ApiDocument) -> dict[str, Scheme]:
    """What each security scheme of *document* is to us."""
    around = _surroundings(document)
    return {name: _scheme(scheme, around) for name, scheme in document.schemes.items()}


def issuers(document: ApiDocument) -> tuple[FoundIssuer, ...]:
    """The issuers that the schemes of *document* name, each once; what is sure comes first."""
    around = _surroundings(document)
    found = [issuer for scheme in document.schemes.values() if (issuer := _issuer(scheme, around))]
    unique = dict.fromkeys(sorted(found, key=lambda issuer: not issuer.sure))
    return tuple(issuer for issuer in unique if issuer.sure or issuer.url not in around.named)


def _surroundings(document: ApiDocument) -> _Surroundings:
    named = (_named_issuer(scheme) for scheme in document.schemes.values())
    return _Surroundings(_home(document), tuple(issuer for issuer in named if issuer))


def _scheme(scheme: SecurityScheme, around: _Surroundings) -> Scheme:
    issuer = _issuer(scheme, around)
    kind = scheme.type
    if kind in {"oauth2", "openIdConnect"}:
        return Scheme(kind, issuer=issuer.url if issuer else None)
    if kind == "http" and (scheme.scheme or "").lower() == "bearer":
        return Scheme("bearer", has_scopes=False)
    name = (scheme.scheme or kind) if kind == "http" else kind
    return Scheme(f"{name:.50}", token=False)


def _named_issuer(scheme: SecurityScheme) -> str | None:
    """The issuer whose metadata *scheme* points to (OpenID Connect Discovery 1.0, section 4)."""
    url = scheme.openIdConnectUrl or ""
    if scheme.type != "openIdConnect" or not url.endswith(_DISCOVERY):
        return None
    issuer = url.removesuffix(_DISCOVERY)
    usable = url_fault(issuer, allow_http=False) is None and len(issuer) <= _MAX_ISSUER
    return issuer if usable and not any(mark in issuer for mark in "?{}") else None


def _issuer(scheme: SecurityScheme, around: _Surroundings) -> FoundIssuer | None:
    """Who issues the tokens of *scheme*: what is said, or the origin of where they are got."""
    if (named := _named_issuer(scheme)) is not None:
        return FoundIssuer(named, sure=True)
    for url in _token_urls(scheme):
        if known := next((each for each in around.named if url.startswith(f"{each}/")), None):
            return FoundIssuer(known, sure=True)
        if (origin := _origin(url) if "://" in url else around.home) is not None:
            return FoundIssuer(origin, sure=False)
    return None


def _token_urls(scheme: SecurityScheme) -> list[str]:
    if scheme.type == "openIdConnect":
        return [scheme.openIdConnectUrl] if scheme.openIdConnectUrl else []
    if scheme.type != "oauth2" or scheme.flows is None:
        return []
    flows = scheme.flows
    every = (flows.authorizationCode, flows.clientCredentials, flows.implicit, flows.password)
    both = [(flow.tokenUrl, flow.authorizationUrl) for flow in every if flow is not None]
    return [url for pair in both for url in pair if url]


def _origin(url: str) -> str | None:
    """The scheme, host and port of *url*, as an issuer: over TLS, unless it is this machine."""
    parts = split_url(url)
    if parts is None or parts.username is not None or parts.scheme not in SCHEMES:
        return None
    if "{" in parts.netloc or "}" in parts.netloc:  # a template, for somebody to fill in
        return None
    plain = parts.scheme in {"http", "ws"}
    options = (f"{'http' if plain else 'https'}://{parts.netloc}", f"https://{parts.netloc}")
    fine = (each for each in options if url_fault(each, allow_http=False) is None)
    return next((each for each in fine if len(each) <= _MAX_ISSUER), None)


def _home(document: ApiDocument) -> str | None:
    """The origin of the first server that has one."""
    urls = (
        address.url for address in addresses(document.model.servers or (), document.file).values
    )
    return next((origin for url in urls if url and (origin := _origin(url))), None)
