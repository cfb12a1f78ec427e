"""What the access tokens of well-known authorization servers look like."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from authz_service.core.algorithms import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Preset:
    """The defaults that a preset gives an issuer. `absent` in *token_types* stands for no `typ`."""

    algorithms: tuple[str, ...] = tuple(ALGORITHMS)
    token_types: tuple[str, ...] = ("at+jwt",)
    required_claims: tuple[str, ...] = ("sub", "client_id", "iat", "jti")
    scope_claim: str = "scope"
    client_id_claim: str = "client_id"


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({
    # RFC 9068: sections 2.1 (the header) and 2.2 (the claims).
    "rfc9068": Preset(),
    # Logto issues what RFC 9068 describes, and signs with the two kinds of key that its console
    # offers: EC on P-384, the default, and RSA.
    "logto": Preset(algorithms=("ES384", "RS256")),
})  # fmt: skip

LATER: Final = frozenset({
    "auth0", "keycloak", "entra", "okta", "cognito", "zitadel", "kubernetes",
})  # fmt: skip
"""Names that the policy format has, and this version does not."""
