"""Whatever a file of tests holds, the command ends as it should: with a line, not a traceback."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from authz_service.cli.main import main
from tests.policy.testing.suite import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from authz_service.policy.document import ValuePath

GOOD: Final[dict[str, Any]] = {
    "policy": ["policy.yaml"],
    "now": "2026-01-01T00:00:00Z",
    "host": "shop.example.com",
    "tokens": {
        "a": {"issuer": "logto", "claims": {"exp": "+1h", "aud": "b"}, "header": {"typ": "at+jwt"}},
        "b": {"like": "a", "without": ["jti"], "without_header": ["kid"], "forged": True},
        "c": {"raw": "x"},
    },
    "tests": [
        {"name": "n", "host": "h", "headers": {"x": ["y"]}, "token": "a",
         "requests": [{"GET /a": "deny"}, {"request": "GET /b", "name": "m", "expect": "deny"}]},
        {"request": "GET /products", "tokens": [
            {"token": "b", "name": "o", "expect": "deny"},
            {"claims": {"scope": "s"}, "expect": {"decision": "deny", "reason": "expired"}}]},
        {"request": "GET https://h/healthz", "token": {"like": "c"},
         "expect": {"status": 200, "route": "/", "resource": "r",
                    "upstream": {"x-auth-scope": None}}},
    ],
}  # fmt: skip
JSON_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def places(value: object = GOOD, path: ValuePath = ()) -> Iterator[ValuePath]:
    yield path
    if isinstance(value, dict | list):
        steps = value.items() if isinstance(value, dict) else enumerate(value)
        for step, inner in steps:
            yield from places(inner, (*path, step))


def changed(path: ValuePath, value: object) -> object:
    if not path:
        return value
    whole = copy.deepcopy(GOOD)
    inner: Any = whole
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return whole


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("any")
    (path / "policy.yaml").write_text(POLICY)
    return path


def ends_well(folder: Path, content: bytes) -> None:
    """Run the command on a file with *content*; an exception of it goes on to the test."""
    file = folder / "x_test.yaml"
    file.write_bytes(content)
    result = CliRunner().invoke(main, ["test", "-q", str(file)], catch_exceptions=False)
    assert result.exit_code in {0, 1, 2}
    assert result.stdout if result.exit_code < 2 else result.stderr
    for line in result.output.split("\n"):
        assert line.isprintable()


def test_the_file_that_is_changed_here_runs(folder: Path) -> None:
    (folder / "x_test.yaml").write_text(json.dumps(GOOD))
    result = CliRunner().invoke(main, ["test", "-q", str(folder / "x_test.yaml")])
    assert result.exit_code == 1
    assert " passed in " in result.stdout


@pytest.mark.parametrize("path", list(places()), ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("value", [None, True, 1e300, [], {}, [[]], {"a b": 1}, "", "\0"])
def test_each_value_may_be_any_other(folder: Path, path: ValuePath, value: object) -> None:
    ends_well(folder, json.dumps(changed(path, value)).encode())


@settings(deadline=None)
@given(st.sampled_from(list(places())), JSON_VALUES)
@example(("policy",), "\0")
@example(("now",), "9999-12-31T23:59:59-23:59")
@example(("now",), 10**18)
@example(("tokens", "a", "claims", "exp"), "+999999999d")
@example(("tests", 1, "request"), "GET https://\ud800/")
def test_each_value_may_be_anything(folder: Path, path: ValuePath, value: object) -> None:
    ends_well(folder, json.dumps(changed(path, value)).encode())


@settings(deadline=None)
@given(st.text("[]{}:,-&*!?|>%@`\"'# \nab1~$GET/") | st.text())
def test_any_text_may_follow(folder: Path, text: str) -> None:
    ends_well(folder, text.encode("utf-8", "replace"))
    ends_well(folder, f"tests:\n- {text}".encode("utf-8", "replace"))
