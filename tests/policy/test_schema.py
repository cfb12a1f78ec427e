from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz_service.policy.validate import MOST_PROBLEMS
from tests.policy.folder import policy_text, unmark

if TYPE_CHECKING:
    from tests.policy.folder import Folder

A_STRING = "write a string"
NOT_EMPTY = "write a string that is not empty"
LEFT_EMPTY = "left empty: write a value, or remove it"
A_LIST = "write a list: [a, b]"
A_MAPPING = "write a mapping: name: value"
AT_LEAST_ONE = "write at least one"
A_DURATION = "write a number and a unit: 500ms, 10s, 5m, 24h, 1d"
A_REQUIREMENT = "write public, a list of scopes, or a mapping such as {any_scope: [a, b]}"


# The whole file


def test_a_file_that_holds_null_alone_is_empty(folder: Folder) -> None:
    folder.refuses("»~\n", "the file is empty: start with version: 1")


@pytest.mark.parametrize("text", ["»hello\n", "»1\n", "»- a\n- b\n", "»[]\n", "»''\n"])
def test_a_file_that_holds_no_mapping_is_refused(folder: Folder, text: str) -> None:
    folder.refuses(text, A_MAPPING)


def test_a_version_is_required(folder: Folder) -> None:
    folder.refuses("»issuers: []\n", 'the field "version" is missing')
    folder.refuses("»{}\n", 'the field "version" is missing')


@pytest.mark.parametrize("version", ["2", "0", "-1", "'1'", "1.5", "v1", "true", "[1]", "~"])
def test_any_version_but_one_is_refused(folder: Folder, version: str) -> None:
    folder.refuses(f"version: »{version}\n", "version: write 1")


@pytest.mark.parametrize("field", ["issuers", "resources"])
def test_a_field_without_a_value_is_not_a_list(folder: Folder, field: str) -> None:
    folder.refuses(f"version: 1\n{field}:»\n", f"{field}: {A_LIST}")


# Unknown fields


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        pytest.param(
            policy_text(top="»isuers: []"),
            'unknown field "isuers": did you mean "issuers"?',
            id="file",
        ),
        pytest.param(
            policy_text(issuer="»algorithm: [ES384]"),
            'unknown field "algorithm": did you mean "algorithms"?',
            id="issuer",
        ),
        pytest.param(
            policy_text(issuer="refresh: {»intervall: 5m}"),
            'unknown field "intervall": did you mean "interval"?',
            id="refresh",
        ),
        pytest.param(
            policy_text(resource="»host: [a.example]"),
            'unknown field "host": did you mean "hosts"?',
            id="resource",
        ),
        pytest.param(
            policy_text(route="»audiences: x"),
            'unknown field "audiences": did you mean "audience"?',
            id="route",
        ),
        pytest.param(
            policy_text(methods="{GET: {»scope: [a]}}"),
            'unknown field "scope": did you mean "scopes"?',
            id="requirement",
        ),
        pytest.param(
            policy_text(top="forward:\n  »header: {}"),
            'unknown field "header": did you mean "headers"?',
            id="forward",
        ),
        pytest.param(
            policy_text(issuer="»zzz: 1"),
            'unknown field "zzz": write one of algorithms, allow_http, client_id_claim, issuer,'
            " jwks_file, jwks_uri, leeway, max_token_lifetime, name, preset, refresh,"
            " required, required_claims, scope_claim, token_types",
            id="far_from_any",
        ),
    ],
)
def test_an_unknown_field_is_refused_at_its_name(folder: Folder, marked: str, message: str) -> None:
    folder.refuses(marked, message)


def test_an_unknown_field_of_a_claim_is_the_only_problem(folder: Folder) -> None:
    folder.refuses(
        policy_text(methods="{GET: {claims: {a: {»anyof: [1]}}}}"),
        'unknown field "anyof": did you mean "any_of"?',
    )


def test_the_inner_form_of_public_is_not_offered(folder: Folder) -> None:
    [line] = folder.problems(policy_text(methods="{GET: {zzz: 1}}"))
    assert "write one of any_scope, audience, claims, mode, optional, scopes" in line


