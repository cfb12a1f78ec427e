"""What is told of two policies: by name, and nothing of what is the same."""

from __future__ import annotations

import pytest

from authz_service.policy.difference import (
    MAX_NAMES,
    Changes,
    PolicyDifference,
    difference,
    shortened,
)
from tests.policy.folder import KEY_SET, Folder, policy_text

BASE = """\
version: 1
issuers:
  - {name: logto, issuer: https://auth.example.com/oidc}
  - {name: partner, issuer: https://partner.example}
resources:
  - name: shopping
    audience: https://shopping.api
    issuers: [logto]
    hosts: [shop.example, "*.shop.example"]
    routes:
      - {path: /healthz, methods: {GET: public}}
      - {path: "/products/{id}", methods: {GET: [read:products], "*": [admin]}}
      - path: /files/**
        methods: {GET: {scopes: [files], claims: {level: 1}}}
"""
SAME = PolicyDifference()


def _difference(folder: Folder, old: str, new: str) -> PolicyDifference:
    return difference(folder.load(old), folder.load(new))


def _edited(old: str, new: str) -> str:
    assert old in BASE
    return BASE.replace(old, new)


def test_a_policy_does_not_differ_from_itself(folder: Folder) -> None:
    found = _difference(folder, BASE, BASE)
    assert found == SAME
    assert not found


def test_comments_order_and_spelling_are_no_difference(folder: Folder) -> None:
    other = """\
# a comment
resources:
  - routes:
      - {path: "/files/**", methods: {GET: {claims: {level: 1}, scopes: ["files"]}}}
      - path: /products/{id}
        methods: {"*": [admin], GET: {scopes: [read:products]}}
      - {path: /healthz, methods: {GET: public}}
    hosts: ["*.shop.example", shop.example]
    issuers: [logto]
    audience: [https://shopping.api]
    name: shopping
issuers:
  - {name: partner, issuer: [https://partner.example]}
  - {issuer: https://auth.example.com/oidc, name: logto}
version: 1
"""
    assert _difference(folder, BASE, other) == SAME


@pytest.mark.parametrize(
    ("old", "new", "routes"),
    [
        ("GET: public", "GET: public, HEAD: []", Changes(added=("shopping HEAD /healthz",))),
        (', "*": [admin]', "", Changes(removed=("shopping * /products/{id}",))),
        ("[admin]", "[root]", Changes(changed=("shopping * /products/{id}",))),
        ("GET: public", "GET: []", Changes(changed=("shopping GET /healthz",))),
        ("level: 1", "level: 2", Changes(changed=("shopping GET /files/**",))),
        ("level: 1", "level: true", Changes(changed=("shopping GET /files/**",))),
        (
            "/healthz",
            "/livez",
            Changes(added=("shopping GET /livez",), removed=("shopping GET /healthz",)),
        ),
    ],
)
def test_a_route_is_told_by_its_resource_method_and_path(
    folder: Folder, old: str, new: str, routes: Changes
) -> None:
    assert _difference(folder, BASE, _edited(old, new)) == PolicyDifference(routes=routes)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('hosts: [shop.example, "*.shop.example"]', "hosts: [shop.example]"),
        ("issuers: [logto]", "issuers: [logto, partner]"),
        ("audience: https://shopping.api", "audience: https://shopping.example"),
        ("issuers: [logto]", "issuers: [logto]\n    encoded_slash: keep"),
    ],
    ids=["hosts", "issuers", "audience", "encoded_slash"],
)
def test_what_a_resource_changes_is_told_of_its_routes(folder: Folder, old: str, new: str) -> None:
    routes = _difference(folder, BASE, _edited(old, new)).routes
    assert "shopping GET /products/{id}" in routes.changed
    assert (routes.added, routes.removed) == ((), ())


@pytest.mark.parametrize("change", ["leeway: 1m", "required: false"])
def test_an_issuer_that_changes_is_told_once_and_not_with_every_route(
    folder: Folder, change: str
) -> None:
    new = _edited("oidc}", f"oidc, {change}}}")
    assert _difference(folder, BASE, new) == PolicyDifference(issuers=Changes(changed=("logto",)))


def test_issuers_that_come_and_go_are_told(folder: Folder) -> None:
    new = _edited("name: partner, issuer: https://partner", "name: friend, issuer: https://friend")
    issuers = Changes(added=("friend",), removed=("partner",))
    assert _difference(folder, BASE, new) == PolicyDifference(issuers=issuers)


def test_a_key_file_with_other_keys_changes_its_issuer(folder: Folder) -> None:
    policy = policy_text(issuer="jwks_file: keys.json")
    folder.write(KEY_SET, "keys.json")
    old = folder.load(policy)
    folder.write(KEY_SET.replace('"a3"', '"a4"'), "keys.json")
    changed = difference(old, folder.load(policy)).issuers.changed
    assert changed == ("auth.example.com",)


def test_forward_is_told_as_a_setting(folder: Folder) -> None:
    new = f"{BASE}forward: {{authorization: remove}}\n"
    assert _difference(folder, BASE, new) == PolicyDifference(settings=("forward",))


def test_what_is_told_is_bounded_and_counted(folder: Folder) -> None:
    routes = "".join(f"      - {{path: /r{n:02}, methods: {{GET: public}}}}\n" for n in range(25))
    told = _difference(folder, BASE, BASE + routes).as_fields()
    names = told.pop("routes_added_names")
    assert isinstance(names, list)
    assert names[0] == "shopping GET /r00"
    assert names[MAX_NAMES:] == ["and 5 more"]
    assert told == {
        "routes_added": 25,
        "routes_removed": 0,
        "routes_changed": 0,
        "issuers_added": 0,
        "issuers_removed": 0,
        "issuers_changed": 0,
        "settings_changed": [],
    }


@pytest.mark.parametrize(("length", "shown"), [(300, 300), (301, 300)])
def test_a_long_name_is_cut(length: int, shown: int) -> None:
    (name,) = shortened(["x" * length], most=1)
    assert len(name) == shown
    assert name.endswith("...") == (length > shown)
