from __future__ import annotations

import contextlib
import copy
import gc
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.jwks import KeySet
from authz_service.core.policy import Policy, Public
from authz_service.policy import PolicyError, Position, Problem, load_policy
from authz_service.policy.document import MAX_VALUES
from authz_service.policy.files import MAX_FILE_BYTES
from authz_service.policy.validate import MOST_PROBLEMS
from tests.policy.folder import KEY_SET, Folder, match, policy_text, requirement

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.policy.document import ValuePath


def public(audience: str, path: str) -> str:
    return (
        "version: 1\n"
        "resources:\n"
        f"  - {{audience: {audience}, routes: [{{path: {path}, methods: {{GET: public}}}}]}}\n"
    )


def resource_at(policy: Policy, target: str) -> str | None:
    try:
        return match(policy, target).route.resource
    except AccessDenied as denied:
        assert denied.reason == DenyReason.NO_ROUTE  # noqa: PT017 - None says so
        return None


# One file


@pytest.mark.parametrize("name", ["p.yaml", "p.yml", "p.json", "p.txt", "p", ".hidden"])
def test_a_file_may_have_any_name_where_it_is_named_itself(folder: Folder, name: str) -> None:
    assert resource_at(folder.load(public("a", "/a"), name), "/a") == "a"


@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("name", ["p.json", "p.yaml"])
def test_json_is_read_with_spaces_and_with_tabs(
    folder: Folder, indent: str | int | None, name: str
) -> None:
    policy = {
        "version": 1,
        "resources": [
            {"audience": "a", "routes": [{"path": "/caf\u00e9", "methods": {"GET": "public"}}]}
        ],
    }
    loaded = folder.load(json.dumps(policy, indent=indent), name)
    assert requirement(loaded, "GET", "/caf%C3%A9") == Public()


def test_problems_in_json_are_placed_as_in_yaml(folder: Folder) -> None:
    assert folder.problems('{\n\t"version": 1,\n\t"issuer": []\n}\n', "p.json") == [
        'p.json:3:2: unknown field "issuer": did you mean "issuers"?'
    ]


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_break_ends_a_line(folder: Folder, line_break: str) -> None:
    assert folder.problems(f"version: 1{line_break}# x{line_break}isuers: []{line_break}") == [
        'policy.yaml:3:1: unknown field "isuers": did you mean "issuers"?'
    ]


def test_a_byte_order_mark_is_passed_over(folder: Folder) -> None:
    assert folder.load(b"\xef\xbb\xbfversion: 1\n") == Policy()
    assert folder.problems(b"\xef\xbb\xbfversion: 2\n") == ["policy.yaml:1:10: version: write 1"]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"\xff", "1:1"),
        ("version: 1\n".encode("utf-16"), "1:1"),
        (b"version: 1\n# caf\xe9\n", "2:6"),
        (b"version: 1\n\n\nx: '\xc3'\n", "4:5"),
        (b"version: 1\n# \xed\xa0\x80\n", "2:3"),
        (b"version: 1\n# \xc0\xaf\n", "2:3"),
        (b"\xef\xbb\xbfversion: 1\n# \xe9\n", "2:3"),
    ],
)
def test_what_is_not_utf_8_is_placed(folder: Folder, content: bytes, place: str) -> None:
    assert folder.problems(content) == [f"policy.yaml:{place}: the file is not UTF-8"]


@pytest.mark.parametrize("content", ["", "\n", "# nothing yet\n", "\ufeff", "\ufeff# nothing\n"])
def test_an_empty_file_is_refused(folder: Folder, content: str) -> None:
    [line] = folder.problems(content)
    assert line.endswith(": the file is empty: start with version: 1")


def test_a_file_with_a_nul_byte_is_refused(folder: Folder) -> None:
    [line] = folder.problems(b"version: 1\n\0")
    assert "control characters are not allowed" in line


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_a_file_of_nothing_but_nesting_is_one_problem(folder: Folder, opening: str) -> None:
    [line] = folder.problems(opening * 100_000)
    assert line.endswith(": nested more than 32 deep")


