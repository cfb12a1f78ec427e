"""The operations of a document: where each is called, and what it asks of the caller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from authz_service.core.urls import split_url, url_fault
from authz_service.openapi.document import METHODS, pointer
from authz_service.openapi.security import Alternative, Scheme, alternative
from authz_service.openapi.servers import Addresses, addresses
from authz_service.openapi.source import OpenApiError
from authz_service.policy.problems import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from authz_service.openapi.document import (
        ApiDocument,
        ApiOperation,
        PathItem,
        SecurityScheme,
        Server,
    )
    from authz_service.openapi.source import ValuePath

_DISCOVERY: Final = "/.well-known/openid-configuration"
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
        for template, item in (self._model.paths or {}).items():
            for method, operation in _methods(item):
                yield self._operation(template, item, method, operation)

    def _states_anything(self) -> bool:
        return self._model.security is not None or any(
            operation.security is not None
            for item in (self._model.paths or {}).values()
            for _method, operation in _methods(item)
        )

    def _operation(
        self, template: str, item: PathItem, method: str, operation: ApiOperation
    ) -> Operation:
        servers: Sequence[Server] = operation.servers or item.servers or self._model.servers or ()
        path: ValuePath = ("paths", template, method)
        security, place = operation.security, (*path, "security")
        if security is None:
            security, place = self._model.security, ("security",)
        return Operation(
            method=method.upper(),
            template=template,
            addresses=addresses(servers),
            alternatives=self._alternatives(security, place),
            position=self._document.source.position(path),
            stated=security is not None,
        )

    def _alternatives(
        self, security: Sequence[Mapping[str, Sequence[str]]] | None, path: ValuePath
    ) -> tuple[Alternative, ...] | None:
        if security is None:
            return _EVERYBODY if self._anything_stated else None
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


def schemes(document: ApiDocument) -> dict[str, Scheme]:
    """What each security scheme of *document* is to us."""
    home = _home(document)
    return {name: _scheme(scheme, home) for name, scheme in document.schemes.items()}


def issuers(document: ApiDocument) -> tuple[FoundIssuer, ...]:
    """The issuers that the schemes of *document* name, each once; what is sure comes first."""
    home = _home(document)
    found = [issuer for scheme in document.schemes.values() if (issuer := _issuer(scheme, home))]
    sure = {issuer.url for issuer in found if issuer.sure}
    unique = {issuer.url: FoundIssuer(issuer.url, issuer.url in sure) for issuer in found}
    return tuple(sorted(unique.values(), key=lambda issuer: not issuer.sure))


def _scheme(scheme: SecurityScheme, home: str | None) -> Scheme:
    issuer = _issuer(scheme, home)
    kind = scheme.type
    if kind in {"oauth2", "openIdConnect"}:
        return Scheme(kind, issuer=issuer.url if issuer else None)
    if kind == "http" and (scheme.scheme or "").lower() == "bearer":
        return Scheme("bearer", has_scopes=False)
    name = (scheme.scheme or kind) if kind == "http" else kind
    return Scheme(f"{name:.50}", token=False)


def _issuer(scheme: SecurityScheme, home: str | None) -> FoundIssuer | None:
    """Who issues the tokens of *scheme*: what is said, or the origin of where they are got."""
    if scheme.type == "openIdConnect" and scheme.openIdConnectUrl:
        url = scheme.openIdConnectUrl
        if url.endswith(_DISCOVERY) and url_fault(url, allow_http=False) is None:
            return FoundIssuer(url.removesuffix(_DISCOVERY), sure=True)
        return _origin([url], home)
    if scheme.type == "oauth2" and scheme.flows is not None:
        flows = scheme.flows
        every = (flows.authorizationCode, flows.clientCredentials, flows.implicit, flows.password)
        present = [flow for flow in every if flow is not None]
        return _origin(
            [url for flow in present for url in (flow.tokenUrl, flow.authorizationUrl) if url], home
        )
    return None


def _origin(urls: Iterable[str], home: str | None) -> FoundIssuer | None:
    """The origin of the first of *urls* that has one; a relative one is at *home*."""
    for url in urls:
        parts = split_url(url) if "://" in url else None
        if parts is not None and parts.scheme in {"https", "http"}:
            origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
            if url_fault(origin, allow_http=False) is not None:
                origin = origin.replace("http://", "https://", 1)
            return FoundIssuer(origin, sure=False)
        if parts is None and "://" not in url and home is not None:
            return FoundIssuer(home, sure=False)
    return None


def _home(document: ApiDocument) -> str | None:
    """The origin of the first server that has one."""
    for address in addresses(document.model.servers or ()).values:
        if address.url is not None:
            parts = urlsplit(address.url)
            origin = f"{'http' if parts.scheme in {'http', 'ws'} else 'https'}://{parts.netloc}"
            return origin if url_fault(origin, allow_http=False) is None else None
    return None