def test_public_in_a_mapping_is_refused(folder: Folder) -> None:
    folder.refuses(policy_text(methods="{GET: »{public: true}}"), A_REQUIREMENT)


def test_a_preset_that_nobody_knows_is_refused_with_those_there_are(folder: Folder) -> None:
    folder.refuses(policy_text(issuer="preset: »Logto"), 'preset: did you mean "logto"?')
    folder.refuses(policy_text(issuer="preset: »x"), "preset: not one of rfc9068, logto")


# Values of the wrong kind


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("name: »12", A_STRING),
        ("name: »''", "a name is up to 200 characters of printable ASCII"),
        ('name: »"a\\nb"', "a name is up to 200 characters of printable ASCII"),
        ("name: »" + "n" * 201, "a name is up to 200 characters of printable ASCII"),
        ("preset: »[logto]", A_STRING),
        ("preset:»", A_STRING),
        ("jwks_uri: »12", A_STRING),
        ("jwks_file: »''", NOT_EMPTY),
        ("jwks_file: »[a]", A_STRING),
        ("algorithms: »ES384", A_LIST),
        ("algorithms: »[]", AT_LEAST_ONE),
        ("algorithms: [ES384, »es384]", "not one of RS256, RS384, RS512, PS256"),
        ("algorithms: [»ES256K]", "not one of"),
        ("algorithms: [»HS256]", "never accepted: everybody could make such a token"),
        ("algorithms: [ES384, »HS512]", "never accepted"),
        ("algorithms: [»none]", "never accepted"),
        ("algorithms: [»None]", "never accepted"),
        ("algorithms: [»nOnE]", "never accepted"),
        ("algorithms: [»null]", A_STRING),
        ("token_types: »at+jwt", A_LIST),
        ("token_types: »[]", AT_LEAST_ONE),
        ("token_types: [JWT, »'']", NOT_EMPTY),
        ("token_types: [»null]", A_STRING),
        ("required_claims: »sub", A_LIST),
        ("required_claims: [sub, »1]", A_STRING),
        ("required_claims: [»'']", NOT_EMPTY),
        ("scope_claim: »''", NOT_EMPTY),
        ("scope_claim: »[]", AT_LEAST_ONE),
        ("scope_claim: [scope, »'']", NOT_EMPTY),
        ("scope_claim: [»1]", A_STRING),
        ("scope_claim: »{a: b}", A_STRING),
        ("scope_claim: »/realm_access/~roles", "write ~0 for ~"),
        ("client_id_claim: »''", NOT_EMPTY),
        ("client_id_claim: »1", A_STRING),
        ("client_id_claim: »[]", AT_LEAST_ONE),
        ("client_id_claim: [azp, »null]", A_STRING),
        ("leeway: »10", A_DURATION),
        ("leeway: »-1s", A_DURATION),
        ("leeway: »true", A_DURATION),
        ("leeway: »[1s]", A_DURATION),
        ("max_token_lifetime: »1 day", A_DURATION),
        ("max_token_lifetime: »0s", "write a duration above zero"),
        ("refresh: »5m", A_MAPPING),
        ("refresh:»", A_MAPPING),
        ("refresh: {interval: »0s}", "write a duration above zero"),
        ("refresh: {cooldown: »0ms}", "write a duration above zero"),
        ("refresh: {timeout: »0s}", "write a duration above zero"),
        ("refresh: {max_stale: »0d}", "write a duration above zero"),
        ("refresh: {interval: »300}", A_DURATION),
        ("allow_http: »yes", "write true or false"),
        ("allow_http: »on", "write true or false"),
        ("allow_http: »1", "write true or false"),
        ("allow_http: »'true'", "write true or false"),
        ("allow_http:»", "write true or false"),
    ],
)
def test_a_field_of_an_issuer_that_is_wrong_is_placed(
    folder: Folder, line: str, message: str
) -> None:
    folder.refuses(policy_text(issuer=line), message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("»''", "an issuer is up to 200 characters of printable ASCII"),
        ("»[]", AT_LEAST_ONE),
        ("»12", A_STRING),
        ("»~", A_STRING),
        ("»{a: b}", A_STRING),
        ("[https://a.example, »'']", "an issuer is up to 200 characters of printable ASCII"),
        ("[»[https://a.example]]", A_STRING),
    ],
)
def test_the_value_of_iss_is_a_string_or_some(folder: Folder, value: str, message: str) -> None:
    folder.refuses(f"version: 1\nissuers:\n  - issuer: {value}\n", message)


