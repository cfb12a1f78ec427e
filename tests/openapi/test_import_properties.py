"""Whatever a document holds, the policy made of it lets nobody in whom the document keeps out."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz_service.core.policy import Public
from authz_service.openapi.coverage import routes_without_operation, uncovered_operations
from authz_service.openapi.security import Alternative, access, both
from tests.openapi.imported import ISSUER, PARTNER, SCHEMES, api, load
from tests.support.policies import attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.policy import Requirement
    from authz_service.openapi.security import Access

thorough = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])

ISSUER_OF: Final = {"login": ISSUER, "oauth": ISSUER, "partner": PARTNER, "bearer": None}
SCOPES: Final = ("a", "b", "c")
HOSTS: Final = ("any.example", "one.example", "one.example:8443", "two.example")
METHODS: Final = ("get", "head", "post")
SEGMENTS: Final = ("a", "b", "me", "{x}", "{x-y}", "{x}.json", "a.{x}", "{x}-{y}")
FEW_SEGMENTS: Final = ("a", "{x}", "a.{x}")
SERVERS: Final = (
    "/", "/v1", "https://one.example", "https://one.example:8443", "https://two.example/v1",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """What decides of a token that is valid otherwise."""

    issuer: str
    scopes: frozenset[str]


CALLERS: Final = (
    None,
    *(
        Token(issuer, frozenset(scopes))
        for issuer in (ISSUER, PARTNER)
        for number in range(len(SCOPES) + 1)
        for scopes in itertools.combinations(SCOPES, number)
    ),
)

scope_lists = st.lists(st.sampled_from(SCOPES), max_size=2)
requirements = st.dictionaries(
    st.sampled_from([*ISSUER_OF, "key", "basic"]), scope_lists, max_size=2
)


securities = st.none() | st.lists(requirements, max_size=3)
servers = st.none() | st.lists(st.sampled_from(SERVERS), min_size=1, max_size=2)


def _fields(security: object, urls: list[str] | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if security is not None:
        fields["security"] = security
    if urls is not None:
        fields["servers"] = [{"url": url} for url in urls]
    return fields


operations = st.builds(lambda *given: {"responses": {}, **_fields(*given)}, securities, servers)
items = st.dictionaries(st.sampled_from(METHODS), operations, min_size=1)


def documents(segments: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Documents whose templates are made of *segments*."""
    templates = st.builds(
        lambda parts, end: "/" + "/".join(parts) + end,
        st.lists(st.sampled_from(segments), min_size=1, max_size=3),
        st.sampled_from(["", "", "/"]),
    )
    return st.builds(
        lambda paths, *given: {"paths": paths, **_fields(*given)},
        st.dictionaries(templates, items, min_size=1, max_size=5),
        securities,
        servers,
    )


@dataclass(frozen=True, slots=True)
class Documented:
    """An operation as the document has it, read without the code under test."""

    method: str
    template: str
    servers: tuple[str, ...]
    security: tuple[dict[str, list[str]], ...] | None

    def lets_in(self, caller: Token | None) -> bool:
        """Whether the document lets *caller* in, who has no key and no certificate."""
        if self.security is None:  # nothing is asked for anywhere: a valid token here
            return caller is not None
        return not self.security or any(_meets(caller, each) for each in self.security)

    def places(self) -> Iterator[tuple[str, str]]:
        """Hosts and paths that are this operation's, with values that no literal has."""
        for server in self.servers:
            host, base = _split(server)
            yield host, base + re.sub(r"\{[^}]*\}", "value", self.template)

    def has(self, host: str, path: str) -> bool:
        """Whether the request is one of this operation."""
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(self.template))
        return any(
            own in {"any.example", host} and re.fullmatch(re.escape(base) + pattern, path)
            for own, base in map(_split, self.servers)
        )


def _split(server: str) -> tuple[str, str]:
    if server.startswith("/"):
        return "any.example", server.rstrip("/")
    host, slash, base = server.removeprefix("https://").partition("/")
    return host, slash + base


def _meets(caller: Token | None, requirement: dict[str, list[str]]) -> bool:
    tokens = {name: scopes for name, scopes in requirement.items() if name in ISSUER_OF}
    if not tokens:
        return not requirement
    return caller is not None and all(
        ISSUER_OF[name] in {None, caller.issuer} and caller.scopes.issuperset(scopes)
        for name, scopes in tokens.items()
    )


def judging(every: list[Documented], method: str, host: str, path: str) -> list[Documented]:
    """The operations that a request is one of: HEAD is its GET's, where its path has no HEAD."""
    here = [each for each in every if each.has(host, path)]
    heads = {each.template for each in here if each.method == "HEAD"}
    return [
        each
        for each in here
        if each.method == method
        or (method == "HEAD" and each.method == "GET" and each.template not in heads)
    ]


