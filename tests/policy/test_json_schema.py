"""The schema for editors takes every good file, and knows every field as the loader does."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jsonschema
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from authz_service.core.forward import ForwardRules
from authz_service.policy import PolicyError
from authz_service.policy.document import read_document
from authz_service.policy.files import TEST_ENDING
from authz_service.policy.json_schema import policy_schema, written_fields
from authz_service.policy.json_schema.document import _schema
from authz_service.policy.json_schema.field_descriptions import FIELDS, MAPPINGS
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
from authz_service.policy.validate import validate_document
from tests.policy.folder import policy_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authz_service.policy.document import Document, Value, ValuePath
    from tests.policy.folder import Folder

ROOT: Final = Path(__file__).parents[2]
SCHEMA: Final = policy_schema()
VALIDATOR: Final = jsonschema.Draft7Validator(SCHEMA)


def is_taken_by_the_schema(value: Value) -> bool:
    return VALIDATOR.is_valid(value)


def read(value: Value, environment: Mapping[str, str] | None = None) -> Document:
    return read_document("policy.json", json.dumps(value), environment or {})


def is_taken_by_the_loader(value: Value, environment: Mapping[str, str] | None = None) -> bool:
    try:
        document = read(value, environment)
    except PolicyError:
        return False
    return not document.problems and not validate_document(document).problems


def complaints(value: Value) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(value)]


# The examples


_YAML: Final = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


def policies() -> Iterator[tuple[str, str]]:
    """Every policy of the documents and of the demo, with where it is from."""
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for number, example in enumerate(_YAML.findall(document.read_text("utf-8"))):
            if example.lstrip().startswith("version: 1\n"):
                yield f"{document.relative_to(ROOT)} {number}", example
    files = (*(ROOT / "docs").rglob("*.yaml"), *(ROOT / "authz_service").rglob("policy.yaml"))
    for file in sorted(files):
        text = file.read_text("utf-8")
        if not file.stem.endswith(TEST_ENDING) and re.search(r"^version: 1$", text, re.MULTILINE):
            yield str(file.relative_to(ROOT)), text


POLICIES: Final = dict(policies())
REFERENCE: Final = "docs/policy.md 0"


def test_there_are_the_examples_of_every_place() -> None:
    assert {"README.md 0", REFERENCE, "authz_service/demo/policy.yaml"} <= set(POLICIES)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_every_example_is_taken(name: str) -> None:
    environment = {"DEMO_ISSUER": "http://127.0.0.1:1/oidc"}
    assert complaints(read_document("policy.yaml", POLICIES[name], environment).value) == []


def test_an_example_is_taken_before_its_environment_is_known() -> None:
    text = POLICIES["authz_service/demo/policy.yaml"].replace("${", "$${")
    value = read_document("policy.yaml", text, {}).value
    assert "${DEMO_ISSUER}" in json.dumps(value)
    assert complaints(value) == []


# The schema itself


def test_the_schema_is_one_of_draft_07() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert SCHEMA["$id"] == "urn:authz-service:policy:1"


def test_every_model_of_the_file_is_in_the_schema() -> None:
    assert set(MAPPINGS) == set(_models_within(PolicyFields))
    assert set(SCHEMA["definitions"]) == {
        "issuer", "refresh", "resource", "route", "requirement", "claimValue", "forward",
    }  # fmt: skip


def _models_within(kind: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any type expression
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from _models_within(field.annotation)
    for argument in getattr(kind, "__args__", ()):
        yield from _models_within(argument)


def mapping_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of the long form of *model*."""
    if model is PolicyFields:
        return SCHEMA
    name = model.__name__.removesuffix("Fields")
    definition = SCHEMA["definitions"][name[0].lower() + name[1:]]
    long_form: dict[str, Any] = definition.get("anyOf", [definition])[-1]
    return long_form


EACH_MODEL: Final = pytest.mark.parametrize("model", [*MAPPINGS], ids=lambda model: model.__name__)