def test_nesting_inside_a_field_is_one_problem(folder: Folder) -> None:
    [line] = folder.problems("version: 1\nissuers: " + "[" * 100_000 + "]" * 100_000)
    assert line == "policy.yaml:2:42: nested more than 32 deep"


def test_a_file_of_the_largest_size_is_read(folder: Folder) -> None:
    start = "version: 1\n#"
    assert folder.load(start + "x" * (MAX_FILE_BYTES - len(start))) == Policy()


def test_a_larger_file_is_refused(folder: Folder) -> None:
    start = "version: 1\n#"
    assert folder.problems(start + "x" * (MAX_FILE_BYTES - len(start) + 1)) == [
        "policy.yaml: a file has at most 4 MiB"
    ]


def test_a_file_without_end_is_not_read_to_its_end(folder: Folder) -> None:
    assert folder.problems_at(Path("/dev/zero")) == [
        "/dev/zero: cannot be read: not a regular file"
    ]


def test_a_file_that_is_not_there_is_refused(folder: Folder) -> None:
    assert folder.problems_at(folder.path / "none.yaml") == [
        "none.yaml: cannot be read: No such file or directory"
    ]


def test_a_link_to_nothing_is_refused(folder: Folder) -> None:
    link = folder.path / "link.yaml"
    link.symlink_to("none.yaml")
    assert folder.problems_at(link) == ["link.yaml: cannot be read: No such file or directory"]


def test_a_link_to_itself_is_refused(folder: Folder) -> None:
    link = folder.path / "link.yaml"
    link.symlink_to("link.yaml")
    assert folder.problems_at(link) == [
        "link.yaml: cannot be read: Too many levels of symbolic links"
    ]


@pytest.mark.parametrize("name", ["a\nb.yaml", "a\x1b[31mb.yaml", "a\rb.yaml", "a\u202eb.yaml"])
def test_a_problem_is_one_line_whatever_the_name_of_the_file(folder: Folder, name: str) -> None:
    [line] = folder.problems("version: 2\n", name)
    assert line.isprintable()


def test_a_name_of_a_file_that_is_not_utf_8_can_be_printed(folder: Folder) -> None:
    name = os.fsdecode(b"caf\xe9.yaml")
    [line] = folder.problems("version: 2\n", name)
    assert line.encode("utf-8").endswith(b".yaml:1:10: version: write 1")


