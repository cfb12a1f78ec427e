"""`optional`, `mode` and `cors_preflight`: where each may stand, and which of several counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz_service.core.authorize import authorize
from authz_service.core.decision import Deny, DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.request import HttpRequest
from tests.policy.folder import Folder, match, policy_text, token_requirement

if TYPE_CHECKING:
    from authz_service.core.policy import Policy

AUDIT = "mode: audit"
ENFORCE = "mode: enforce"


def audits_method(policy: Policy) -> bool:
    return token_requirement(policy).audit


def test_a_token_is_needed_and_refusals_are_enforced_unless_the_policy_says_otherwise(
    folder: Folder,
) -> None:
    policy = folder.load(policy_text())
    found = match(policy, "/orders/7").route
    assert not token_requirement(policy).optional
    assert (audits_method(policy), found.audit, found.allow_preflight, policy.audit) == (
        False,
        False,
        False,
        False,
    )


@pytest.mark.parametrize(("value", "optional"), [("true", True), ("false", False)])
def test_a_token_may_be_optional(folder: Folder, value: str, *, optional: bool) -> None:
    methods = f"{{GET: {{optional: {value}, scopes: [read:orders]}}}}"
    requirement = token_requirement(folder.load(policy_text(methods=methods)))
    assert requirement.optional is optional
    assert requirement.scopes == ("read:orders",)


@pytest.mark.parametrize(("value", "allowed"), [("allow", True), ("refuse", False)])
def test_preflights_may_pass(folder: Folder, value: str, *, allowed: bool) -> None:
    policy = folder.load(policy_text(resource=f"cors_preflight: {value}"))
    assert match(policy, "/orders/7").route.allow_preflight is allowed


@pytest.mark.parametrize(
    ("top", "resource", "route", "method", "route_audits", "method_audits"),
    [
        ("", "", "", AUDIT, False, True),
        ("", "", AUDIT, "", True, True),
        ("", AUDIT, "", "", True, True),
        (AUDIT, "", "", "", True, True),
        (AUDIT, ENFORCE, "", "", False, False),
        (AUDIT, "", ENFORCE, "", False, False),
        (AUDIT, "", "", ENFORCE, True, False),
        (ENFORCE, AUDIT, ENFORCE, AUDIT, False, True),
        ("", AUDIT, "", ENFORCE, True, False),
    ],
)
def test_the_nearest_mode_counts(  # noqa: PLR0917 - one for each place
    folder: Folder,
    top: str,
    resource: str,
    route: str,
    method: str,
    route_audits: bool,  # noqa: FBT001 - a column of the table
    method_audits: bool,  # noqa: FBT001 - the same
) -> None:
    methods = f"{{GET: {{scopes: [read:orders], {method}}}}}"
    policy = folder.load(policy_text(top=top, resource=resource, route=route, methods=methods))
    assert match(policy, "/orders/7").route.audit is route_audits
    assert audits_method(policy) is method_audits
    assert policy.audit is (top == AUDIT and route_audits and method_audits)


ISSUERS = "version: 1\nissuers: [{issuer: https://auth.example.com/oidc}]\n"
RESOURCE = """\
version: 1
mode: %s
resources: [{name: %s, audience: https://a, routes: [{path: /%s, methods: {GET: []}}]}]
"""


@pytest.mark.parametrize(
    ("modes", "whole"),
    [
        (("audit", "audit"), True),
        (("audit", "enforce"), False),
        (("enforce", "audit"), False),
        (("enforce", "enforce"), False),
    ],
)
def test_what_no_route_names_is_audited_where_every_file_is(
    folder: Folder, modes: tuple[str, str], *, whole: bool
) -> None:
    folder.write(f"{ISSUERS}mode: audit\n", "issuers.yaml")
    for name, mode in zip(("a", "b"), modes, strict=True):
        folder.write(RESOURCE % (mode, name, name), f"{name}.yaml")
    policy = folder.load_all()
    assert policy.audit is whole
    audits = {name: match(policy, f"/{name}").route.audit for name in ("a", "b")}
    assert audits == {name: mode == "audit" for name, mode in zip(audits, modes, strict=True)}


def test_a_file_without_resources_that_is_enforced_keeps_what_no_route_names_closed(
    folder: Folder,
) -> None:
    folder.write(ISSUERS, "issuers.yaml")
    folder.write(RESOURCE % ("audit", "a", "a"), "a.yaml")
    policy = folder.load_all()
    assert not policy.audit
    assert match(policy, "/a").route.audit


@pytest.mark.parametrize("target", ["//orders/7", "/orders%2F7", "/x/../orders/7", "/nowhere"])
def test_what_may_be_meant_for_an_enforced_resource_is_refused_in_a_file_that_is_audited(
    folder: Folder, target: str
) -> None:
    policy = folder.load(policy_text(top=AUDIT, resource=ENFORCE))
    request = HttpRequest("GET", "any.example", target)
    assert isinstance(authorize(request, policy=policy, keys={}, now=0), Deny)


def test_a_policy_without_resources_follows_what_its_files_say(folder: Folder) -> None:
    assert folder.load("version: 1\nmode: audit").audit
    assert not folder.load("version: 1").audit


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        (policy_text(top="mode: »off"), "mode: write enforce or audit"),
        (policy_text(top="mode:»"), "mode: write enforce or audit"),
        (policy_text(resource="mode: »off"), "mode: write enforce or audit"),
        (policy_text(resource="mode:»"), "mode: left empty"),
        (policy_text(route="mode: »true"), "mode: write enforce or audit"),
        (policy_text(methods="{GET: {mode: »[audit]}}"), "mode: write enforce or audit"),
        (policy_text(methods="{GET: {optional: »yes}}"), "optional: write true or false"),
        (policy_text(methods="{GET: {optional: »null}}"), "optional: write true or false"),
        (policy_text(resource="cors_preflight: »true"), "cors_preflight: write refuse or allow"),
        (policy_text(methods="{GET: »{public: true, optional: true}}"), "write public, a list"),
    ],
)
def test_another_value_is_refused_with_those_there_are(
    folder: Folder, marked: str, message: str
) -> None:
    folder.refuses(marked, message)


# Several files of several teams


def test_files_of_tests_in_a_directory_are_no_policies(folder: Folder) -> None:
    folder.write(policy_text(), "shop.yaml")
    for name in ("shop_test.yaml", "shop_test.yml", "shop_test.json", "_test.yaml"):
        folder.write("tests: []", name)
    assert match(folder.load_all(), "/orders/7").route.resource == "https://shop.example"


def test_a_file_of_tests_that_is_named_is_read_as_a_policy(folder: Folder) -> None:
    missing, unknown = folder.problems("tests: []", "shop_test.yaml")
    assert missing == 'shop_test.yaml:1:1: the field "version" is missing'
    assert unknown.startswith('shop_test.yaml:1:1: unknown field "tests": write one of')


def test_an_overlap_between_two_files_names_both_places(folder: Folder) -> None:
    folder.write(ISSUERS, "issuers.yaml")
    folder.write(RESOURCE % ("enforce", "a", "same"), "a.yaml")
    folder.write(RESOURCE % ("enforce", "b", "same"), "b.yaml")
    (problem,) = folder.problems_at()
    assert problem.startswith("b.yaml:3:60: /same is the same path as /same at a.yaml:3:60")


def test_two_resources_of_two_files_may_share_a_host(folder: Folder) -> None:
    folder.write(ISSUERS, "issuers.yaml")
    for name in ("a", "b"):
        text = RESOURCE % ("enforce", name, name)
        folder.write(text.replace("audience:", "hosts: [shop.example], audience:"), f"{name}.yaml")
    policy = folder.load_all()
    for name in ("a", "b"):
        assert match(policy, f"/{name}", "shop.example").route.resource == name
        with pytest.raises(AccessDenied) as denied:
            match(policy, f"/{name}", "other.example")
        assert denied.value.reason is DenyReason.NO_ROUTE
