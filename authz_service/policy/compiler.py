"""From the models of all files to one `core.policy.Policy`: names resolved, defaults put in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from authz_service.core.claims import ClaimReference
from authz_service.core.conditions import ClaimCondition
from authz_service.core.errors import IssuerError
from authz_service.core.forward import ForwardRules
from authz_service.core.hosts import HostIndex
from authz_service.core.jwks import parse_jwk_set
from authz_service.core.policy import (
    Issuer,
    Policy,
    Public,
    RemoteKeys,
    Requirement,
    Route,
    TokenRequirement,
    TokenTypes,
)
from authz_service.core.refresh import RefreshSettings
from authz_service.core.routes import RouteIndex
from authz_service.core.templates import Template
from authz_service.core.urls import split_url, url_fault
from authz_service.policy.place import Place as _Place
from authz_service.policy.presets import PRESETS
from authz_service.policy.problems import PolicyError, Problem
from authz_service.policy.schema import is_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_service.core.conditions import Condition
    from authz_service.core.hosts import HostPattern
    from authz_service.core.jwks import KeySet
    from authz_service.core.routes import PathPattern
    from authz_service.policy.document import Document
    from authz_service.policy.problems import Position
    from authz_service.policy.schema import (
        ForwardFields,
        IssuerFields,
        Mode,
        PolicyFields,
        RequirementFields,
        ResourceFields,
        RouteFields,
    )
    from authz_service.policy.when import WhenExpression


@dataclass(frozen=True, slots=True)
class PolicySource:
    """One file: where its values stand, and what they are."""

    document: Document
    fields: PolicyFields


def compile_policy(
    sources: Iterable[PolicySource],
    read_beside: Callable[[str, str], bytes],
    *,
    whole: bool = True,
) -> Policy:
    """Merge *sources* into one policy.

    *read_beside* reads a file that a policy file names (first the policy file, then the name in
    it); it raises OSError. Where the sources are not the *whole* policy, because something was
    left out for its mistakes, what they seem to lack is not complained of.
    Raises PolicyError with every problem of every source.
    """
    return _Compiler(read_beside, whole).compile(tuple(sources))


@dataclass(frozen=True, slots=True)
class _Inherited:
    """What a route has from its resource and its file, and a method from its route."""

    resource: str
    audiences: list[Template]
    mode: Mode
    issuers: Mapping[str, Issuer]


@dataclass(slots=True)
class _Compiler:
    """What has been compiled so far, and every problem that came up."""

    read_beside: Callable[[str, str], bytes]
    whole: bool
    problems: list[Problem] = field(default_factory=list)
    issuers: dict[str, Issuer] = field(default_factory=dict)
    issuer_positions: dict[str, Position] = field(default_factory=dict)
    identifiers: dict[str, Position] = field(default_factory=dict)
    used_issuers: set[str] = field(default_factory=set)
    resources: dict[str, Position] = field(default_factory=dict)
    hosts: dict[HostPattern, RouteIndex[Route]] = field(default_factory=dict)
    route_positions: dict[int, Position] = field(default_factory=dict)

    def compile(self, sources: tuple[PolicySource, ...]) -> Policy:
        places = [(_Place(source.document), source.fields) for source in sources]
        for place, fields in places:
            for number, issuer in enumerate(fields.issuers):
                self._add_issuer(issuer, place / "issuers" / number)
        for place, fields in places:
            for number, resource in enumerate(fields.resources):
                self._add_resource(resource, fields.mode, place / "resources" / number)
        forward = self._forward(places)
        if self.problems:
            raise PolicyError(self.problems)
        return Policy(
            issuers=tuple(self.issuers.values()),
            used_issuers=tuple(
                issuer for name, issuer in self.issuers.items() if name in self.used_issuers
            ),
            hosts=HostIndex(MappingProxyType(self.hosts)),
            forward=forward,
            audit=self._audits_everything(fields for _place, fields in places),
        )

    def _audits_everything(self, files: Iterable[PolicyFields]) -> bool:
        """Whether every file is in audit mode, and nothing in any of them is enforced.

        A request that is ambiguous, or that no route names, may be meant for whatever there is.
        """
        modes = {fields.mode for fields in files}
        routes = (route for index in self.hosts.values() for route in index)
        return modes == {"audit"} and all(_is_audited(route) for route in routes)

    def _problem(self, place: _Place, message: str) -> None:
        self.problems.append(Problem(place.position, message))

    # Issuers

    def _add_issuer(self, fields: IssuerFields, place: _Place) -> None:
        identifiers = tuple(fields.issuer)
        name = fields.name or _hostname(identifiers[0]) or identifiers[0]
        if name in self.issuers:
            first = self.issuer_positions[name]
            self._problem(place, f'an issuer is named "{name}" already, at {first}: give it a name')
        for identifier in identifiers:
            if identifier in self.identifiers:
                first = self.identifiers[identifier]
                self._problem(place / "issuer", f'"{identifier}" is an issuer already, at {first}')
            self.identifiers[identifier] = (place / "issuer").position
        self.issuer_positions[name] = place.position
        keys = self._keys(fields, identifiers[0], place)
        preset = PRESETS[fields.preset]
        token_types = [typ.lower() for typ in _given(fields.token_types, preset.token_types)]
        self.issuers[name] = Issuer(
            name=name,
            identifiers=identifiers,
            algorithms=frozenset(_given(fields.algorithms, preset.algorithms)),
            token_types=TokenTypes.of(
                *(typ for typ in token_types if typ != "absent"), absent="absent" in token_types
            ),
            required_claims=tuple(_given(fields.required_claims, preset.required_claims)),
            scope_claims=_claims(fields.scope_claim, preset.scope_claims),
            client_id_claims=_claims(fields.client_id_claim, preset.client_id_claims),
            leeway=fields.leeway,
            max_token_lifetime=fields.max_token_lifetime,
            keys=keys,
            fallback_scope_claims=(
                _claims(None, preset.fallback_scope_claims) if fields.scope_claim is None else ()
            ),
            audience_stand_in=preset.audience_stand_in,
            marks=preset.marks,
            required=fields.required,
        )

    def _keys(self, fields: IssuerFields, identifier: str, place: _Place) -> RemoteKeys | KeySet:
        if fields.jwks_file is not None:
            if fields.jwks_uri is not None:
                self._problem(place / "jwks_file", "write jwks_uri or jwks_file, not both")
            return self._static_keys(fields.jwks_file, place / "jwks_file")
        if fields.jwks_uri is not None:
            self._check_url(fields.jwks_uri, fields, place / "jwks_uri")
        else:
            self._check_url(identifier, fields, place / "issuer")
            if "/.well-known/" in identifier:
                self._problem(
                    place / "issuer",
                    "an issuer is what stands before /.well-known/, exactly as `iss` has it",
                )
            if "?" in identifier:
                self._problem(place / "issuer", "an issuer has no query (RFC 8414, section 2)")
        refresh = fields.refresh
        settings = RefreshSettings(
            refresh.interval, refresh.cooldown, refresh.timeout, refresh.max_stale
        )
        return RemoteKeys(fields.jwks_uri, fields.allow_http, settings)

    def _static_keys(self, name: str, place: _Place) -> RemoteKeys | KeySet:
        try:
            return parse_jwk_set(self.read_beside(place.document.file, name))
        except OSError as error:
            self._problem(place, f"the file {name} cannot be read: {error.strerror or error}")
        except IssuerError as error:
            self._problem(place, f"{name}: {error.message}")
        return RemoteKeys()  # never used: a problem was noted

    def _check_url(self, url: str, fields: IssuerFields, place: _Place) -> None:
        fault = url_fault(url, allow_http=fields.allow_http)
        if fault is not None:
            self._problem(place, f"{place.path[-1]}: {fault}")

    # Resources

    def _add_resource(self, fields: ResourceFields, mode: Mode, place: _Place) -> None:
        name = fields.name or fields.audience[0].text
        if name in self.resources:
            first = self.resources[name]
            message = f'a resource is named "{name}" already, at {first}: give it a name'
            self._problem(place, message)
        if not is_name(name):
            self._problem(place, "give it a name: its audience is not printable ASCII")
        self.resources[name] = place.position
        inherited = _Inherited(
            resource=name,
            audiences=fields.audience,
            mode=fields.mode or mode,
            issuers=self._issuers_of(fields, place),
        )
        for number, route_fields in enumerate(fields.routes):
            route_place = place / "routes" / number
            route = self._route(route_fields, fields, inherited, route_place)
            self._add_route(route, fields.hosts, route_place / "path")
        if not self.issuers and self.whole and any(_needs_token(route) for route in fields.routes):
            self._problem(place, "tokens are needed here, and there are no issuers: add one")

    def _issuers_of(self, fields: ResourceFields, place: _Place) -> Mapping[str, Issuer]:
        chosen = list(self.issuers.values())
        if fields.issuers is not None:
            for number, name in enumerate(fields.issuers):
                if name not in self.issuers and self.whole:
                    known = ", ".join(self.issuers) or "none"
                    self._problem(
                        place / "issuers" / number, f'no issuer is named "{name}": there is {known}'
                    )
            chosen = [self.issuers[name] for name in fields.issuers if name in self.issuers]
        if any(_needs_token(route) for route in fields.routes):
            self.used_issuers.update(issuer.name for issuer in chosen)
        return MappingProxyType(
            {identifier: issuer for issuer in chosen for identifier in issuer.identifiers}
        )

    def _route(
        self, fields: RouteFields, resource: ResourceFields, inherited: _Inherited, place: _Place
    ) -> Route:
        inherited = replace(
            inherited,
            audiences=fields.audience or inherited.audiences,
            mode=fields.mode or inherited.mode,
        )
        place_of_audience = place / ("path" if fields.audience is None else "audience")
        if _needs_token(fields):
            self._check_variables(inherited.audiences, fields.path, place_of_audience)
        methods = {
            method: self._requirement(
                requirement, inherited, fields.path, place / "methods" / method
            )
            for method, requirement in fields.methods.items()
        }
        return Route(
            resource=inherited.resource,
            pattern=fields.path,
            other_methods=methods.pop("*", None),
            methods=MappingProxyType(methods),
            keep_encoded_slash=resource.encoded_slash == "keep",
            keep_path_parameters=resource.path_parameters == "keep",
            allow_preflight=resource.cors_preflight == "allow",
            audit=inherited.mode == "audit",
        )

    def _requirement(
        self,
        fields: RequirementFields,
        inherited: _Inherited,
        pattern: PathPattern,
        place: _Place,
    ) -> Requirement:
        if fields.public:
            return Public()
        self._check_variables(fields.audience or (), pattern, place / "audience")
        return TokenRequirement(
            issuers=inherited.issuers,
            audiences=tuple(fields.audience or inherited.audiences),
            scopes=tuple(fields.scopes),
            any_scope=tuple(fields.any_scope or ()),
            conditions=tuple(self._conditions(fields, pattern, place)),
            optional=fields.optional,
            audit=(fields.mode or inherited.mode) == "audit",
        )

    def _conditions(
        self, fields: RequirementFields, pattern: PathPattern, place: _Place
    ) -> Iterable[Condition]:
        for claim, value in fields.claims.items():
            templates = [value for value in value.any_of or () if isinstance(value, Template)]
            self._check_variables(templates, pattern, place / "claims" / claim.text)
            yield ClaimCondition(claim, None if value.any_of is None else tuple(value.any_of))
        if fields.when is not None:
            self._check_variables((fields.when,), pattern, place / "when")
            yield fields.when

    def _check_variables(
        self, texts: Iterable[Template | WhenExpression], pattern: PathPattern, place: _Place
    ) -> None:
        for text in texts:
            for name in sorted(text.variables - pattern.variables):
                message = f'the path {pattern.text} has no {{{name}}}: "{text.text}"'
                self._problem(place, message)

    def _add_route(self, route: Route, hosts: list[HostPattern], place: _Place) -> None:
        for host in dict.fromkeys(hosts):
            index = self.hosts.setdefault(host, RouteIndex())
            holder = index.add(route.pattern, route)
            if holder is not route:
                first = self.route_positions[id(holder)]
                self._problem(
                    place,
                    f"{route.pattern.text} is the same path as {holder.pattern.text} at {first},"
                    f" for the host {host}: put the methods into one route",
                )
        self.route_positions[id(route)] = place.position

    # Forward

    def _forward(self, places: list[tuple[_Place, PolicyFields]]) -> ForwardRules:
        given = [
            (place / "forward", fields.forward)
            for place, fields in places
            if fields.forward is not None
        ]
        for place, _fields in given[1:]:
            self._problem(place, f"forward is written already, at {given[0][0].position}")
        if not given:
            return ForwardRules()
        place, fields = given[0]
        rules = _forward_rules(fields)
        names = [name for name, _claim in rules.headers]
        spellings = {name.replace("_", "-"): name for name in names}
        if rules.claims_header and rules.claims_header.replace("_", "-") in spellings:
            self._problem(
                place / "claims_header", f"{rules.claims_header} is among headers already"
            )
        for name in sorted(set(names) - set(spellings.values())):
            message = f"{name} is here twice: - and _ count as the same"
            self._problem(place / "headers" / name, message)
        return rules


def _forward_rules(fields: ForwardFields) -> ForwardRules:
    default = ForwardRules()
    return ForwardRules(
        headers=default.headers if fields.headers is None else tuple(fields.headers.items()),
        keep_authorization=fields.authorization == "keep",
        strip=default.strip if fields.strip is None else tuple(fields.strip),
        claims_header=fields.claims_header,
    )


def _is_audited(route: Route) -> bool:
    requirements = (*route.methods.values(), route.other_methods)
    tokens = (each for each in requirements if isinstance(each, TokenRequirement))
    return route.audit and all(each.audit for each in tokens)


def _needs_token(route: RouteFields) -> bool:
    return any(not requirement.public for requirement in route.methods.values())


def _given(value: list[str] | None, default: tuple[str, ...]) -> Iterable[str]:
    return default if value is None else value


def _claims(
    value: list[ClaimReference] | None, default: tuple[str, ...]
) -> tuple[ClaimReference, ...]:
    return tuple(map(ClaimReference.parse, default)) if value is None else tuple(value)


def _hostname(url: str) -> str | None:
    parts = split_url(url)
    return parts.hostname if parts is not None else None