def documented(document: dict[str, Any]) -> list[Documented]:
    every = [
        (template, method, each)
        for template, item in document["paths"].items()
        for method, each in item.items()
    ]
    stated = "security" in document or any("security" in each for _t, _m, each in every)
    silent = () if stated else None
    return [
        Documented(
            method.upper(),
            template,
            tuple(
                server["url"]
                for server in each.get("servers", document.get("servers", [{"url": "/"}]))
            ),
            tuple(found) if (found := each.get("security", document.get("security"))) is not None
            else silent,
        )
        for template, method, each in every
    ]  # fmt: skip


def is_let_in(caller: Token | None, requirement: Requirement | None) -> bool:
    """Whether the policy lets *caller* in."""
    if requirement is None or isinstance(requirement, Public):
        return requirement is not None
    if caller is None:
        return requirement.optional
    return (
        caller.issuer in requirement.issuers
        and caller.scopes.issuperset(requirement.scopes)
        and (not requirement.any_scope or not caller.scopes.isdisjoint(requirement.any_scope))
        and all(each.holds({"iss": caller.issuer}, attributes()) for each in requirement.conditions)
    )


def components() -> dict[str, Any]:
    return {"securitySchemes": SCHEMES}


@thorough
@given(documents(SEGMENTS))
def test_each_operation_needs_at_least_what_the_document_asks_for(document: dict[str, Any]) -> None:
    policy = load(api(**document, components=components()))
    for operation in documented(document):
        for host, path in operation.places():
            requirement = policy.requirement(operation.method, path, host)
            for caller in CALLERS:
                assert not is_let_in(caller, requirement) or operation.lets_in(caller)


@thorough
@given(documents(FEW_SEGMENTS))
def test_a_request_needs_what_one_of_its_operations_asks_for(document: dict[str, Any]) -> None:
    policy = load(api(**document, components=components()))
    every = documented(document)
    paths = [
        f"{base}/{'/'.join(segments)}{end}"
        for base in ("", "/v1")
        for end in ("", "/")
        for number in (1, 2)
        for segments in itertools.product(("a", "value", "a.value"), repeat=number)
    ]
    for host, path, method in itertools.product(HOSTS, paths, ("GET", "HEAD", "POST")):
        own = judging(every, method, host, path)
        requirement = policy.requirement(method, path, host) if own else None
        for caller in CALLERS:
            assert not is_let_in(caller, requirement) or any(each.lets_in(caller) for each in own)


@thorough
@given(documents(SEGMENTS))
def test_what_was_imported_covers_all_that_it_lets_anybody_do(document: dict[str, Any]) -> None:
    read = api(**document, components=components())
    policy = load(read)
    problems = {
        problem.message.partition(":")[0] for problem in uncovered_operations(read, policy.policy)
    }
    assert problems == {
        f"{operation.method} {operation.template}"
        for operation in documented(document)
        if all(
            policy.requirement(operation.method, path, host) is None
            for own, path in operation.places()
            for host in (HOSTS if own == "any.example" else (own,))
        )
    }
    assert not [
        each
        for each in routes_without_operation(read, policy.policy)
        if each.route.methods  # a denied one is there to hide a more generous one
    ]


# What one operation asks for, optional tokens included


alternatives = st.builds(
    Alternative,
    token=st.just(value=True),
    scopes=scope_lists.map(tuple),
    issuers=st.frozensets(st.sampled_from([ISSUER, PARTNER]), max_size=2),
    unchecked=st.sampled_from([(), ("key",)]),
) | st.sampled_from([Alternative(), Alternative(unchecked=("key",))])  # fmt: skip


def admits(caller: Token | None, asked: Access) -> bool:
    """What a policy that says *asked* does."""
    if asked.denied or asked.public:
        return asked.public
    if caller is None:
        return asked.optional
    return (
        caller.scopes.issuperset(asked.scopes)
        and (not asked.any_scope or not caller.scopes.isdisjoint(asked.any_scope))
        and (asked.issuers is None or caller.issuer in asked.issuers)
    )


def is_met(caller: Token | None, alternative: Alternative) -> bool:
    """What a document that says *alternative* does."""
    if not alternative.token:
        return not alternative.unchecked
    return (
        caller is not None
        and caller.scopes.issuperset(alternative.scopes)
        and alternative.issuers <= {caller.issuer}
    )


@given(st.lists(alternatives, min_size=1, max_size=4))
def test_access_is_never_wider_than_its_alternatives(given_: list[Alternative]) -> None:
    asked = access(given_)
    for caller in CALLERS:
        assert not admits(caller, asked) or any(is_met(caller, each) for each in given_)


@given(
    st.lists(alternatives, min_size=1, max_size=3), st.lists(alternatives, min_size=1, max_size=3)
)
def test_both_admits_nobody_whom_one_of_the_two_does_not(
    mine: list[Alternative], theirs: list[Alternative]
) -> None:
    one, other = access(mine), access(theirs)
    for caller in CALLERS:
        assert not admits(caller, both(one, other)) or (
            admits(caller, one) and admits(caller, other)
        )