@EACH_MODEL
def test_every_field_is_there_with_a_description(model: type[BaseModel]) -> None:
    mapping = mapping_of(model)
    assert set(FIELDS[model]) == set(model.model_fields) - {"public"}
    assert set(mapping["properties"]) == set(written_fields(model))
    assert mapping["additionalProperties"] is False
    for field in mapping["properties"].values():
        assert re.fullmatch(r"[A-Z][^\n]{15,300}\.", field["description"])


@EACH_MODEL
def test_every_field_that_may_be_left_out_says_its_default(model: type[BaseModel]) -> None:
    mapping = mapping_of(model)
    for name, field in mapping["properties"].items():
        assert ("Default: " in field["description"]) != (name in mapping.get("required", ()))


def test_the_required_fields_are_those_of_the_models() -> None:
    required = {
        model: {name for name, field in model.model_fields.items() if field.is_required()}
        for model in MAPPINGS
    }
    assert {model: set(mapping_of(model).get("required", ())) for model in MAPPINGS} == required


LEAST: Final[dict[type[BaseModel], dict[str, Any]]] = {
    PolicyFields: {"version": 1},
    IssuerFields: {"issuer": "https://a.example"},
    RefreshFields: {},
    ResourceFields: {"audience": "a"},
    RouteFields: {"path": "/", "methods": {}},
    RequirementFields: {},
    ClaimValueFields: {"present": True},
    ForwardFields: {},
}
OF_CORE: Final = {"headers", "strip"}


@EACH_MODEL
def test_a_default_that_is_shown_is_the_true_one(model: type[BaseModel]) -> None:
    left_out = model.model_validate(LEAST[model])
    shown = {
        name: field["default"]
        for name, field in mapping_of(model)["properties"].items()
        if "default" in field
    }
    for name, default in shown.items():
        if name not in OF_CORE:
            written = model.model_validate({**LEAST[model], name: default})
            assert getattr(written, name) == getattr(left_out, name)
    known = {
        name
        for name in written_fields(model)
        if name not in LEAST[model] and getattr(left_out, name) is not None
    }
    assert known - {"refresh"} <= set(shown)


def test_the_defaults_of_forward_are_those_of_the_decision(folder: Folder) -> None:
    properties = mapping_of(ForwardFields)["properties"]
    forward = {name: properties[name]["default"] for name in sorted(OF_CORE)}
    policy = folder.load(json.dumps({"version": 1, "forward": forward}), "policy.json")
    assert policy.forward == ForwardRules()


def test_nothing_of_the_library_is_left_in_the_schema() -> None:
    titles = re.findall(r'"title": "[^"]*"', json.dumps(SCHEMA))
    assert titles == ['"title": "authz-service policy"']


# Mistakes