def test_variables_come_from_the_environment_that_is_given(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIENCE", "from the process")
    policy = Folder(folder.path, {"AUDIENCE": "given"}).load(public("'${AUDIENCE}'", "/a"))
    assert resource_at(policy, "/a") == "given"
    assert "policy.yaml:3:16: the environment variable AUDIENCE is not set" in folder.problems(
        public("'${AUDIENCE}'", "/a")
    )


# Several files


def test_no_files_are_a_policy_that_denies_all() -> None:
    assert load_policy([], environment={}) == Policy()


def test_several_paths_make_one_policy(folder: Folder) -> None:
    one = folder.write(public("one", "/one"), "one.yaml")
    two = folder.write(public("two", "/two"), "elsewhere/two.txt")
    folder.write(public("three", "/three"), "d/three.yml")
    policy = load_policy([two, folder.path / "d", one], environment={})
    assert [resource_at(policy, f"/{name}") for name in ("one", "two", "three", "four")] == [
        "one", "two", "three", None,
    ]  # fmt: skip


def test_issuers_and_resources_may_stand_in_different_files(folder: Folder) -> None:
    folder.write(policy_text(resource="issuers: [auth.example.com, b]"), "a.yaml")
    folder.write("version: 1\nissuers: [{name: b, issuer: https://b.example}]\n", "b.json")
    assert [issuer.name for issuer in folder.load_all().issuers] == ["auth.example.com", "b"]


def test_each_file_needs_a_version(folder: Folder) -> None:
    folder.write("version: 1\n", "a.yaml")
    folder.write("issuers: []\n", "b.yaml")
    assert folder.problems_at() == ['b.yaml:1:1: the field "version" is missing']


def test_the_same_file_twice_is_read_once(folder: Folder) -> None:
    file = folder.write(public("a", "/a"))
    policy = load_policy([file, file, folder.path, folder.path], environment={})
    assert resource_at(policy, "/a") == "a"


def test_the_problems_of_all_files_are_told_in_their_order(folder: Folder) -> None:
    folder.write("version: 1\nzzz: 1\n", "c.yaml")
    folder.write("version: 2\n", "a.yaml")
    folder.write("version: 1\nissuers: [\n", "b.yml")
    folder.write(b"\xff", "d.json")
    none = folder.path / "none.yaml"
    lines = folder.problems_at(none, folder.path / "c.yaml", folder.path)
    assert [line.split(": ")[0] for line in lines] == [
        "a.yaml:1:10", "b.yml:3:1", "c.yaml:2:1", "d.json:1:1", "none.yaml",
    ]  # fmt: skip


def test_what_a_broken_file_might_have_held_is_not_complained_of(folder: Folder) -> None:
    folder.write("version: 1\nissuers: [\n", "issuers.yaml")
    folder.write(
        "version: 1\n"
        "resources: [{audience: x, issuers: [a], routes: [{path: /x, methods: {GET: []}}]}]\n",
        "resources.yaml",
    )
    [line] = folder.problems_at()
    assert line.startswith("issuers.yaml:3:1: ")


def test_what_a_broken_file_might_have_held_is_not_complained_of_where_there_are_others(
    folder: Folder,
) -> None:
    folder.write("version: 1\nissuers: [{issuer: https://a.example, name: a}\n", "a.yaml")
    folder.write("version: 1\nissuers: [{issuer: https://b.example, name: b}]\n", "b.yaml")
    folder.write(
        "version: 1\n"
        "resources: [{audience: x, issuers: [a, b], routes: [{path: /x, methods: {GET: []}}]}]\n",
        "resources.yaml",
    )
    [line] = folder.problems_at()
    assert line.startswith("a.yaml:3:1: ")


# A directory


def test_a_directory_is_every_policy_file_in_it(folder: Folder) -> None:
    for name in ("a.yaml", "b.yml", "c.json"):
        folder.write(public(name[0], f"/{name[0]}"), name)
    folder.write("junk: [", "notes.txt")
    folder.write("junk: [", "a.yaml.bak")
    folder.write("junk: [", "a.yaml~")
    folder.write("junk: [", "below/d.yaml")
    folder.write("junk: [", ".hidden.yaml")
    folder.write("junk: [", ".yaml")
    folder.write("junk: [", ".hidden/e.yaml")
    policy = folder.load_all()
    assert [resource_at(policy, f"/{name}") for name in "abc"] == ["a", "b", "c"]


@pytest.mark.parametrize(("first", "second"), [("1.yaml", "2.yaml"), ("b.yml", "a.json")])
def test_the_names_of_files_mean_nothing(folder: Folder, first: str, second: str) -> None:
    folder.write(policy_text(resource="issuers: [auth.example.com, b]"), first)
    folder.write(
        "version: 1\n"
        "issuers: [{name: b, issuer: https://b.example}]\n"
        "resources: [{audience: two, routes: [{path: /orders/new, methods: {GET: public}}]}]\n"
        "forward: {authorization: remove}\n",
        second,
    )
    policy = folder.load_all()
    assert resource_at(policy, "/orders/7") == "https://shop.example"
    assert resource_at(policy, "/orders/new") == "two"
    assert {issuer.name for issuer in policy.issuers} == {"auth.example.com", "b"}
    assert not policy.forward.keep_authorization


@pytest.mark.parametrize("name", ["a_test.yaml", "a_test.yml", "a_test.json"])
def test_files_of_tests_in_a_directory_are_no_part_of_the_policy(folder: Folder, name: str) -> None:
    folder.write(public("a", "/a"), "a.yaml")
    folder.write("tests: []\n", name)
    assert resource_at(folder.load_all(), "/a") == "a"


def test_a_policy_that_only_speaks_of_tests_is_part_of_the_directory(folder: Folder) -> None:
    folder.write(public("a", "/a"), "test.yaml")
    folder.write(public("b", "/b"), "a_test_b.yaml")
    assert resource_at(folder.load_all(), "/a") == "a"
    assert resource_at(folder.load_all(), "/b") == "b"


@pytest.mark.parametrize(
    "name", [None, "policy.txt", ".policy.yaml", "policy.YAML", "below/a.yaml"]
)
def test_a_directory_without_policy_files_is_refused(folder: Folder, name: str | None) -> None:
    if name is not None:
        folder.write("version: 1\n", name)
    assert folder.problems_at() == [
        ".: no *.yaml, *.yml or *.json in here (tests, *_test.*, do not count)"
    ]


def test_a_directory_that_holds_only_a_directory_is_refused(folder: Folder) -> None:
    (folder.path / "policy.yaml").mkdir()
    assert len(folder.problems_at()) == 1


def test_a_file_of_a_directory_that_cannot_be_read_is_refused_and_not_left_out(
    folder: Folder,
) -> None:
    folder.write(public("all", "/**"), "a.yaml")
    (folder.path / "stricter.yaml").symlink_to("none.yaml")
    assert folder.problems_at() == ["stricter.yaml: cannot be read: No such file or directory"]


def test_a_mounted_config_map_is_read_once_through_its_links(folder: Folder) -> None:
    version = "..2024_01_01_00_00_00.123456789"
    folder.write(policy_text(issuer="jwks_file: jwks.json"), f"{version}/policy.yaml")
    folder.write(KEY_SET, f"{version}/jwks.json")
    (folder.path / "..data").symlink_to(version)
    for name in ("policy.yaml", "jwks.json"):
        (folder.path / name).symlink_to(f"..data/{name}")
    [issuer] = folder.load_all().issuers
    assert isinstance(issuer.keys, KeySet)


# Key sets beside the policies


@pytest.mark.parametrize("name", ["jwks.json", "keys.yaml", "0.json"])
def test_a_key_file_in_the_directory_is_no_policy(folder: Folder, name: str) -> None:
    folder.write(policy_text(issuer=f"jwks_file: ./{name}"))
    folder.write(KEY_SET, name)
    [issuer] = folder.load_all().issuers
    assert isinstance(issuer.keys, KeySet)


def test_a_key_file_that_no_issuer_names_is_taken_for_a_policy(folder: Folder) -> None:
    folder.write(policy_text())
    folder.write(KEY_SET, "jwks.json")
    missing, unknown = folder.problems_at()
    assert missing == 'jwks.json:1:1: the field "version" is missing'
    assert unknown.startswith('jwks.json:1:2: unknown field "keys": write one of forward, issuers')


def test_a_policy_that_an_issuer_names_as_its_keys_is_refused(folder: Folder) -> None:
    folder.write(policy_text(issuer="jwks_file: other.yaml"), "policy.yaml")
    folder.write(public("other", "/other"), "other.yaml")
    assert folder.problems_at() == [
        "policy.yaml:4:16: other.yaml: the key set is not a JSON object"
    ]


def test_a_policy_that_names_itself_as_its_keys_is_refused(folder: Folder) -> None:
    folder.refuses(
        policy_text(issuer="jwks_file: »policy.yaml"), "the key set is not a JSON object"
    )


def test_policies_that_name_each_other_as_their_keys_are_refused(folder: Folder) -> None:
    folder.write(public("all", "/**"), "all.yaml")
    for name, other in (("a", "b"), ("b", "a")):
        folder.write(
            "version: 1\n"
            f"issuers: [{{issuer: https://{name}.example, jwks_file: {other}.yaml}}]\n"
            "resources:\n"
            f"  - {{audience: {name}, routes: [{{path: /{name}, methods: {{GET: []}}}}]}}\n",
            f"{name}.yaml",
        )
    assert [line.split(": ")[0] for line in folder.problems_at()] == ["a.yaml:2:50", "b.yaml:2:50"]


# Problems


def test_problems_are_sorted_by_file_line_and_column_and_told_once() -> None:
    places = [
        Position("b", 1, 1),
        Position("a"),
        Position("a", 10, 1),
        Position("a", 9, 2),
        Position("a", 9, 2),
        Position("a", 9, 1),
    ]
    error = PolicyError(Problem(place, "wrong") for place in places)
    assert str(error).split("\n") == [
        "a: wrong", "a:9:1: wrong", "a:9:2: wrong", "a:10:1: wrong", "b:1:1: wrong",
    ]  # fmt: skip


# Whatever it is


GOOD: dict[str, Any] = {
    "version": 1,
    "issuers": [
        {
            "name": "a",
            "issuer": ["https://a.example", "https://b.example"],
            "preset": "logto",
            "jwks_uri": "https://a.example/jwks",
            "algorithms": ["ES384"],
            "token_types": ["at+jwt", "absent"],
            "required_claims": ["sub"],
            "scope_claim": ["scp", "/realm/roles"],
            "client_id_claim": "azp",
            "leeway": "1s",
            "max_token_lifetime": "1h",
            "refresh": {"interval": "5m", "cooldown": "1s", "timeout": "1s", "max_stale": "1d"},
            "allow_http": False,
        },
        {"issuer": "static", "jwks_file": "keys.json"},
    ],
    "resources": [
        {
            "name": "shop",
            "audience": ["urn:shop", "urn:x"],
            "issuers": ["a", "static"],
            "hosts": ["a.example", "*.example"],
            "encoded_slash": "keep",
            "path_parameters": "refuse",
            "routes": [
                {"path": "/x", "methods": {"GET": "public", "*": []}},
                {
                    "path": "/x/{id}",
                    "audience": "urn:{id}",
                    "methods": {
                        "GET": {
                            "scopes": ["a"],
                            "any_scope": ["b", "c"],
                            "audience": ["urn:{id}"],
                            "claims": {"c": "{id}", "/d/e": {"any_of": [1, True, "x"]}},
                        },
                        "PUT": {"claims": {"f": {"present": True}}},
                    },
                },
            ],
        }
    ],
    "forward": {
        "headers": {"x-auth-subject": "sub"},
        "authorization": "remove",
        "strip": ["x-auth-*"],
        "claims_header": "x-claims",
    },
}


def places(value: object, path: ValuePath = ()) -> Iterator[ValuePath]:
    """Every value inside *value*, and itself."""
    yield path
    members = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else ()
    for step, inner in (*members, *items):
        yield from places(inner, (*path, step))


def changed(path: ValuePath, change: tuple[str, object]) -> object:
    """The good policy with one value replaced, removed, or given one member more."""
    kind, replacement = change
    root = [copy.deepcopy(GOOD)]
    around: Any = root
    *outer, last = (0, *path)
    for step in outer:
        around = around[step]
    if kind == "remove":
        del around[last]
    elif kind == "add" and isinstance(around[last], dict):
        around[last]["unknown"] = replacement
    elif kind == "add" and isinstance(around[last], list):
        around[last].append(replacement)
    else:
        around[last] = replacement
    return root[0] if root else None


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["public", "{id}", "/x", "*", "${X}", "${", "a", "/dev/null", "keys.json"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["GET", "version", "[key]", "again", "public"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
CHANGES = st.tuples(st.sampled_from(["replace", "remove", "add"]), JSON_VALUES)


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Give a directory that holds a key set."""
    folder = Folder(tmp_path_factory.mktemp("any"))
    folder.write(KEY_SET, "keys.json")
    return folder


def accept_or_place(folder: Folder, content: str | bytes) -> None:
    """Assert that a policy is loaded, or refused with positions inside its file."""
    file = folder.write(content)
    try:
        load_policy([file], environment={})
    except PolicyError as error:
        problems = error.problems
    else:
        return
    assert problems
    octets = content.encode() if isinstance(content, str) else content
    lines = octets.decode("utf-8", "replace").splitlines()
    for problem in problems:
        assert problem.position.file == str(file)
        assert 1 <= problem.position.line <= len(lines) + 1
        assert problem.position.column >= 1
        assert str(problem).isprintable()


def test_the_policy_that_is_changed_below_is_a_good_one(shared_folder: Folder) -> None:
    assert len(shared_folder.load(json.dumps(GOOD, indent=1)).issuers) == 2


@given(st.sampled_from(list(places(GOOD))), CHANGES, st.sampled_from(["ascii", "utf-8"]))
@example(("issuers", 1, "jwks_file"), ("replace", "\0"), "ascii")
@example((), ("replace", None), "ascii")
@example((), ("remove", None), "ascii")
def test_a_policy_with_one_change_is_loaded_or_refused_with_a_place(
    shared_folder: Folder,
    path: ValuePath,
    change: tuple[str, object],
    encoding: str,
) -> None:
    content = json.dumps(changed(path, change), indent=1, ensure_ascii=encoding == "ascii")
    accept_or_place(shared_folder, content.encode("utf-8", "replace"))


@pytest.mark.parametrize("path", list(places(GOOD)), ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("value", [None, 1, -1.5, [], {}, [[]], {"": None}, "", "\u2028", "{x}"])
def test_each_value_may_be_replaced_by_any_kind(
    shared_folder: Folder, path: ValuePath, value: object
) -> None:
    accept_or_place(shared_folder, json.dumps(changed(path, ("replace", value)), indent=1))


@given(st.text() | st.text("[]{}:,-&*!?|>%@`\"'# \nab1~$"))
def test_any_text_is_loaded_or_refused_with_a_place(shared_folder: Folder, text: str) -> None:
    accept_or_place(shared_folder, text.encode("utf-8", "replace"))
    accept_or_place(shared_folder, f"version: 1\nresources: {text}".encode("utf-8", "replace"))


@given(st.binary())
def test_any_bytes_are_loaded_or_refused_with_a_place(
    shared_folder: Folder, content: bytes
) -> None:
    accept_or_place(shared_folder, content)
    accept_or_place(shared_folder, b"version: 1\nissuers: " + content)


@given(JSON_VALUES)
def test_any_json_is_loaded_or_refused_with_a_place(shared_folder: Folder, value: object) -> None:
    accept_or_place(shared_folder, json.dumps(value))
    accept_or_place(shared_folder, json.dumps({"version": 1, "resources": [value]}))


@pytest.mark.parametrize("mistake", ["", "      - {path: /x, methods: {GET: [1]}}\n", "      - ["])
def test_a_policy_leaves_nothing_to_the_garbage_collector(folder: Folder, mistake: str) -> None:
    """The service relies on it: see `server.collection`."""
    routes = "".join(f"      - {{path: /r{n}, methods: {{GET: [a]}}}}\n" for n in range(300))
    text = policy_text() + routes + mistake
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(PolicyError):
            folder.load(text)
        assert gc.collect() < 100
    finally:
        gc.enable()


def test_a_file_of_very_many_values_is_refused_before_anything_is_made_of_it(
    folder: Folder,
) -> None:
    (problem,) = folder.problems(f"version: 1\nresources: [{'1,' * MAX_VALUES}1]")
    assert problem.endswith(f"more than {MAX_VALUES} values: use several files")


def test_of_very_many_mistakes_the_first_are_told_and_how_many_more_there_are(
    folder: Folder,
) -> None:
    further = 5
    rest, *told = folder.problems(
        f"version: 1\nresources: [{', '.join(['1'] * (MOST_PROBLEMS + further))}]"
    )
    assert rest == f"policy.yaml: and {further} more mistakes in this file"
    assert len(told) == MOST_PROBLEMS


def test_the_schema_for_editors_beside_a_policy_is_no_policy(folder: Folder) -> None:
    folder.write(policy_text(), "policy.yaml")
    folder.write('{"$schema": "x"}', "policy.schema.json")
    assert folder.load_all().hosts.values


def test_a_path_that_the_system_does_not_take_is_a_problem_and_no_fault(folder: Folder) -> None:
    for path in (folder.path / ("n" * 300), folder.path / "a" / ".." / ("m" * 5000)):
        (problem,) = folder.problems_at(path)
        assert "cannot be read" in problem
    link = folder.path / "policy.yaml"
    link.symlink_to("n" * 255)
    assert "cannot be read" in folder.problems_at(link)[0]
