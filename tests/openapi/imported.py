"""Documents as values, and the policies that they become."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from authz_service.core.errors import AccessDenied
from authz_service.core.policy import Public, TokenRequirement
from authz_service.core.request import Host, RequestPath
from authz_service.openapi.document import parse_api, read_api
from authz_service.openapi.importer import Choices, import_policy
from authz_service.openapi.source import Source
from authz_service.policy import load_policy

if TYPE_CHECKING:
    from authz_service.core.policy import Policy, Requirement
    from authz_service.openapi.document import ApiDocument
    from authz_service.openapi.importer import ImportedPolicy

DOCUMENTS: Final = Path(__file__).parent / "documents"
EXAMPLE: Final = Path(__file__).parents[2] / "docs" / "examples" / "shop-openapi.yaml"
ISSUER: Final = "https://auth.example.com/oidc"
PARTNER: Final = "https://partner.example"

SCHEMES: Final[dict[str, Any]] = {
    "login": {
        "type": "openIdConnect",
        "openIdConnectUrl": f"{ISSUER}/.well-known/openid-configuration",
    },
    "oauth": {
        "type": "oauth2",
        "flows": {"clientCredentials": {"tokenUrl": f"{ISSUER}/token", "scopes": {}}},
    },
    "partner": {
        "type": "openIdConnect",
        "openIdConnectUrl": f"{PARTNER}/.well-known/openid-configuration",
    },
    "bearer": {"type": "http", "scheme": "Bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "key": {"type": "apiKey", "in": "header", "name": "x-key"},
    "mtls": {"type": "mutualTLS"},
}


def schemes(*names: str) -> dict[str, Any]:
    """Give the `components` with the security schemes *names*."""
    return {"securitySchemes": {name: SCHEMES[name] for name in names}}


def api(paths: dict[str, Any], **fields: Any) -> ApiDocument:  # noqa: ANN401 - whatever a document holds
    """Make a document of *paths* with the scheme `login`, and of more *fields*."""
    value = {
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "1"},
        "components": schemes("login"),
        "paths": paths,
        **fields,
    }
    return parse_api(Source("shop.yaml", value))


def operation(*security: dict[str, list[str]], **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
    """Make an operation that asks for one of *security*."""
    return {"responses": {}, "security": list(security), **fields}


def one(*security: dict[str, list[str]], path: str = "/a", **fields: Any) -> ApiDocument:  # noqa: ANN401 - the same
    """Make a document of one GET, with every kind of scheme that it names."""
    used = dict.fromkeys(name for each in security for name in each)
    return api({path: {"get": operation(*security)}}, components=schemes(*used), **fields)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy that was imported and loaded again."""

    text: str
    notes: tuple[str, ...]
    policy: Policy

    def requirement(
        self, method: str, target: str, host: str = "any.example"
    ) -> Requirement | None:
        """Find what a request must meet, None where it is denied."""
        try:
            route = self.policy.match(Host.parse(host), RequestPath.parse(target)).route
            return route.requirement_for(method)
        except AccessDenied:
            return None

    def is_public(self, method: str, target: str, host: str = "any.example") -> bool:
        """Whether no token is looked at."""
        return isinstance(self.requirement(method, target, host), Public)

    def token(self, method: str, target: str, host: str = "any.example") -> TokenRequirement:
        """Find what the token of a request must have."""
        found = self.requirement(method, target, host)
        assert isinstance(found, TokenRequirement), f"{method} {target}: {found}"
        return found

    def scopes(self, method: str, target: str, host: str = "any.example") -> set[str]:
        """Find the scopes that must all be there, where that is everything that is asked for."""
        token = self.token(method, target, host)
        assert not token.any_scope
        assert not token.conditions
        return set(token.scopes)


def imported(document: ApiDocument, **choices: str) -> ImportedPolicy:
    """Import *document*."""
    return import_policy(document, Choices(**choices))


def load(document: ApiDocument | Path, **choices: str) -> Loaded:
    """Import *document*, and load what was written."""
    read = read_api(document) if isinstance(document, Path) else document
    result = imported(read, **choices)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "policy.yaml"
        file.write_text(result.text, encoding="utf-8")
        policy = load_policy([file], environment={})
    return Loaded(result.text, tuple(str(note) for note in result.notes), policy)
