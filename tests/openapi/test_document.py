"""Which documents are read, and what is said of the others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import authz_service
from authz_service.openapi import source
from authz_service.openapi.document import read_api
from authz_service.openapi.operations import operations
from authz_service.openapi.source import MAX_FILE_BYTES, read_source
from authz_service.openapi.values import MAX_DEPTH, OpenApiError
from tests.openapi.imported import api, load, operation, schemes

INFO: dict[str, Any] = {"title": "Shop", "version": "1"}
READ: dict[str, list[str]] = {"login": ["read"]}


def refusal(content: str | bytes, folder: Path, name: str = "api.yaml") -> list[str]:
    """Read a document that cannot be used, and give what is said of it."""
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(OpenApiError) as refused:
        operations(read_api(file))
    assert str(refused.value) == "\n".join(str(problem) for problem in refused.value.problems)
    return [str(problem).removeprefix(str(file)) for problem in refused.value.problems]


def problems(paths: Any, **fields: Any) -> list[str]:  # noqa: ANN401 - wrong on purpose
    """Give what is said of the document that `api` makes."""
    with pytest.raises(OpenApiError) as refused:
        operations(api(paths, **fields))
    return [str(problem).removeprefix("shop.yaml: ") for problem in refused.value.problems]


# Files


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ":1:1: the file is empty"),
        ("\n# nothing\n", ": the file is empty"),
        ("- a", ": not an OpenAPI document: it is no mapping"),
        ("null", ": not an OpenAPI document: it is no mapping"),
        ("a: 1", ': not an OpenAPI document: the field "openapi" is missing'),
        ('{"swagger": "2.0"}', ": this is Swagger 2.0: convert it to OpenAPI 3 first"),
        ("swagger: '2.0'\nopenapi: 3.0.0", ": this is Swagger 2.0: convert it to OpenAPI 3 first"),
        ("openapi: 3.2.0", ": OpenAPI 3.2.0 is not understood: 3.0 and 3.1 are"),
        ("openapi: [3]", ": OpenAPI [3] is not understood: 3.0 and 3.1 are"),
        ("openapi: 4", ": OpenAPI 4 is not understood: 3.0 and 3.1 are"),
        ("a: 1\n---\nb: 2", ":2:1: one document is expected: remove ---"),
        ("a: [", ": neither JSON nor YAML: "),
        ('{"a": 1,, }', ": neither JSON nor YAML: "),
        ('{"a": NaN', ": neither JSON nor YAML: "),
        (b"a: \xff", ":1:1: the file is not UTF-8"),
        (b"a: 1\nb: \xe9\n", ":2:1: the file is not UTF-8"),
        (b"a: \x00", ": neither JSON nor YAML: "),
        ("a: !!python/object:os.system x", ":1:4: YAML tags are not supported: remove it"),
        ("a: &x [*x]", ":1:8: the anchor x holds itself"),
        ("a: *x", ": no anchor is named x"),
        ("a: 1\na: 2", ':2:1: "a" is twice in one mapping'),
        ('{"a": 1, "a": 2}', ': "a" is twice in one object'),
        ('{"b": 1, "a": 1, "c": 1, "a": 2, "d": 1}', ': "a" is twice in one object'),
        ("b: &b {x: 1}\na: {<<: *b}", ":2:5: merge keys (<<) are not supported: repeat the fields"),
        ("? [a]\n: b", ":1:3: a key must be a string"),
        ('{"a": "\\ud800"}', ": an escape \\ud800 to \\udfff stands alone: it is no character"),
        ('{"\\uDFFF": 1}', ": an escape \\ud800 to \\udfff stands alone: it is no character"),
    ],
)
def test_a_file_that_is_no_document_is_one_problem(
    content: str | bytes, said: str, tmp_path: Path
) -> None:
    (line,) = refusal(content, tmp_path)
    assert said in line


@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", '{"a":'])
@pytest.mark.parametrize("times", [MAX_DEPTH + 1, 100_000])
def test_nesting_is_bounded(opening: str, times: int, tmp_path: Path) -> None:
    closing = {"[": "]", "- ": "", "{a: ": "}", '{"a":': "}"}[opening]
    (line,) = refusal(opening * times + "1" + closing * times, tmp_path)
    assert line.endswith(f"nested more than {MAX_DEPTH} deep")


def test_aliases_count_as_often_as_they_are_used(tmp_path: Path) -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    (line,) = refusal("\n".join(lines), tmp_path)
    assert line.endswith("more than 2000000 values, counting what aliases repeat")


def test_aliases_of_aliases_are_as_deep_as_what_they_stand_for(tmp_path: Path) -> None:
    lines = ["a0: &a0 x", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, MAX_DEPTH + 9))]
    (line,) = refusal("\n".join(lines), tmp_path)
    assert line.endswith(f"nested more than {MAX_DEPTH} deep")


def test_the_number_of_values_is_bounded_in_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "MAX_VALUES", 10)
    (line,) = refusal(json.dumps({"a": [1] * 20}), tmp_path)
    assert "more than" in line


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    (line,) = refusal(b"{" * (MAX_FILE_BYTES + 1), tmp_path)
    assert line == ": larger than 16 MiB: no document of this size is read"


def test_what_is_no_file_is_told_in_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", ".", "pipe", "a\0b", "\x1b[31m"):
        with pytest.raises(OpenApiError) as refused:
            read_source(tmp_path / name)
        assert ": cannot be read: " in str(refused.value)
        assert str(refused.value).isprintable()


def test_aliases_stand_for_what_they_name(tmp_path: Path) -> None:
    file = tmp_path / "api.yaml"
    file.write_text("a: &a {x: [1, 2.5, true, null, yes, '1', 2026-01-01]}\nb: *a\n")
    value = read_source(file).value
    inner = {"x": [1, 2.5, True, None, "yes", "1", "2026-01-01"]}
    assert value == {"a": inner, "b": inner}


@pytest.mark.parametrize("version", ["3.0.0", "3.0.3", "3.0.4", "3.1.0", "3.1.2", "3.0", "3.1"])
@pytest.mark.parametrize("name", ["api.yaml", "api.json", "api"])
def test_json_and_yaml_are_read_whatever_the_name_is(
    version: str, name: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(json.dumps({"openapi": version, "info": INFO, "paths": {}}, indent="\t"))
    assert read_api(file).model.info.title == "Shop"
    file.write_text(f"\ufeffopenapi: {version}\ninfo: {{title: Shop, version: '1'}}\npaths: {{}}\n")
    assert read_api(file).model.info.title == "Shop"


_AUDIT = """
import sys
from pathlib import Path
from authz_service.openapi.document import read_api
from authz_service.openapi.importer import Choices, import_policy
from authz_service.openapi.values import OpenApiError
seen = []
def hook(name, given):
    if name == "open":
        seen.append(str(given[0]))
    elif name.startswith(("socket.", "urllib.", "subprocess.", "os.")):
        seen.append(name)