def test_an_issuer_without_its_iss_is_refused(folder: Folder) -> None:
    folder.refuses("version: 1\nissuers:\n  - »name: a\n", 'the field "issuer" is missing')


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("name: »true", A_STRING),
        ("name: »ä", "a name is up to 200 characters of printable ASCII"),
        ("issuers: »auth.example.com", A_LIST),
        ("issuers: »[]", AT_LEAST_ONE),
        ("issuers: [»12]", A_STRING),
        ("hosts: »a.example", A_LIST),
        ("hosts: »[]", AT_LEAST_ONE),
        ("hosts:»", A_LIST),
        ("hosts: [»10]", A_STRING),
        ("hosts: [»'']", NOT_EMPTY),
        ("hosts: [»A.example]", "write a.example: no port, no upper case, no last dot"),
        ("hosts: [»'a.example:80']", "write a.example: no port"),
        ("hosts: [»a.example.]", "write a.example: no port"),
        ("hosts: [»'*.A.example']", "write *.a.example: no port"),
        ("hosts: [»'[::0001]']", "write [::1]: no port"),
        ("hosts: [»'*a.example']", "a host is a name, *.name, an address or *"),
        ("hosts: [»'a.*.example']", "a host is a name, *.name, an address or *"),
        ("hosts: [»'*.']", "a host is a name, *.name, an address or *"),
        ("hosts: [»'::1']", "a host is a name, *.name, an address or *"),
        ("hosts: [»'a,b']", "a host is a name, *.name, an address or *"),
        ("hosts: [»'u@a']", "a host is a name, *.name, an address or *"),
        ("hosts: [»'https://a.example']", "a host is a name, *.name, an address or *"),
        ("hosts: [a.example, »ä.example]", "a host is a name, *.name, an address or *"),
        ("encoded_slash: »true", "refuse"),
        ("encoded_slash: »decode", "keep"),
        ("path_parameters: »yes", "keep"),
        ("path_parameters:»", "refuse"),
    ],
)
def test_a_field_of_a_resource_that_is_wrong_is_placed(
    folder: Folder, line: str, message: str
) -> None:
    folder.refuses(policy_text(resource=line), message)


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        ("version: 1\nresources:\n  - »name: a\n", 'the field "audience" is missing'),
        ("version: 1\nresources:\n  - audience: »''\n", NOT_EMPTY),
        ("version: 1\nresources:\n  - audience: »[]\n", AT_LEAST_ONE),
        ("version: 1\nresources:\n  - audience: »12\n", A_STRING),
        ("version: 1\nresources:\n  - audience:»\n", A_STRING),
        ("version: 1\nresources:\n  - audience: [a, »'']\n", NOT_EMPTY),
        ("version: 1\nresources:\n  - audience: »'a{'\n", "a brace here must be part of"),
        ("version: 1\nresources:\n  - audience: »'a{1}'\n", "a brace here must be part of"),
        ("version: 1\nresources:\n  - audience: a\n    routes:»\n", A_LIST),
        ("version: 1\nresources:\n  - audience: a\n    routes: [»1]\n", A_MAPPING),
        ("version: 1\nresources: [»a]\n", A_MAPPING),
        ("version: 1\nissuers: [»https://a.example]\n", A_MAPPING),
        ("version: 1\nforward: »[]\n", A_MAPPING),
    ],
)
def test_an_entry_that_is_wrong_is_placed(folder: Folder, marked: str, message: str) -> None:
    folder.refuses(marked, message)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("»''", NOT_EMPTY),
        ("»12", A_STRING),
        ("»~", A_STRING),
        ("»[/x]", A_STRING),
        ("»orders", "a path starts with /"),
        ("»'*'", "a path starts with /"),
        ("»/orders/", "write /orders: it matches a trailing / as well"),
        ("»//", "write /"),
        ("»/a//b", "a path has no empty segment"),
        ("»/a/**/b", "** can only be the last segment"),
        ("»'/{rest=**}/b'", "** can only be the last segment"),
        ("»'/{id}/{id}'", "two segments of this path have the same name"),
        ("»'/{id}/{id=**}'", "two segments of this path have the same name"),
        ("»'/{id'", "a segment is a name, {name}, *, ** or {name=**}"),
        ("»'/{1}'", "a segment is a name"),
        ("»'/{}'", "a segment is a name"),
        ("»'/{a=*}'", "a segment is a name"),
        ("»/a*", "a segment is a name"),
        ("»/a{b}", "a segment is a name"),
        ("»/***", "a segment is a name"),
        ("»/a?b", "a path has no query"),
        ("»'/a#b'", "a segment is a name"),
        ("»/a;b", "a segment is a name"),
        ("»/a\\b", "a segment is a name"),
        ("»/a/../b", "no request matches this segment"),
        ("»/.", "no request matches this segment"),
        ("»/%2e%2E", "no request matches this segment"),
        ("»/a%2Fb", "no request matches this segment"),
        ("»/a%5cb", "no request matches this segment"),
        ("»/a%25b", "no request matches this segment"),
        ("»/a%00", "no request matches this segment"),
        ("»/a%zz", "% starts an escape of two hexadecimal digits"),
        ("»/a%2", "% starts an escape of two hexadecimal digits"),
        ("»" + "/a" * 65, "a path has at most 64 segments"),
    ],
)
def test_a_path_that_is_no_pattern_is_refused(folder: Folder, path: str, message: str) -> None:
    folder.refuses(policy_text(path=path), message)


