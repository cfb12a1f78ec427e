"""What each field of a policy file means, in the words that an editor shows beside it.

A default that the model of the field holds is not said here: it is added from there.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from authz_service.policy.schema import (
    ClaimValueFields,
    ForwardFields,
    IssuerFields,
    PolicyFields,
    RefreshFields,
    RequirementFields,
    ResourceFields,
    RouteFields,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

MAPPINGS: Final[Mapping[type[BaseModel], str]] = MappingProxyType({
    PolicyFields: "A policy of authz-service: which tokens each path of each host asks for.",
    IssuerFields: "An authorization server, and what its access tokens look like.",
    RefreshFields: "When the issuer's keys are fetched.",
    ResourceFields: "An API resource: its audience, its hosts and its routes.",
    RouteFields: "A path, and what each method needs there.",
    RequirementFields: (
        "What a request needs: public (no token is looked at), a list of scopes that the token has"
        " all of, or a mapping of which everything must hold."
    ),
    ClaimValueFields: (
        "What the claim must be: a value that it equals, or contains where it is an array, compared"
        " by type; or one of several, or anything but null."
    ),
    ForwardFields: "What the upstream gets of the token.",
})  # fmt: skip
"""What a mapping of each kind is."""

FIELDS: Final[Mapping[type[BaseModel], Mapping[str, str]]] = MappingProxyType({
    PolicyFields: {
        "version": "The version of this format, which is 1.",
        "issuers": "The authorization servers whose tokens are accepted.",
        "resources": "The APIs that are protected; what no route of theirs names is denied.",
        "forward": (
            "What the upstream gets; once for the whole policy. Default: four x-auth-* headers."
        ),
        "mode": (
            "Whether refusals of this file's resources are enforced, or with audit only reported."
        ),
    },
    IssuerFields: {
        "issuer": "The exact value of iss, or a list where one tenant has several names.",
        "name": "The name in logs, metrics and resources. Default: the host of the issuer.",
        "preset": (
            "The authorization server's product, which sets algorithms, token types and claims"
            " unless they are given."
        ),
        "jwks_uri": "Where the keys are fetched. Default: what the issuer's metadata says.",
        "jwks_file": (
            "A file with the keys, relative to this one, read at the start, in the place of a URL."
            " Default: none."
        ),
        "algorithms": "The signature algorithms that are accepted. Default: the preset's.",
        "token_types": (
            "The values of typ that are accepted, in any case; absent stands for a token without"
            " one. Default: the preset's."
        ),
        "required_claims": (
            "The claims that a token must have beside iss, aud and exp. Default: the preset's."
        ),
        "scope_claim": (
            "The claim that has the scopes, as a string with spaces or an array, or a list of such"
            " claims, which count together. Default: the preset's."
        ),
        "client_id_claim": (
            "The claim that names the client, or a list, of which the first that is there counts."
            " Default: the preset's."
        ),
        "leeway": "How far the issuer's clock may be off, for exp, nbf and iat.",
        "max_token_lifetime": "How far ahead exp may lie. Default: any distance.",
        "refresh": "When the keys are fetched. Default: the defaults of its fields.",
        "allow_http": (
            "Whether keys may be fetched over http:// from elsewhere than this machine."
        ),
        "required": (
            "Whether the service is not ready while it has no keys of this issuer; with false it"
            " warns of that."
        ),
    },
    RefreshFields: {
        "interval": "The time from one fetch to the next.",
        "cooldown": "The least time from a fetch to one that an unknown key id asks for.",
        "timeout": "How long one request may take.",
        "max_stale": (
            "How long keys serve after the last good fetch; at least the interval."
        ),
    },
    ResourceFields: {
        "audience": (
            "The identifier of the API resource, or a list of which one must be in aud; {name}"
            " stands for the path variable."
        ),
        "name": "The name in logs, metrics and challenges. Default: the audience.",
        "issuers": "The names of the issuers whose tokens are accepted. Default: every issuer.",
        "hosts": "The hosts of the API: shop.example.com, *.example.com at any depth below, or *.",
        "routes": "The paths of the API; the most specific one wins, whatever the order.",
        "encoded_slash": "Whether a path with %2F is refused, or keeps it as part of a segment.",
        "path_parameters": (
            "Whether a path with ;... after a segment is refused, or keeps it without matching it."
        ),
        "cors_preflight": "Whether OPTIONS requests of browsers before CORS are let through.",
        "mode": (
            "Whether refusals are enforced here, or with audit only reported. Default: the file's."
        ),
    },
    RouteFields: {
        "path": "The path: /products, /products/{id} for one segment, /files/** for the rest.",
        "audience": (
            "The audience, or a list of which one must be in aud; {name} stands for the path"
            " variable. Default: the resource's."
        ),
        "methods": (
            "What each method needs, by its name in upper case; * is every method that is not"
            " named; GET is HEAD too, and what is left is denied."
        ),
        "mode": (
            "Whether refusals are enforced here, or with audit only reported. Default: the"
            " resource's."
        ),
    },
    RequirementFields: {
        "scopes": "The scopes that the token must have all of.",
        "any_scope": "The scopes of which the token must have one at least. Default: no such list.",
        "audience": (
            "The audience, or a list of which one must be in aud; {name} stands for the path"
            " variable. Default: the route's."
        ),
        "claims": (
            "What claims must be, by name, or by a JSON Pointer that starts with / for a nested"
            " one."
        ),
        "when": (
            "A CEL expression over claims, path and request that must be true. Default: none."
        ),
        "optional": "Whether no token is fine; one that is sent must meet the rest.",
        "mode": (
            "Whether refusals are enforced here, or with audit only reported. Default: the route's."
        ),
    },
    ClaimValueFields: {
        "any_of": (
            "Values of which the claim equals one, or contains one where it is an array. Default:"
            " any value."
        ),
        "present": "The claim is there, and not null. Default: it must be one of any_of.",
    },
    ForwardFields: {
        "headers": (
            "Headers for the upstream, in lower case, each with the claim that it gets: a name, or"
            " a JSON Pointer that starts with /."
        ),
        "authorization": "Whether the upstream gets the token itself.",
        "strip": (
            "Headers that no client gets through, in lower case; a final * stands for any ending."
        ),
        "claims_header": "A header that gets all claims, as base64url of JSON; null for none.",
    },
})  # fmt: skip
"""What each field means, by the model and its name. `public` has a form of its own."""
