from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from authz_service.policy import PolicyError, document
from authz_service.policy.document import Document, Value, ValuePath, read_document
from tests.policy.folder import unmark


def read(text: str, **environment: str) -> Document:
    return read_document("f", text, environment)


def problems(text: str, **environment: str) -> list[str]:
    """Those that kept the rest from being read as well as those that did not."""
    try:
        return [str(problem) for problem in read(text, **environment).problems]
    except PolicyError as error:
        return str(error).split("\n")


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("false", False),
        ("False", False),
        ("FALSE", False),
        ("null", None),
        ("Null", None),
        ("NULL", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-0", 0),
        ("12", 12),
        ("-12", -12),
        ("+12", 12),
        ("999999999999999999", 999999999999999999),
        ("1.5", 1.5),
        ("-1.5", -1.5),
        ("1e3", 1000.0),
        ("1.5E-2", 0.015),
    ],
)
def test_booleans_numbers_and_null_are_those_of_json(text: str, value: Value) -> None:
    read_value = read(f"- {text}\n").value
    assert read_value == [value]
    assert [type(item) for item in read_value] == [type(value)]


@pytest.mark.parametrize(
    "text",
    [
        "yes", "Yes", "no", "on", "On", "off", "y", "n", "tRUE", "nULL", "None",
        "012", "0o12", "0x1F", "0b1", "1_000", "1:30", "+", ".5", "1e", "1.2.3", "10s",
        "2024-01-01", ".inf", "-.inf", ".nan", "inf", "nan", "1e999", "-1e999", "=", "<<", "१२",
    ],
)  # fmt: skip
def test_what_only_yaml_1_1_takes_for_something_else_is_a_string(text: str) -> None:
    assert read(f"a: {text}\n").value == {"a": text}


@pytest.mark.parametrize("text", ["true", "null", "~", "12", "1.5", ""])
@pytest.mark.parametrize("quote", ["'", '"'])
def test_what_stands_in_quotes_is_a_string(text: str, quote: str) -> None:
    assert read(f"- {quote}{text}{quote}\n").value == [text]


@pytest.mark.parametrize(
    ("text", "value"),
    [("|\n  1\n", "1\n"), ("|-\n  true\n", "true"), (">-\n  a\n  b\n", "a b")],
)
def test_a_block_of_text_is_a_string(text: str, value: str) -> None:
    assert read(f"a: {text}").value == {"a": value}


@pytest.mark.parametrize(
    "number", [10**18, 1234567890123456789, -1234567890123456789, 2**64 + 1, 10**30 + 1]
)
def test_a_whole_number_is_read_exactly_or_refused(number: int) -> None:
    try:
        found = read(f"a: {number}\n")
    except PolicyError:
        return
    assert found.problems or found.value == {"a": number}


@pytest.mark.parametrize("text", ["9" * 5_000, "-" + "9" * 5_000, "1e" + "9" * 5_000])
def test_a_number_of_thousands_of_digits_is_read_or_refused(text: str) -> None:
    assert problems(f"a: {text}\n") == [] or problems(f"a: {text}\n")[0].startswith("f:1:4: ")


def test_keys_are_strings_whatever_they_look_like() -> None:
    assert read("1: a\ntrue: b\n~: c\non: d\n").value == {
        "1": "a", "true": "b", "~": "c", "on": "d",
    }  # fmt: skip


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", max_codepoint=0xFFFF, exclude_characters="$")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON_VALUES, st.sampled_from([None, 2, "\t"]))
def test_every_json_value_is_read_as_itself(value: Value, indent: str | int | None) -> None:
    assert read(json.dumps(value, indent=indent)).value == value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a": "\\ud83d\\ude00"}', id="surrogate_pair"),
        pytest.param('\t{"a": "\N{GRINNING FACE}"}', id="tab_before_all"),
    ],
)
def test_json_that_yaml_parsers_stumble_over_is_read(text: str) -> None:
    assert read_document("f.json", text, {}).value == json.loads(text)


# Positions


@pytest.mark.parametrize(
    ("marked", "path"),
    [
        ("»a: 1\n", ()),
        ("a: »1\n", ("a",)),
        ("a:   »'1'\n", ("a",)),
        ("a:\n  - x\n  - »y\n", ("a", 1)),
        ("a:\n  »- x\n  - y\n", ("a",)),
        ("a: {b: »[1, 2]}\n", ("a", "b")),
        ("a: {b: [1, »2]}\n", ("a", "b", 1)),
        ("a:»\nb: 1\n", ("a",)),
        ("# ä\nä: »1\n", ("ä",)),
        ("\N{GRINNING FACE}: »1\n", ("\N{GRINNING FACE}",)),
        ("a: 1\r\nb: »2\r\n", ("b",)),
        ('{\n\t"a":\t»1\n}', ("a",)),
    ],
)
def test_a_value_remembers_where_it_stood(marked: str, path: ValuePath) -> None:
    text, places = unmark(marked)
    position = read(text).position(path)
    assert [(position.line, position.column)] == places


def test_a_key_remembers_where_it_stood() -> None:
    position = read("a:\n  b: 1\n").position(("a", "b"), key=True)
    assert (position.file, position.line, position.column) == ("f", 2, 3)


