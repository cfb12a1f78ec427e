"""What each step found that passed. Only asked for a step that did."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeVar

from authz_service.core.decision import Allow, Preflight
from authz_service.core.hosts import ANY_HOST
from authz_service.explain.judged import KeyOrigin
from authz_service.explain.words import requirement_in_words
from authz_service.policy.why.of_token import needed_claims
from authz_service.policy.why.wording import cut, listed, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.explain.judged import Judged, KeysUsed

T = TypeVar("T")


def keys_in_words(keys: KeysUsed) -> str:
    """Which keys, and where they came from, or were to come from."""
    count = 0 if keys.key_set is None else len(keys.key_set.keys)
    found = f"{count} key{'' if count == 1 else 's'} of {keys.issuer}"
    match keys.origin:
        case KeyOrigin.LIVE if keys.key_set is None:
            return f"no keys of {keys.issuer}: there were none at {cut(keys.where)}"
        case KeyOrigin.LIVE:
            return f"{found}, fetched just now from {cut(keys.where)}"
        case KeyOrigin.FILE:
            return f"{found}, from the file {cut(keys.where)}"
        case KeyOrigin.POLICY:
            return f"{found}, from the policy's jwks_file"
        case KeyOrigin.THROWAWAY:
            return f"a throwaway key in the place of those of {keys.issuer}"


def _established(value: T | None) -> T:
    """*value*, which the step has established that is asked about."""
    if value is None:
        raise AssertionError
    return value


def _path(judged: Judged) -> str:
    path, question_mark, _query = judged.request.target.partition("?")
    found = cut(path)
    segments = _established(judged.trail.path).segments
    if "%" in path or ";" in path:
        found += f", read as {listed(segments, nothing='/')}"
    return f"{found} (the query is not looked at)" if question_mark else found


def _host(judged: Judged) -> str:
    return cut(_established(judged.trail.host).name)


def _route(judged: Judged) -> str:
    match = _established(judged.trail.match)
    chosen = f"{match.route.pattern.text} of {match.route.resource}"
    variables = [f"{name} is {shown(value)}" for name, value in match.variables.items()]
    host = judged.host_pattern
    hosts = "every host (*)" if host == ANY_HOST else f"the host {host}"
    return "; ".join([f"{chosen}, for {hosts}", *variables])


def _method(judged: Judged) -> str:
    method, route = judged.request.method, _established(judged.trail.match).route
    if isinstance(judged.trail.requirement, Preflight):
        return f"{cut(method)} as a CORS preflight"
    if method in route.methods:
        return f"the route names {cut(method)}"
    if method == "HEAD" and "GET" in route.methods:
        return "HEAD is judged as GET"
    return f'{cut(method)} is one of "*", every method that the route does not name'


def _requirement(judged: Judged) -> str:
    requirement, match = judged.trail.requirement, _established(judged.trail.match)
    if requirement is None:
        raise AssertionError
    return requirement_in_words(requirement, match.variables)


def _token(judged: Judged) -> str:
    if judged.trail.token is None:
        return "none was sent, and it is optional"
    return "one bearer token in Authorization"


def _form(judged: Judged) -> str:
    algorithm = _established(judged.trail.jws).header.alg
    return f"a signed JWT (compact JWS, {shown(algorithm)})"


def _issuer(judged: Judged) -> str:
    jws, issuer = _established(judged.trail.jws), _established(judged.trail.issuer)
    return f"iss is {shown(jws.unverified_payload.get('iss'))}, which is {issuer.name}"


def _header(judged: Judged) -> str:
    header, issuer = _established(judged.trail.jws).header, _established(judged.trail.issuer)
    typ = "no typ" if header.typ is None else f"typ {shown(header.typ)}"
    return f"alg {shown(header.alg)} and {typ}, as tokens of {issuer.name} may have"


def _key(judged: Judged) -> str:
    keys, key = _established(judged.keys), _established(judged.trail.key)
    kid = "the only one that fits" if key.kid is None else f"kid {shown(key.kid)}"
    return f"{kid}, of {keys_in_words(keys)}"


def _signature(judged: Judged) -> str:
    alg = _established(judged.trail.jws).header.alg
    return f"made with that key ({shown(alg)}): what the token says is its issuer's word"


def _claims(judged: Judged) -> str:
    return f"{needed_claims(_established(judged.trail.issuer))} are there, each in its type"


def _upstream(judged: Judged) -> str:
    allow = judged.decision
    headers = _established(allow.headers if isinstance(allow, Allow) else None)
    return f"{len(headers.overwrite)} headers set, {len(headers.remove)} names removed"


FINDINGS: Final[Mapping[int, Callable[[Judged], str]]] = MappingProxyType({
    1: _path, 2: _host, 3: _route, 4: _method, 5: _requirement, 6: _token, 7: _form, 8: _issuer,
    9: _header, 10: _key, 11: _signature, 12: _claims, 14: _upstream,
})  # fmt: skip