sys.addaudithook(hook)
try:
    import_policy(read_api(Path(sys.argv[1])), Choices())
except OpenApiError:
    seen.append("refused")
print(*(each for each in seen if not each.endswith((".py", ".pyc", "os.listdir"))), sep="\\n")
"""


@pytest.mark.parametrize("place", ["path", "scheme", "schema", "parameter"])
def test_nothing_but_the_document_is_opened(place: str, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("login: {type: http, scheme: bearer}\nget: {}\n")
    file = tmp_path / "api.json"
    there = {"$ref": f"{tmp_path}/other.yaml#/login"}
    far = {"$ref": "http://127.0.0.1:9/other.yaml"}
    get: dict[str, Any] = {"responses": {"200": far}, "parameters": [far, there]}
    value: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": INFO,
        "paths": {"/a": {"get": get}},
        "components": {},
    }
    if place == "path":
        value["paths"].update({"/b": there, "/c": far})
    if place == "scheme":
        value["components"]["securitySchemes"] = {"login": there, "far": far}
    if place == "schema":
        value["components"]["schemas"] = {"a": there, "b": far}
    file.write_text(json.dumps(value))
    finished = subprocess.run(
        [sys.executable, "-c", _AUDIT, str(file)],
        cwd=Path(authz_service.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    refused = ["refused"] if place in {"path", "scheme"} else []
    assert finished.stdout.splitlines() == [str(file), *refused]


# Documents


@pytest.mark.parametrize(
    ("paths", "fields", "said"),
    [
        ({}, {"info": {"title": "a"}}, "#/info/version: this field is missing"),
        ({}, {"info": {"title": "a", "version": 1}}, "#/info/version: write a string (in quotes"),
        ([], {}, "#/paths: write a mapping"),
        ({"/a": []}, {}, "#/paths/~1a: write a mapping"),
        ({"a": {}}, {}, "#/paths/a: a path starts with /"),
        ({"/a~b": {"get": []}}, {}, "#/paths/~1a~0b/get: write a mapping"),
        ({"/a": {"gett": {}}}, {}, '#/paths/~1a/gett: unknown field: did you mean "get"?'),
        ({"/a": {"GET": {}}}, {}, "#/paths/~1a/GET: unknown field"),
        ({"/a": {"get": {"secuirty": []}}}, {},
         '#/paths/~1a/get/secuirty: unknown field: did you mean "security"?'),
        ({}, {"secuirty": []}, '#/secuirty: unknown field: did you mean "security"?'),
        ({}, {"security": {}}, "#/security: write a list"),
        ({}, {"security": None}, "#/security: left empty: write a list, or remove it"),
        ({"/a": {"servers": None}}, {}, "#/paths/~1a/servers: left empty"),
        ({"/a": {"get": {"security": None}}}, {}, "#/paths/~1a/get/security: left empty"),
        ({"/a": {"get": {"security": [{"login": None}]}}}, {},
         "#/paths/~1a/get/security/0/login: write a list"),
        ({"/a": {"get": {"security": [{"zip": []}]}}}, {},
         '#/paths/~1a/get/security: no security scheme is named "zip"'),
        ({"/a": {"get": {}}}, {"security": [{"zip": []}]},
         '#/security: no security scheme is named "zip"'),
        ({"/a": {"get": {"parameters": [{"name": "x"}]}}}, {},
         "#/paths/~1a/get/parameters/0/in: this field is missing"),
        ({}, {"components": []}, "#/components: write a mapping"),
        ({}, {"components": {"securitySchemes": []}}, "#/components/securitySchemes: write a map"),
        ({}, {"components": {"securitySchemes": {"a": 1}}},
         "#/components/securitySchemes/a: write a mapping"),
        ({}, {"servers": [{"url": 1}]}, "#/servers/0/url: write a string"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_json_pointer(
    paths: object, fields: dict[str, object], said: str
) -> None:
    (line,) = problems(paths, **fields)
    assert line.startswith(said)


def test_all_mistakes_are_told_with_the_places_of_the_file(tmp_path: Path) -> None:
    text = """\
