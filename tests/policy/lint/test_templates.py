from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.folder import policy_text
from tests.policy.lint.expect import passes, warns

if TYPE_CHECKING:
    from tests.policy.folder import Folder

TWO = '"/{a}/x/{b}"'


# rest-in-template


@pytest.mark.parametrize(
    "lines",
    [
        {"route": 'audience: »"urn:{rest}"'},
        {"route": 'audience: [urn:x, »"urn:{rest}"]'},
        {"methods": '{GET: {audience: »"urn:{rest}"}}'},
        {"methods": '{GET: {claims: {folder: »"{rest}"}}}'},
        {"methods": '{GET: {claims: {/a/b: {any_of: [»"{rest}", x, 7]}}}}'},
    ],
)
def test_the_rest_of_a_path_in_what_a_token_must_have_is_told(
    folder: Folder, lines: dict[str, str]
) -> None:
    text = policy_text(path='"/files/{rest=**}"', **lines)
    warns(folder, "rest-in-template", text, "{rest} is the rest of the path: it may be empty")


def test_the_rest_in_a_resources_audience_is_told_where_that_stands(folder: Folder) -> None:
    text = policy_text(path='"/{rest=**}"').replace("https://shop.example", '»"urn:{rest}"')
    warns(folder, "rest-in-template", text)


@pytest.mark.parametrize(
    "lines",
    [
        {"path": '"/files/{rest}"', "route": 'audience: "urn:{rest}"'},
        {"path": '"/{org}/{rest=**}"', "route": 'audience: "urn:{org}"'},
        {"path": '"/files/{rest=**}"'},
    ],
)
def test_a_variable_of_one_segment_is_fine(folder: Folder, lines: dict[str, str]) -> None:
    passes(folder, "rest-in-template", policy_text(**lines))


def test_an_audience_that_no_token_is_asked_for_is_fine(folder: Folder) -> None:
    text = policy_text(path='"/{rest=**}"', methods="{GET: public}")
    passes(folder, "rest-in-template", text.replace("https://shop.example", '"urn:{rest}"'))


# shifting-variables


@pytest.mark.parametrize("template", ["{a}:{b}", "{a}{b}", "urn:{a}-x-{b}", "{b}:{a}", "{a}|{b}."])
@pytest.mark.parametrize(
    "lines",
    [
        {"route": 'audience: »"TEMPLATE"'},
        {"methods": '{GET: {audience: »"TEMPLATE"}}'},
        {"methods": '{GET: {claims: {org: »"TEMPLATE"}}}'},
    ],
)
def test_variables_between_which_the_border_can_move_are_told(
    folder: Folder, template: str, lines: dict[str, str]
) -> None:
    written = {name: line.replace("TEMPLATE", template) for name, line in lines.items()}
    message = "Put / between them, or ask for one claim each"
    warns(folder, "shifting-variables", policy_text(path=TWO, **written), message)


@pytest.mark.parametrize(
    "lines",
    [
        {"path": TWO, "resource": "encoded_slash: keep"},
        {"path": '"/{a}/x/{b=**}"'},
    ],
)
def test_a_slash_is_no_border_where_a_value_may_hold_one(
    folder: Folder, lines: dict[str, str]
) -> None:
    text = policy_text(route='audience: »"{a}/{b}"', **lines)
    warns(folder, "shifting-variables", text, "several values of {a} and {b}")


@pytest.mark.parametrize(
    "template", ["{a}/{b}", "{a}:/:{b}", "{a}%{b}", "{a}", "x:{a}", "{a}:{a}", "{a}\\\\{b}"]
)
def test_what_stands_between_variables_and_in_no_value_is_a_border(
    folder: Folder, template: str
) -> None:
    passes(folder, "shifting-variables", policy_text(path=TWO, route=f'audience: "{template}"'))


def test_one_claim_each_is_fine(folder: Folder) -> None:
    methods = '{GET: {claims: {tenant: "{a}", org: {any_of: ["{b}", x]}}}}'
    passes(folder, "shifting-variables", policy_text(path=TWO, methods=methods))