def test_a_value_that_is_not_there_is_placed_at_what_is_around_it() -> None:
    position = read("a:\n  b: {}\n").position(("a", "b", "missing", 3))
    assert (position.line, position.column) == (2, 6)


def test_the_path_of_an_item_that_has_no_key_has_the_position_of_its_value() -> None:
    position = read("a: [x, y]\n").position(("a", 1), key=True)
    assert (position.line, position.column) == (1, 8)


# What is left out of YAML


@pytest.mark.parametrize(
    "marked",
    [
        "a: »&x 1\n",
        "a: »&x {b: 1}\n",
        "a: »&x [1]\n",
        "a: »*x\n",
        "a: 1\nb: [1, »*a]\n",
        "»&x\na: 1\n",
        "- »&x 1\n- *x\n",
    ],
)
def test_anchors_and_aliases_are_refused_where_they_stand(marked: str) -> None:
    text, [(line, column)] = unmark(marked)
    assert problems(text) == [
        f"f:{line}:{column}: anchors and aliases are not supported: repeat it"
    ]


@pytest.mark.parametrize(
    "marked",
    [
        "a: »!!int 1\n",
        "a: »!!str 1\n",
        "a: »!local 1\n",
        "a: »!!binary aGk=\n",
        "»!!map\na: 1\n",
        "a: »!!set {b}\n",
        "a: »!<tag:yaml.org,2002:str> 1\n",
        "a: »!!python/object/apply:os.system ['true']\n",
    ],
)
def test_tags_are_refused_where_they_stand(marked: str) -> None:
    text, [(line, column)] = unmark(marked)
    assert problems(text) == [f"f:{line}:{column}: YAML tags are not supported: remove it"]


@pytest.mark.parametrize("text", ["&x a: 1\n", "!!str a: 1\n", "!local a: 1\n", "{&x a: 1}\n"])
def test_anchors_and_tags_are_refused_at_keys_too(text: str) -> None:
    assert len(problems(text)) == 1


@pytest.mark.parametrize(
    "text", ["? [a]\n: 1\n", "? {a: b}\n: 1\n", "{[a]: 1}\n", "a: 1\n? - b\n: 1\n"]
)
def test_a_key_that_is_no_string_is_refused(text: str) -> None:
    assert [line.split(": ", 1)[1] for line in problems(text)] == ["a key must be a string"]


def test_a_merge_key_is_a_key_like_any_other() -> None:
    assert read("<<: {a: 1}\n").value == {"<<": {"a": 1}}


@pytest.mark.parametrize("text", ["", "\n", "\n\n", "# nothing\n", "  # a\n\n  # b"])
def test_a_file_without_a_document_says_how_to_start(text: str) -> None:
    [line] = problems(text)
    assert line.endswith(": the file is empty: start with version: 1")


@pytest.mark.parametrize(
    "text", ["a: 1\n---\nb: 1\n", "a: 1\n---\n", "---\na: 1\n---\n", "a: 1\n...\n---\nb: 1\n"]
)
def test_a_second_document_is_refused(text: str) -> None:
    line = text.splitlines().index("---", 1) + 1
    assert problems(text) == [f"f:{line}:1: a file holds one document: remove ---"]


@pytest.mark.parametrize("text", ["---\na: 1\n", "a: 1\n...\n", "%YAML 1.2\n---\na: 1\n"])
def test_the_marks_around_one_document_are_fine(text: str) -> None:
    assert read(text).value == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        "a: [1\n", "[a]: [", "a: [1]]\n", "a: {b\n", "a: 'b\n", 'a: "\\q"\n', "a: b: c\n",
        "a: 1\n b: 2\n",
        "\ta: 1\n", "a:\n\tb: 1\n", "a: @b\n", "a: `b`\n", "%FOO\n", "a: 1\n...\nb: 1\n",
        "hosts: [*.example.com]\n", '{"a": 1',
    ],
)  # fmt: skip
def test_what_is_not_yaml_is_one_problem_with_a_position(text: str) -> None:
    [line] = problems(text)
    file, row, column, _message = line.split(":", 3)
    assert file == "f"
    assert (
        1 <= int(row) <= text.count("\n") + 2
    )  # the parser counts a last line break that is not there
    assert int(column) >= 1


@pytest.mark.parametrize("character", ["\0", "\x01", "\x1b", "\x7f", "\x80", "\ufffe"])
def test_a_character_that_yaml_does_not_have_is_placed_where_it_stands(character: str) -> None:
    [line] = problems(f"a: 1\nb: {character}\n")
    assert line == "f:2:4: the file cannot be read as YAML: control characters are not allowed"


# Bounds


@pytest.mark.parametrize(
    "opening", ["[", "{a: ", "- ", "[{a: ", "? ", "{? ["]
)  # fmt: skip
def test_nesting_a_hundred_thousand_deep_is_one_problem(opening: str) -> None:
    [line] = problems(opening * 100_000)
    assert line.startswith("f:1:")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "[{a: "])
