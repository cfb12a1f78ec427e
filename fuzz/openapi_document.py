"""`openapi`: the octets of an OpenAPI document, from which a policy is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz_service.openapi.document import METHODS, read_api
from authz_service.openapi.importer import Choices, import_policy
from authz_service.openapi.values import OpenApiError
from authz_service.policy.lint import lint
from authz_service.policy.loader import load
from fuzz.json_mutation import JsonMutator
from fuzz.memory_files import MemoryFiles
from fuzz.policy_file import check_lines
from fuzz.scratch import written
from fuzz.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT: Final = Path(__file__).parents[1]
_DOCUMENTS: Final = ("docs/examples/shop-openapi.yaml", "tests/openapi/documents/petstore.yaml")
_CHOICES: Final = Choices(audience="https://shopping.api", preset="logto", name="shop")
_POLICY: Final = Path("policy.yaml")
_SMALL: Final = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "servers": [{"url": "https://{host}.example.com/v1", "variables": {"host": {"default": "a"}}}],
    "security": [{"oauth": ["read:products"]}],
    "paths": {
        "/products/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {}}],
            "get": {"responses": {"200": {"description": "it"}}},
            "delete": {"security": [{"oauth": ["admin"]}, {"oidc": ["root"]}], "responses": {}},
        },
        "/open": {"get": {"security": [], "responses": {}}, "$ref": "#/x-shared"},
        "/optional": {"post": {"security": [{}, {"oauth": []}], "responses": {}}},
    },
    "x-shared": {"put": {"responses": {}}},
    "components": {
        "securitySchemes": {
            "oauth": {
                "type": "oauth2",
                "flows": {
                    "clientCredentials": {
                        "tokenUrl": "https://auth.example.com/oidc/token",
                        "scopes": {"read:products": "", "admin": ""},
                    }
                },
            },
            "oidc": {
                "type": "openIdConnect",
                "openIdConnectUrl": "https://auth.example.com/.well-known/openid-configuration",
            },
            "key": {"type": "apiKey", "in": "header", "name": "x-key"},
        }
    },
}
_MUTATOR: Final = JsonMutator(
    ("openapi", "swagger", "info", "servers", "url", "variables", "default", "enum", "security",
     "paths", "/a/{b}", "/a/{b}/{c}", "/a//b", "/%2e", "/**", "$ref", "components", "oauth", "oidc",
     "securitySchemes", "flows", "scopes", "x-a", "parameters", "components/schemas", *METHODS),
    ("3.0.3", "3.1.0", "#/paths/~1open", "#/components", "#/", "#", "other.yaml#/a", "http",
     "bearer", "oauth2", "apiKey", "mutualTLS", "https://a.example", "http://a/b/", "/v1", "//a",
     "{host}", "*", "read:products", 'a"b', "a b", "\u202e", "\n# ", "${HOME}", ": x", "- a"),
)  # fmt: skip


def _seeds() -> Iterator[bytes]:
    yield json.dumps(_SMALL).encode()
    for name in _DOCUMENTS:
        yield (_ROOT / name).read_bytes()
    yield b'{"openapi": "3.0.3", "info": {"title": "", "version": ""}, "paths": {}}'


def _judge(octets: bytes) -> None:
    for choices in (Choices(), _CHOICES):
        try:
            imported = import_policy(read_api(written("openapi.yaml", octets)), choices)
        except OpenApiError as error:
            assert error.problems
            check_lines(map(str, error.problems))
            return
        check_lines(map(str, imported.notes))
        check_lines(imported.text.split("\n"))
        files = MemoryFiles({_POLICY: imported.text.encode()})
        lint(load([_POLICY], environment={}, files=files))


TARGET: Final = Target(_seeds, _judge, _MUTATOR.mutate, max_bytes=16 * 1024)