def test_an_escape_in_a_path_that_is_not_utf_8_is_explained(folder: Folder) -> None:
    [line] = folder.problems(policy_text(path="/%ff"))
    assert line.startswith("policy.yaml:7:15: path: ")
    assert "UTF-8" in line
    assert "codec" not in line


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("»GET", A_MAPPING),
        ("»[GET]", A_MAPPING),
        ("»~", A_MAPPING),
        ("{»get: []}", "get: write GET"),
        ("{»Get: []}", "Get: write GET"),
        ("{»'G ET': []}", "G ET: not an HTTP method"),
        ("{»'**': []}", "**: not an HTTP method"),
        ("{»'': []}", "not an HTTP method"),
        ("{»1: []}", "not an HTTP method"),
        ("{GET: »Public}", A_REQUIREMENT),
        ("{GET: »read:orders}", A_REQUIREMENT),
        ("{GET: »~}", A_REQUIREMENT),
        ("{GET: »true}", A_REQUIREMENT),
        ("{GET: »1}", A_REQUIREMENT),
        ("{GET: [»'a b']}", "these are 2 scopes: write [a, b]"),
        ("{GET: [»'']}", "a scope is printable ASCII"),
        ("{GET: [»ä]}", "a scope is printable ASCII"),
        ("{GET: [»'a\"b']}", "a scope is printable ASCII"),
        ("{GET: [»'a\\b']}", "a scope is printable ASCII"),
        ('{GET: [»"a\\n"]}', "a scope is printable ASCII"),
        ("{GET: [a, »12]}", A_STRING),
        ("{GET: [»true]}", A_STRING),
        ("{GET: [»~]}", A_STRING),
        ("{GET: [»[a]]}", A_STRING),
        ("{GET: {scopes: »a}}", A_LIST),
        ("{GET: {scopes: »~}}", A_LIST),
        ("{GET: {scopes: [a, »'b c']}}", "these are 2 scopes: write [b, c]"),
        ("{GET: {any_scope: »[]}}", AT_LEAST_ONE),
        ("{GET: {any_scope: »a}}", A_LIST),
        ("{GET: {any_scope: [»'b c']}}", "these are 2 scopes: write [b, c]"),
        ("{GET: {audience: »[]}}", AT_LEAST_ONE),
        ("{GET: {audience: »''}}", NOT_EMPTY),
        ("{GET: {audience: [a, »'}']}}", "a brace here must be part of"),
        ("{GET: {claims: »[]}}", A_MAPPING),
        ("{GET: {claims: »~}}", A_MAPPING),
        ("{GET: {claims: {a: »~}}}", "write a string, a number, a boolean, {any_of: [...]}"),
        ("{GET: {claims: {a: »[1]}}}", "write a string, a number, a boolean, {any_of: [...]}"),
        ("{GET: {claims: {a: »'{'}}}", "a brace here must be part of"),
        ("{GET: {claims: {a: {any_of: [1, »~]}}}}", "write a string, a number or a boolean"),
        ("{GET: {claims: {a: {any_of: [1, »{}]}}}}", "write a string, a number or a boolean"),
        ("{GET: {claims: {a: {any_of: [1, »[1]]}}}}", "write a string, a number or a boolean"),
        ("{GET: {claims: {»'': 1}}}", NOT_EMPTY),
        ("{GET: {claims: {»/a/~2: 1}}}", "in a JSON Pointer, write ~0 for ~ and ~1 for /"),
        ("{GET: {claims: {a: »{}}}}", "write either any_of or present: true"),
        (
            "{GET: {claims: {a: »{present: true, any_of: [1]}}}}",
            "write either any_of or present: true",
        ),
    ],
)
def test_a_requirement_that_is_wrong_is_placed(folder: Folder, methods: str, message: str) -> None:
    folder.refuses(policy_text(methods=methods), message)


