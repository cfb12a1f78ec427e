"""What the documents say is so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.answers import ANSWERS
from authz_service.core.forward import ForwardRules
from authz_service.core.policy import Public
from authz_service.core.request import Host, RequestPath
from authz_service.policy import PolicyError, load_policy
from authz_service.policy.difference import difference
from authz_service.policy.duration import parse_duration
from authz_service.policy.presets import PRESETS
from authz_service.policy.schema import (
    ForwardFields,
    IssuerFields,
    PolicyFields,
    RefreshFields,
    RequirementFields,
    ResourceFields,
    RouteFields,
)
from authz_service.policy.when import WhenExpression

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
REFERENCE = (ROOT / "docs" / "policy.md").read_text("utf-8")
RELOAD = (ROOT / "docs" / "reload.md").read_text("utf-8")
DECISION = (ROOT / "docs" / "decision.md").read_text("utf-8")
PRESET_PAGE = (ROOT / "docs" / "presets.md").read_text("utf-8")
POLICY = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)[0]


def test_the_policy_of_the_readme_loads_and_says_what_its_comments_say(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY, "utf-8")
    policy = load_policy([file], environment={})
    host = Host("shop.example.com")
    health = policy.match(host, RequestPath.parse("/healthz")).route
    assert isinstance(health.requirement_for("GET"), Public)
    me = policy.match(host, RequestPath.parse("/me/cart/1")).route
    assert not isinstance(me.requirement_for("PURGE"), Public)


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL))
def test_the_examples_of_the_reference_load(example: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(example, "utf-8")
    assert load_policy([file], environment={}).hosts.values


def test_the_reference_has_every_field_and_the_true_defaults() -> None:
    example: dict[str, Any] = yaml.safe_load(
        re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)[0]
    )
    issuer, resource = example["issuers"][0], example["resources"][0]
    methods = resource["routes"][0]["methods"]
    for fields, model, hidden in (
        (example, PolicyFields, set()),
        (issuer, IssuerFields, {"jwks_file"}),  # not beside jwks_uri; in a comment
        (issuer["refresh"], RefreshFields, set()),
        (resource, ResourceFields, set()),
        (resource["routes"][0], RouteFields, set()),
        (methods["DELETE"], RequirementFields, {"public"}),
        (example["forward"], ForwardFields, set()),
    ):
        later = {
            name for name, field in model.model_fields.items() if field.annotation is type(None)
        }
        assert set(fields) == set(model.model_fields) - hidden - later
    preset = PRESETS["rfc9068"]
    assert tuple(issuer["algorithms"]) == preset.algorithms
    assert tuple(issuer["token_types"]) == preset.token_types
    assert tuple(issuer["required_claims"]) == preset.required_claims
    assert parse_duration(issuer["leeway"]) == IssuerFields.model_fields["leeway"].default
    assert {
        name: parse_duration(text) for name, text in issuer["refresh"].items()
    } == RefreshFields().model_dump()
    forward = ForwardRules()
    assert example["forward"]["headers"] == {name: claim.text for name, claim in forward.headers}
    assert tuple(example["forward"]["strip"]) == forward.strip


SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PRESET_PAGE, re.DOTALL | re.MULTILINE))


def test_every_preset_has_a_section_and_there_are_no_others() -> None:
    assert list(SECTIONS) == list(PRESETS)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_example_of_a_preset_loads_and_is_of_that_preset(preset: str, tmp_path: Path) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", SECTIONS[preset], re.DOTALL)
    file = tmp_path / "policy.yaml"
    file.write_text(example, "utf-8")
    [issuer] = load_policy([file], environment={}).used_issuers
    assert yaml.safe_load(example)["issuers"][0].get("preset", "rfc9068") == preset
    assert issuer.algorithms == set(PRESETS[preset].algorithms)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_table_of_presets_says_what_they_set(preset: str) -> None:
    chosen = PRESETS[preset]
    algorithms = {tuple(ALGORITHMS): "all", tuple(ALGORITHMS)[:-1]: "all but Ed25519"}
    scopes = [", ".join(chosen.scope_claims) or "none", *chosen.fallback_scope_claims]
    cells = [
        f"[`{preset}`](#{preset})",
        algorithms.get(chosen.algorithms) or ", ".join(chosen.algorithms),
        ", ".join(chosen.token_types),
        ", ".join(chosen.required_claims),
        ", else ".join(scopes),
        ", ".join(chosen.client_id_claims) or "none",
    ]
    assert f"\n| {' | '.join(cells)} |\n" in PRESET_PAGE


@pytest.mark.parametrize("preset", PRESETS)
def test_the_section_of_a_preset_names_every_mark_of_its_access_tokens(preset: str) -> None:
    marks = PRESETS[preset].marks
    names = {*marks.never, *(name for group in marks.one_of for name in group)}
    for name, value in marks.values:
        names |= {name, value}
    assert [name for name in names if f"`{name}`" not in SECTIONS[preset]] == []
    assert "**ID tokens**" in SECTIONS[preset]


@pytest.mark.parametrize("line", re.findall(r"`(scope_claim: [^`]+)`", PRESET_PAGE))
def test_the_lines_that_choose_other_scopes_can_be_added_to_an_issuer(
    line: str, tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"version: 1\nissuers:\n  - issuer: https://as.example\n    {line}\n", "utf-8")
    [issuer] = load_policy([file], environment={}).issuers
    assert [claim.text for claim in issuer.scope_claims] != ["scope"]


def test_the_mistakes_of_the_readme_are_reported_as_it_shows(tmp_path: Path) -> None:
    shown = re.findall(r"^policy\.yaml:.*$", README, re.MULTILINE)
    mistaken = (
        POLICY.replace("preset:", "presett:")
        .replace("path: /products\n", "path: /products/\n")
        .replace("/products/{product_id}\n", "/products/{product_id\n")
    )
    file = tmp_path / "policy.yaml"
    file.write_text(mistaken, "utf-8")
    with pytest.raises(PolicyError) as raised:
        load_policy([file], environment={})
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in raised.value.problems] == shown


def test_the_first_lines_of_the_readme_are_the_two_commands() -> None:
    code = README.split("```")[1].strip().splitlines()
    assert [line.split("#")[0].strip() for line in code] == ["make demo", "make test"]


def test_every_reason_is_in_the_table_of_reasons_with_its_status() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", DECISION, re.MULTILINE)
    assert rows == [(reason.value, str(answer.http_status)) for reason, answer in ANSWERS.items()]


def test_every_reason_but_our_own_fault_belongs_to_a_step() -> None:
    steps = DECISION.partition("## Paths")[0]
    missing = {reason.value for reason in ANSWERS if f"`{reason.value}`" not in steps}
    assert missing == {"internal_error"}


@pytest.mark.parametrize("document", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))])
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text("utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("expression", re.findall(r"^when: (.*)$", REFERENCE, re.MULTILINE))
def test_the_conditions_of_the_reference_compile(expression: str) -> None:
    assert WhenExpression.parse(expression).text == expression


def test_the_event_of_a_reload_has_the_fields_that_are_shown(tmp_path: Path) -> None:
    shown = json.loads(re.findall(r"```json\n(.*?)```", RELOAD, re.DOTALL)[0])
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    route = "      - path: {}\n        methods: {}\n"
    start = POLICY.partition("    routes:\n")[0] + "    routes:\n"
    products = route.format("/products", "{POST: [write:products]}")
    orders = route.format("/orders", "{GET: [read:orders]}")
    old.write_text(start + products, "utf-8")
    new.write_text(start + products.replace("write:", "edit:") + orders, "utf-8")
    policies = [load_policy([file], environment={}) for file in (old, new)]
    assert shown == {"event": "policy_reloaded", **difference(*policies).as_fields()}