@pytest.mark.parametrize(
    "text",
    [
        "issuers: []\n",
        "version: 2\n",
        "version: '1'\n",
        "version: 1\nresources: ~\n",
        "version: 1\nmode: ~\n",
        "version: 1\nissuers: [https://a.example]\n",
        policy_text(top="isuers: []"),
        policy_text(top="mode: observe"),
        policy_text(issuer="name: ''"),
        policy_text(issuer="name: ä"),
        policy_text(issuer="preset: logtoo"),
        policy_text(issuer="preset: [logto]"),
        policy_text(issuer="algorithms: ES384"),
        policy_text(issuer="algorithms: []"),
        policy_text(issuer="algorithms: [HS256]"),
        policy_text(issuer="algorithms: [none]"),
        policy_text(issuer="token_types: ['']"),
        policy_text(issuer="required_claims: sub"),
        policy_text(issuer="scope_claim: ''"),
        policy_text(issuer="leeway: 10"),
        policy_text(issuer="leeway: 10 s"),
        policy_text(issuer="leeway: -1s"),
        policy_text(issuer="max_token_lifetime: 0s"),
        policy_text(issuer="max_token_lifetime: 00.0h"),
        policy_text(issuer="refresh: {intervall: 5m}"),
        policy_text(issuer="refresh: {timeout: 0ms}"),
        policy_text(issuer="refresh:"),
        policy_text(issuer="allow_http: yes"),
        policy_text(issuer="allow_http: 'true'"),
        policy_text(issuer="required: no"),
        policy_text(issuer="allow_http: '${HTTP}'"),
        policy_text(issuer="jwks_uri: https://a.example\njwks_file: keys.json"),
        policy_text(resource="host: [a.example]"),
        policy_text(resource="hosts: a.example"),
        policy_text(resource="hosts: []"),
        policy_text(resource="hosts: [A.example]"),
        policy_text(resource="hosts: ['a.example:80']"),
        policy_text(resource="hosts: [a.example.]"),
        policy_text(resource="hosts: [https://a.example]"),
        policy_text(resource="hosts: ['*a.example']"),
        policy_text(resource="issuers: [12]"),
        policy_text(resource="encoded_slash: drop"),
        policy_text(resource="cors_preflight: true"),
        policy_text(resource="mode: ~"),
        policy_text(route="audience: ''"),
        policy_text(route="audience: 'a{'"),
        policy_text(route="audience: []"),
        policy_text(path="orders"),
        policy_text(path="/orders/"),
        policy_text(path="//"),
        policy_text(path="/a//b"),
        policy_text(path="/a/**/b"),
        policy_text(path="'/{id'"),
        policy_text(path="'/{1}'"),
        policy_text(path="/a*"),
        policy_text(path="/a?b"),
        policy_text(path="/a/../b"),
        policy_text(path="/a%2"),
        policy_text(path="'/:id'"),
        policy_text(path="12"),
        policy_text(methods="GET"),
        policy_text(methods="{get: public}"),
        policy_text(methods="{'G ET': public}"),
        policy_text(methods="{GET: Public}"),
        policy_text(methods="{GET: read:orders}"),
        policy_text(methods="{GET: ~}"),
        policy_text(methods="{GET: true}"),
        policy_text(methods="{GET: {public: true}}"),
        policy_text(methods="{GET: [a b]}"),
        policy_text(methods="{GET: ['']}"),
        policy_text(methods="{GET: [12]}"),
        policy_text(methods="{GET: {scope: [a]}}"),
        policy_text(methods="{GET: {scopes: a}}"),
        policy_text(methods="{GET: {any_scope: []}}"),
        policy_text(methods="{GET: {optional: maybe}}"),
        policy_text(methods="{GET: {claims: []}}"),
        policy_text(methods="{GET: {claims: {a: ~}}}"),
        policy_text(methods="{GET: {claims: {a: [1]}}}"),
        policy_text(methods="{GET: {claims: {a: '}'}}}"),
        policy_text(methods="{GET: {claims: {a: {}}}}"),
        policy_text(methods="{GET: {claims: {a: {present: false}}}}"),
        policy_text(methods="{GET: {claims: {a: {present: true, any_of: [1]}}}}"),
        policy_text(methods="{GET: {claims: {a: {any_of: []}}}}"),
        policy_text(methods="{GET: {claims: {'': 1}}}"),
        policy_text(methods="{GET: {claims: {/a/~2: 1}}}"),
        policy_text(top="forward: []"),
        policy_text(top="forward: {headers: {X-A: sub}}"),
        policy_text(top="forward: {headers: {host: sub}}"),
        policy_text(top="forward: {headers: {x-envoy-a: sub}}"),
        policy_text(top="forward: {headers: {x-a: ''}}"),
        policy_text(top="forward: {authorization: drop}"),
        policy_text(top="forward: {strip: ['*']}"),
        policy_text(top="forward: {strip: [x-*-b]}"),
        policy_text(top="forward: {strip: [authorization]}"),
        policy_text(top="forward: {claims_header: cookie}"),
    ],
)
def test_a_mistake_is_refused_by_both(folder: Folder, text: str) -> None:
    assert folder.problems(text)
    value = read_document("policy.yaml", text.replace("${", "$${"), {}).value
    assert not is_taken_by_the_schema(value)


# Whatever the loader takes

GOOD: Final = read_document("policy.yaml", POLICIES[REFERENCE], {}).value


def places(value: Value, path: ValuePath = ()) -> Iterator[tuple[ValuePath, Value]]:
    """Every value in *value*, itself first, with the way to it."""
    yield path, value
    steps = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else ()
    for step, inner in (*steps, *items):
        yield from places(inner, (*path, step))


