"""Path variables are put into strings of the policy, once."""

from __future__ import annotations

import pytest

from authz_service.core.templates import Template


@pytest.mark.parametrize(
    ("text", "variables", "expanded"),
    [
        ("", {}, ""),
        ("https://shopping.api", {}, "https://shopping.api"),
        ("{id}", {"id": "1"}, "1"),
        ("urn:logto:organization:{org_id}", {"org_id": "o"}, "urn:logto:organization:o"),
        ("{a}{b}-{a}", {"a": "1", "b": "2"}, "12-1"),
        ("{a}", {"a": ""}, ""),
        ("{_A9}", {"_A9": "1", "unused": "2"}, "1"),
    ],
)
def test_variables_take_their_place(text: str, variables: dict[str, str], expanded: str) -> None:
    template = Template.parse(text)
    assert template.expand(variables) == expanded
    assert template.variables <= variables.keys()


@pytest.mark.parametrize("value", ["{b}", "{a}", "\\g<0>", "\\1", "\\", "{", "}", "{a}{b}", "%s"])
def test_a_value_that_looks_like_a_template_is_not_expanded_again(value: str) -> None:
    template = Template.parse("<{a}|{b}>")
    assert template.expand({"a": value, "b": "secret"}) == f"<{value}|secret>"
    assert template.expand({"a": "secret", "b": value}) == f"<secret|{value}>"


def test_the_names_of_the_variables_are_known() -> None:
    assert Template.parse("{a}{b}{a}").variables == {"a", "b"}
    assert Template.parse("none").variables == frozenset()


@pytest.mark.parametrize(
    "text", ["{", "}", "{}", "{a", "a}", "{{a}}", "{a}}", "{1}", "{a-b}", "{a b}", "{ä}", "{a{b}}"]
)
def test_a_brace_that_belongs_to_no_variable_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a brace here must be part of a path variable"):
        Template.parse(text)