@pytest.mark.parametrize(
    "methods",
    [
        "{GET: {claims: {a: {any_of: »[]}}}}",
        "{GET: {claims: {a: {any_of: »1}}}}",
        "{GET: {claims: {a: {present: »false}}}}",
        "{GET: {claims: {a: {present: »'true'}}}}",
    ],
)
def test_a_wrong_value_inside_a_claim_is_the_only_problem(folder: Folder, methods: str) -> None:
    folder.refuses(policy_text(methods=methods), "write ")


def test_a_value_to_write_is_spelled_as_the_file_spells_it(folder: Folder) -> None:
    line = folder.problems(policy_text(methods="{GET: {claims: {a: {present: false}}}}"))[-1]
    assert line == "policy.yaml:8:47: present: write true"


@pytest.mark.parametrize(
    "methods",
    ["{GET: {any_scope: »~}}", "{GET: {scopes: [a], any_scope: »null}}"],
)
def test_a_requirement_left_empty_does_not_mean_that_nothing_is_required(
    folder: Folder, methods: str
) -> None:
    folder.refuses(policy_text(methods=methods), "write ")


def test_issuers_left_empty_does_not_mean_every_issuer(folder: Folder) -> None:
    folder.refuses(policy_text(resource="issuers:»"), LEFT_EMPTY)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("»[]", A_MAPPING),
        ("{headers: »[]}", A_MAPPING),
        ("{headers: {»X-A: sub}}", "write x-a: header names are in lower case here"),
        ("{headers: {»'x a': sub}}", "not the name of an HTTP header"),
        ("{headers: {»':path': sub}}", "not the name of an HTTP header"),
        ("{headers: {»ä: sub}}", "not the name of an HTTP header"),
        ("{headers: {»'': sub}}", "not the name of an HTTP header"),
        ("{headers: {»x-*: sub}}", "not the name of an HTTP header"),
        ('{headers: {»"x-a\\r\\n": sub}}', "not the name of an HTTP header"),
        ("{headers: {»authorization: sub}}", "this header has a meaning of its own"),
        ("{headers: {»host: sub}}", "this header has a meaning of its own"),
        ("{headers: {»content-length: sub}}", "this header has a meaning of its own"),
        ("{headers: {»transfer-encoding: sub}}", "this header has a meaning of its own"),
        ("{headers: {»x-envoy-original-path: sub}}", "this header has a meaning of its own"),
        ("{headers: {x-a: »''}}", NOT_EMPTY),
        ("{headers: {x-a: »~}}", A_STRING),
        ("{headers: {x-a: »[sub]}}", A_STRING),
        ("{headers: {x-a: »/a/~}}", "in a JSON Pointer, write ~0 for ~ and ~1 for /"),
        ("{authorization: »yes}", "remove"),
        ("{authorization: »drop}", "keep"),
        ("{strip: »x-a}", A_LIST),
        ("{strip: [»'']}", "write a name, or the beginning of names and a final *"),
        ("{strip: [»'*']}", "write a name, or the beginning of names and a final *"),
        ("{strip: [»'x-*-b']}", "not the name of an HTTP header"),
        ("{strip: [»X-Auth-*]}", "write x-auth-: header names are in lower case here"),
        ("{strip: [x-a, »12]}", A_STRING),
        ("{claims_header: »X-Claims}", "write x-claims: header names are in lower case here"),
        ("{claims_header: »cookie}", "this header has a meaning of its own"),
        ("{claims_header: »''}", "not the name of an HTTP header"),
        ("{claims_header: »1}", A_STRING),
    ],
)
def test_a_field_of_forward_that_is_wrong_is_placed(
    folder: Folder, value: str, message: str
) -> None:
    folder.refuses(policy_text(top=f"forward: {value}"), message)