PLACES: Final = dict(places(GOOD))
STRINGS: Final = {path: value for path, value in PLACES.items() if isinstance(value, str)}


def with_value(path: ValuePath, value: Value) -> Value:
    """The good policy, with *value* at *path*."""
    whole: Any = {"": copy.deepcopy(GOOD)}
    holder: Any = whole
    last: str | int = ""
    for step in path:
        holder, last = holder[last], step
    holder[last] = value
    changed: Value = whole[""]
    return changed


def with_key(path: ValuePath, key: str) -> Value:
    """The good policy, with the member at *path* under *key*, in the place of what was there."""
    holder: Any = copy.deepcopy(PLACES[path[:-1]])
    holder[key] = holder.pop(path[-1])
    return with_value(path[:-1], holder)


def name_of(path: ValuePath) -> str:
    return ".".join(map(str, path))


@pytest.mark.parametrize("path", STRINGS, ids=name_of)
def test_any_string_may_come_from_the_environment(path: ValuePath) -> None:
    text = STRINGS[path]
    middle = len(text) // 2
    for written, value in (
        ("${VALUE}", text),
        (text[:middle] + "${VALUE}", text[middle:]),
        ("${VALUE}" + text[middle:], text[:middle]),
    ):
        changed = with_value(path, written)
        assert is_taken_by_the_loader(changed, {"VALUE": value})
        assert complaints(changed) == []


meaningful_text = (
    st.text(st.sampled_from("azAZ09/{}*=.:%$~-_\\;?#[]|é\x00\n \t\"'`,@+!^"), max_size=9)
    | st.text(max_size=5)
    | st.from_regex(r"/([a-z{}*.:%2F$=-]{0,4}/?){0,4}", fullmatch=True)
    | st.from_regex(r"[0-9.]{1,12}(ms|s|m|h|d)", fullmatch=True)
    | st.from_regex(r"(\*\.)?[A-Za-z0-9._\[\]:-]{1,9}", fullmatch=True)
    | st.sampled_from(sorted(set(STRINGS.values())))
)
any_value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | meaningful_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(meaningful_text, inner, max_size=3),
    max_leaves=5,
)
MANY: Final = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)


@given(path=st.sampled_from([*PLACES]), value=meaningful_text | any_value)
@MANY
def test_no_value_that_the_loader_takes_is_underlined(path: ValuePath, value: Value) -> None:
    changed = with_value(path, value)
    taken = is_taken_by_the_loader(changed)
    event(f"taken: {taken}")
    if taken:
        assert complaints(read(changed).value) == []


FREE_KEYS: Final = [
    path
    for path in PLACES
    if len(path) > 1 and path[-2] in {"methods", "claims", "headers"} and isinstance(path[-1], str)
]


plausible_keys = meaningful_text | st.from_regex(r"[a-zA-Z_-]{1,9}", fullmatch=True)


@given(path=st.sampled_from(FREE_KEYS), key=plausible_keys)
@MANY
def test_no_key_that_the_loader_takes_is_underlined(path: ValuePath, key: str) -> None:
    changed = with_key(path, key)
    taken = is_taken_by_the_loader(changed)
    event(f"taken: {taken}")
    if taken:
        assert complaints(read(changed).value) == []


@given(left_out=st.sets(st.sampled_from([path for path in PLACES if path]), max_size=8))
@MANY
def test_no_file_with_less_in_it_is_underlined(left_out: set[ValuePath]) -> None:
    changed: Any = copy.deepcopy(GOOD)
    for path in sorted(left_out, key=str, reverse=True):
        holder = changed
        for step in path[:-1]:
            holder = holder[step] if _has(holder, step) else None
        if _has(holder, path[-1]):
            del holder[path[-1]]
    if is_taken_by_the_loader(changed):
        assert complaints(changed) == []


def _has(holder: object, step: str | int) -> bool:
    if isinstance(holder, dict):
        return step in holder
    return isinstance(holder, list) and isinstance(step, int) and step < len(holder)


def test_a_type_that_nothing_is_known_of_leaves_no_hole_in_the_schema() -> None:
    with pytest.raises(LookupError, match="bytes"):
        _schema(bytes)