def test_nesting_is_refused_by_its_depth(opening: str) -> None:
    assert "nested more than 32 deep" in problems(opening * 100_000)[0]


def test_nesting_thirty_two_deep_is_read_and_no_deeper() -> None:
    assert problems("[" * 33 + "]" * 33) == []
    assert problems("[" * 34 + "]" * 34) == ["f:1:34: nested more than 32 deep"]


def test_a_hundred_thousand_values_are_read() -> None:
    assert read("[" + "1," * 100_000 + "]").value == [1] * 100_000


@pytest.mark.parametrize("text", ["[", "{a: ", "a: [1\n", "a: 1\na: 2\n", "a: &b 1\n", "a: {b: \n"])
def test_the_parser_in_python_refuses_what_the_one_in_c_refuses(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_c = problems(text)
    monkeypatch.setattr(document, "_YAML_LOADER", yaml.BaseLoader)
    in_python = problems(text)
    assert len(in_c) == len(in_python) == 1


def test_the_parser_in_python_is_not_overwhelmed_by_nesting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(document, "_YAML_LOADER", yaml.BaseLoader)
    assert "nested more than 32 deep" in problems("[" * 100_000)[0]
    assert "nested more than 32 deep" in problems("{a: " * 100_000)[0]


# Duplicate keys


def test_every_repeated_key_is_a_problem_and_the_first_value_stays() -> None:
    twice = read("a: 1\nb: {c: 1, 'c': 2}\na: 2\n\"a\": 3\n")
    assert twice.value == {"a": 1, "b": {"c": 1}}
    assert [str(problem) for problem in twice.problems] == [
        'f:2:11: "c" is here already, at line 2',
        'f:3:1: "a" is here already, at line 1',
        'f:4:1: "a" is here already, at line 1',
    ]


def test_the_value_of_a_repeated_key_moves_no_position_of_the_first() -> None:
    twice = read("a:\n  again: 1\na: 2\n")
    position = twice.position(("a", "again"))
    assert (position.line, position.column) == (2, 10)


def test_the_same_key_in_two_mappings_is_no_problem() -> None:
    assert read("- {a: 1}\n- {a: 1}\n").problems == []


# The environment


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("'${A}'", "one"),
        ("x${A}y${B}z", "xoney2z"),
        ("${A}${A}", "oneone"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A", "$A"),
        ("$$", "$$"),
        ("$", "$"),
        ("'$ {A}'", "$ {A}"),
        ("'{A}'", "{A}"),
        ("${EMPTY}", ""),
        ("${_x9}", "low"),
        ("${NESTED}", "${A}"),
        ("|-\n  ${A}\n  $${A}\n", "one\n${A}"),
    ],
)
def test_names_in_strings_are_replaced_once(text: str, value: str) -> None:
    environment = {"A": "one", "B": "2", "EMPTY": "", "_x9": "low", "NESTED": "${A}"}
    found = read_document("f", f"a: {text}\n", environment)
    assert (found.value, found.problems) == ({"a": value}, [])


@pytest.mark.parametrize("value", ["true", "12", "null", "[a, b]", "a: b", "&a", "# x", ""])
def test_a_value_from_the_environment_is_always_a_string(value: str) -> None:
    assert read("a: ${V}\n", V=value).value == {"a": value}


def test_a_name_that_is_not_set_is_a_problem_where_its_string_starts() -> None:
    assert problems("a: 1\nb: [x, 'y-${NOT_SET}']\n") == [
        "f:2:8: the environment variable NOT_SET is not set"
    ]


def test_every_name_that_is_not_set_is_told() -> None:
    assert problems("a: ${X}${Y}\nb: ${Z}\n") == [
        "f:1:4: the environment variable X is not set",
        "f:1:4: the environment variable Y is not set",
        "f:2:4: the environment variable Z is not set",
    ]


@pytest.mark.parametrize(
    "text", ["${", "${}", "${A", "${1A}", "${A-B}", "${A:-x}", "${ A }", "a${", "${Ä}", "$$${"]
)
def test_a_malformed_reference_is_a_problem(text: str) -> None:
    expected = [] if text == "$$${" else [
        "f:1:4: after ${ comes a name and }; write $${ for a literal ${"
    ]  # fmt: skip
    assert problems(f"a: '{text}'\n", A="one") == expected


def test_keys_and_comments_are_not_replaced() -> None:
    found = read("${A}: 1 # ${NOT_SET}\n", A="one")
    assert (found.value, found.problems) == ({"${A}": 1}, [])


# Whatever it is


@given(
    st.text()
    | st.text("[]{}:,-&*!?|>%@`\"'# \n\tab1~$.\\<")
    | st.lists(st.sampled_from(["a: ", "- ", "\n", "  ", "[", "]", "{", "}", ",", "1", "${A}"]))
    .map("".join)
)  # fmt: skip
def test_any_text_is_a_document_or_a_policy_error(text: str) -> None:
    try:
        found = read(text)
    except PolicyError as error:
        places = [problem.position for problem in error.problems]
    else:
        places = [problem.position for problem in found.problems]
    lines = len(text.splitlines()) + 1
    assert all(1 <= place.line <= lines and place.column >= 1 for place in places)
