"""A policy that went to another process is the one that was sent: value by value, and in effect."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner

from authz_service.cli import test as test_command
from authz_service.cli.main import main
from authz_service.core.conditions import RequestAttributes
from authz_service.core.policy import Policy, TokenRequirement
from authz_service.core.request import Host, HttpRequest, RequestPath
from authz_service.core.routes import MAX_SEGMENTS, Literal, RouteIndex
from authz_service.policy import load_policy
from authz_service.policy.difference import difference
from authz_service.policy.files import TEST_ENDING
from authz_service.policy.parcel import pack, unpack
from tests.policy.folder import KEY_SET, policy_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_service.core.policy import Route
    from tests.policy.folder import Folder

ROOT: Final = Path(__file__).parents[2]
ENVIRONMENT: Final = {"DEMO_ISSUER": "http://127.0.0.1:3001/oidc"}
_PAGES: Final = ("README.md", "docs/policy.md", "docs/presets.md")
RECIPES: Final = [
    path
    for path in sorted((ROOT / "docs/recipes").glob("*.yaml"))
    if not path.stem.endswith(TEST_ENDING)
]
FILES: Final = [
    *RECIPES,
    ROOT / "authz_service/demo/policy.yaml",
    ROOT / "deploy/k8s/central/base/policy",
]
EVERYTHING: Final = policy_text(
    issuer="jwks_file: jwks.json",
    path="/orders/{id}/**",
    methods=(
        "{GET: {scopes: [a], any_scope: [b, c], audience: 'urn:{id}', optional: true,"
        " claims: {org: '{id}', /a/b: {any_of: [1, true, x]}, c: {present: true}},"
        " when: \"claims.sub == path.id && request.headers['x'] == 'y'\"}, '*': public}"
    ),
    top="forward: {headers: {x-user: sub}, strip: [x-user-*, y], claims_header: x-claims}",
)


def plain(value: Any) -> Any:  # noqa: ANN401 - of any class that a policy is made of
    """*value*, and all that it is made of, as plain values, whatever its class calls equal."""
    if isinstance(value, RouteIndex):
        return [(plain(route), plain(value.find(_sample(route)))) for route in value]
    if is_dataclass(value):
        names = [field.name for field in fields(value) if field.name != "_expression"]
        return (type(value), *((name, plain(getattr(value, name))) for name in names))
    if isinstance(value, dict | MappingProxyType):
        return (type(value), [(plain(key), plain(each)) for key, each in value.items()])
    if isinstance(value, tuple | list):
        return (type(value), [plain(each) for each in value])
    return (type(value), value)


def _sample(route: Route) -> list[str]:
    """The segments of a path that *route* matches."""
    return [
        segment.text if isinstance(segment, Literal) else "x" for segment in route.pattern.segments
    ]


def assert_the_same(before: Policy, after: Policy) -> None:
    # A key has the library's own object in it, which compares by its public numbers.
    assert plain(after) == plain(before)
    assert not difference(before, after)
    assert after.resources == before.resources


def requirements(policy: Policy) -> Iterable[TokenRequirement]:
    for index in policy.hosts.values.values():
        for route in index:
            for each in (*route.methods.values(), route.other_methods):
                if isinstance(each, TokenRequirement):
                    yield each


def _examples() -> list[str]:
    texts = [(ROOT / page).read_text("utf-8") for page in _PAGES]
    blocks = [
        block for text in texts for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    ]
    return [block for block in blocks if block.startswith("version: 1") and "resources:" in block]


@pytest.mark.parametrize("example", _examples())
def test_each_example_of_the_pages_arrives_as_it_was_sent(example: str, folder: Folder) -> None:
    folder.write(KEY_SET, "jwks.json")
    policy = folder.load(example)
    assert_the_same(policy, unpack(pack(policy)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_policy_of_this_repository_arrives_as_it_was_sent(path: Path) -> None:
    policy = load_policy([path], environment=ENVIRONMENT)
    assert policy.hosts.values
    assert_the_same(policy, unpack(pack(policy)))


def test_the_empty_policy_and_one_with_everything_arrive_as_they_were_sent(folder: Folder) -> None:
    folder.write(KEY_SET, "jwks.json")
    for policy in (Policy(), folder.load(EVERYTHING)):
        assert_the_same(policy, unpack(pack(policy)))


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_tests_of_a_recipe_pass_with_what_arrived(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*arguments: Any, **named: Any) -> Policy:  # noqa: ANN401 - as the original
        return unpack(pack(load_policy(*arguments, **named)))

    monkeypatch.setattr(test_command, "load_policy", load)
    tests = recipe.with_stem(f"{recipe.stem}{TEST_ENDING}")
    result = CliRunner().invoke(main, ["test", "--min-coverage", "100", str(tests)])
    assert result.exit_code == 0, result.output


def test_an_issuer_is_one_object_wherever_it_is_named(folder: Folder) -> None:
    """A token that verified is known by the issuer, the key set and the key, as objects."""
    folder.write(KEY_SET, "jwks.json")
    issuer = "jwks_file: jwks.json"
    policy = unpack(pack(folder.load(policy_text(issuer=issuer, methods="{GET: [], PUT: []}"))))
    (issuer_of_policy,) = policy.issuers
    assert policy.used_issuers[0] is issuer_of_policy
    asked = list(requirements(policy))
    assert len(asked) == 2
    for requirement in asked:
        assert set(map(id, requirement.issuers.values())) == {id(issuer_of_policy)}
    assert asked[0].issuers is asked[1].issuers


def test_a_condition_is_compiled_anew_and_says_the_same(folder: Folder) -> None:
    policy = folder.load(policy_text(methods="{GET: {when: claims.sub == path.id}}"))
    (sent,) = requirements(policy)
    (arrived,) = requirements(unpack(pack(policy)))
    request = HttpRequest("GET", "shop.example", "/orders/alice")
    attributes = RequestAttributes(request, Host("shop.example"), {"id": "alice"})
    for requirement in (sent, arrived):
        (condition,) = requirement.conditions
        assert condition.holds({"sub": "alice"}, attributes)
        assert not condition.holds({"sub": "bob"}, attributes)


def test_the_longest_path_is_not_too_deep(folder: Folder) -> None:
    path = "/a" * MAX_SEGMENTS
    policy = folder.load(policy_text(path=path))
    arrived = unpack(pack(policy))
    found = arrived.match(Host("shop.example"), RequestPath.parse(path))
    assert found.route.pattern.text == path


def test_what_differs_is_still_different(folder: Folder) -> None:
    policy = folder.load(policy_text())
    other = replace(policy, audit=True)
    assert difference(policy, unpack(pack(other))).settings == ("audit",)