def test_one_header_is_not_given_two_values(folder: Folder) -> None:
    folder.refuses(policy_text(top="forward: {headers: {x-a: sub}, claims_header: »x-a}"), "x-a")


def test_duplicate_keys_are_refused_at_every_depth(folder: Folder) -> None:
    folder.refuses(
        policy_text(
            resource="name: a\n»name: b",
            methods="{GET: [a], POST: {scopes: [b], »scopes: [c]}, »GET: public}",
            top="»version: 1",
        ),
        '"name" is here already, at line 6',
        '"scopes" is here already, at line 10',
        '"GET" is here already, at line 10',
        '"version" is here already, at line 1',
    )


# All problems at once


FIVE_MISTAKES = """\
version: 1
issuers:
  - name: logto
    issuer: http://auth.example.com/oidc
    leeway: 10
resources:
  - name: shop
    audience: https://shop.example
    issuers: [logto, partner]
    routes:
      - path: /orders/{id}
        metods: {GET: public}
        methods:
          GET: {claims: {tenant: "{tenant}"}}
"""


def test_five_mistakes_of_shape_and_meaning_are_five_lines(folder: Folder) -> None:
    assert folder.problems(FIVE_MISTAKES) == [
        "policy.yaml:4:13: issuer: http:// is for loopback: write https://, or allow_http: true",
        "policy.yaml:5:13: leeway: write a number and a unit: 500ms, 10s, 5m, 24h, 1d",
        'policy.yaml:9:22: no issuer is named "partner": there is logto',
        'policy.yaml:12:9: unknown field "metods": did you mean "methods"?',
        'policy.yaml:14:34: the path /orders/{id} has no {tenant}: "{tenant}"',
    ]