openapi: 3.0.3
info: {title: Shop}
paths:
  /a:
    get: {}
  b: {}
"""
    assert refusal(text, tmp_path) == [
        ":6:3: #/paths/b: a path starts with /",
        ":2:1: #/info/version: this field is missing",
        ":5:5: #/paths/~1a/get/responses: this field is missing",
    ]


def test_extensions_are_passed_over() -> None:
    paths = {
        "x-internal": [1],
        "/a": {"x-y": 1, "get": operation(READ, **{"x-z": []})},
    }
    assert load(api(paths, **{"x-top": None})).scopes("GET", "/a") == {"read"}


def test_schemas_are_nobodys_business_here() -> None:
    loop = {"$ref": "#/components/schemas/Loop"}
    body = {"content": {"application/json": {"schema": loop}}}
    components = {
        **schemes("login"),
        "schemas": {"Loop": loop, "Wrong": {"type": 7}, "Far": {"$ref": "https://x.example/y"}},
        "responses": [],
    }
    paths = {
        "/a": {
            "parameters": [{"$ref": "https://x.example/parameters.yaml#/id"}],
            "get": operation(READ, requestBody=body, responses={"200": {"$ref": "far.yaml"}}),
        }
    }
    assert load(api(paths, components=components)).scopes("GET", "/a") == {"read"}


# References


def test_references_to_path_items_and_schemes_are_followed_inside_the_document() -> None:
    components: dict[str, Any] = {
        "securitySchemes": {
            **schemes("login")["securitySchemes"],
            "same": {"$ref": "#/components/securitySchemes/login"},
        },
        "pathItems": {"A/~": {"get": operation({"same": ["read"]})}},
    }
    paths = {
        "/a": {"$ref": "#/components/pathItems/A~1~0", "description": "Here.", "put": operation()},
        "/b": {"$ref": "#/paths/~1a"},
        "/c": {"$ref": "#/x-more/0"},
        "/d%7Be%7D": {"$ref": "#/components/pathItems/A%2F~0".replace("%2F", "~1")},
    }
    more = {"x-more": [{"post": operation(READ)}]}
    policy = load(api(paths, components=components, **more))
    assert policy.scopes("GET", "/a") == policy.scopes("GET", "/b") == {"read"}
    assert policy.is_public("PUT", "/a")
    assert policy.is_public("PUT", "/b")
    assert policy.scopes("POST", "/c") == {"read"}


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("https://x.example/a.yaml", "is outside this document: put it in here"),
        ("file:///etc/passwd", "is outside this document: put it in here"),
        ("../a.yaml#/x", "is outside this document: put it in here"),
        ("/etc/passwd", "is outside this document: put it in here"),
        (7, "is outside this document: put it in here"),
        (None, "is outside this document: put it in here"),
        ("#/paths/~1a", "comes back to itself"),
        ("#/paths/~1b", "comes back to itself"),
        ("#/nowhere", "leads nowhere"),
        ("#/info/title/x", "leads nowhere"),
        ("#/servers/9", "leads nowhere"),
        ("#/servers/-1", "leads nowhere"),
        ("#anchor", "leads nowhere"),
    ],
)
def test_a_reference_that_cannot_be_followed_is_told(reference: object, said: str) -> None:
    paths = {"/a": {"$ref": reference}, "/b": {"$ref": "#/paths/~1a"}}
    lines = problems(paths, servers=[{"url": "/"}])
    assert all(said in line for line in lines)
    assert lines[0].startswith("#/paths/~1a: ")


@pytest.mark.parametrize("reference", ["#", "#/openapi", "#/tags"])
def test_a_reference_to_something_else_is_told(reference: str) -> None:
    assert problems({"/a": {"$ref": reference}}, tags=[])


def test_a_security_scheme_elsewhere_is_refused() -> None:
    components = {"securitySchemes": {"login": {"$ref": "schemes.yaml#/login"}}}
    lines = problems({"/a": {"get": operation(READ)}}, components=components)
    assert "#/components/securitySchemes/login" in lines[0]
    assert "is outside this document" in lines[0]


def test_what_is_beside_a_reference_may_not_be_in_it_too() -> None:
    paths = {"/a": {"get": operation(READ)}, "/b": {"$ref": "#/paths/~1a", "get": operation()}}
    (line,) = problems(paths)
    assert line == '#/paths/~1b: "get" is beside the reference and in what it names'