def test_a_file_full_of_mistakes_tells_each_of_them_once(folder: Folder) -> None:
    marked = """\
version: 1
issuers:
  - name: a
    issuer: https://a.example
    algorithms: [ES384, »HS256]
  - »name: a
    issuer: »https://a.example
    preset: »auth1
    refresh: {interval: »often, »cooldwn: 1s}
resources:
  - audience: https://one.example
    hosts: [a.example, »B.example]
    issuers: [a, »b]
    »cors: allow
    routes:
      - path: /x/{id}
        methods: {»get: [], POST: [»a b], PUT: {any_scope: »[]}}
      - path: »/x/*
        methods: {GET: public, »GET: []}
      - path: »x
        methods: {GET: public}
      - »methods: {}
  - »audience: https://one.example
    routes:
      - path: /x/{other}
        mode: »on
        methods: {GET: {audience: »"{id}", claims: {a: »"{nope}", b: »~}}}
        audience: »"${NOT_SET}/x"
forward: {strip: [»"*"], headers: {»X-A: sub}}
»extra: true
"""
    folder.refuses(
        marked,
        "never accepted",
        'an issuer is named "a" already, at',
        '"https://a.example" is an issuer already, at',
        'preset: did you mean "auth0"?',
        A_DURATION,
        'did you mean "cooldown"?',
        "write b.example",
        'no issuer is named "b"',
        'unknown field "cors"',
        "get: write GET",
        "these are 2 scopes: write [a, b]",
        AT_LEAST_ONE,
        "/x/* is the same path as /x/{id} at",
        '"GET" is here already',
        "a path starts with /",
        'the field "path" is missing',
        'a resource is named "https://one.example" already, at',
        "mode: write enforce or audit",
        'has no {id}: "{id}"',
        'has no {nope}: "{nope}"',
        "b: write a string, a number, a boolean",
        "the environment variable NOT_SET is not set",
        "write a name, or the beginning of names and a final *",
        "X-A: write x-a",
        'unknown field "extra"',
    )


@pytest.mark.parametrize(
    "marked",
    [
        policy_text(methods='{GET: [»"${NOT_SET}"]}'),
        policy_text(issuer='leeway: »"${NOT_SET}"'),
        policy_text(resource='hosts: [»"${NOT_SET}"]'),
        policy_text(resource='issuers: [»"${NOT_SET}"]'),
    ],
)
def test_a_variable_that_is_not_set_is_the_only_problem_of_its_string(
    folder: Folder, marked: str
) -> None:
    folder.refuses(marked, "the environment variable NOT_SET is not set")


def test_problems_are_in_the_order_of_the_file_by_number(folder: Folder) -> None:
    lines = folder.problems("version: 1\n" + "".join(f"zz{n}: 1\n" for n in range(15)))
    assert [line.split(":")[1] for line in lines] == [str(n) for n in range(2, 17)]


@pytest.mark.timeout(4)
def test_thousands_of_mistakes_are_told_in_good_time(folder: Folder) -> None:
    told = folder.problems(f"version: 1\nissuers: [{'1,' * 10_000}]\n")
    assert len(told) == MOST_PROBLEMS + 1


# One line for each problem


@pytest.mark.parametrize(
    ("marked", "shown"),
    [
        ('version: 1\n»"a\\x1b[31mb": 1\n', r'unknown field "a\x1b[31mb"'),
        ('version: 1\n»"a\\r\\nb": 1\n', r'unknown field "a\r\nb"'),
        ('version: 1\n»"a\\0b": 1\n', r'unknown field "a\x00b"'),
        ('version: 1\n»"a\\u2028b": 1\n', r'unknown field "a\u2028b"'),
        ('version: 1\n»"a\\u202eb": 1\n', r'unknown field "a\u202eb"'),
        ('version: 1\n»"a\\u0085b": 1\n', r'unknown field "a\x85b"'),
        ("version: 1\n»ä: 1\n", 'unknown field "ä"'),
        (policy_text(methods='{»"G\\nET": []}'), r"G\nET: not an HTTP method"),
        (policy_text(resource='issuers: [»"\\e[2J"]'), r'no issuer is named "\x1b[2J"'),
        (policy_text(path='»"/a\\n"'), "path: "),
        (
            policy_text(methods='{GET: {audience: »"\\a{x}"}}'),
            r'has no {x}: "\x07{x}"',
        ),
        (policy_text(issuer='jwks_file: »"\\e[1m"'), r"the file \x1b[1m cannot be read"),
    ],
)
def test_what_cannot_be_printed_is_escaped(folder: Folder, marked: str, shown: str) -> None:
    text, [(line, column)] = unmark(marked)
    found = folder.problems(text)[0]
    assert found.startswith(f"policy.yaml:{line}:{column}: ")
    assert shown in found
    assert found.isprintable()
