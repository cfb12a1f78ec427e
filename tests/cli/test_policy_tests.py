"""`authz-service test` as a person meets it: what it prints, and how it ends."""

from __future__ import annotations

import re
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Final

import pytest
from click.testing import CliRunner, Result

from authz_service.cli.main import main
from tests.edge.rig import PATIENCE
from tests.server.processes import environment

if TYPE_CHECKING:
    from pathlib import Path

POLICY: Final = """\
version: 1
issuers:
  - {name: logto, issuer: "https://auth.example.com/oidc", preset: logto}
resources:
  - name: shopping
    audience: https://shopping.api
    hosts: [shop.example.com]
    routes:
      - path: /healthz
        methods: {GET: public}
      - path: /products
        methods: {GET: [read:products], POST: [write:products]}
      - path: /products/{product_id}
        methods: {GET: [read:products], DELETE: {any_scope: [delete:products, admin]}}
      - path: /me/**
        methods: {"*": []}
"""
TESTS: Final = """\
now: 2026-01-01T00:00:00Z
host: shop.example.com
tokens:
  reader:
    claims: {aud: https://shopping.api, sub: alice, scope: "read:products"}
tests:
  - name: a reader reads
    token: reader
    requests:
      - GET /products: allow
      - GET /products/7: allow
      - POST /products: insufficient_scope
  - request: DELETE /products/7
    tokens:
      - {token: reader, expect: insufficient_scope}
      - {claims: {aud: https://shopping.api, scope: admin}, expect: allow}
      - {token: none, expect: missing_token}
"""
FAILING: Final = """\
now: 2026-01-01T00:00:00Z
host: shop.example.com
tests:
  - name: a reader writes
    request: POST /products
    token: {claims: {aud: https://shopping.api, scope: "read:products"}}
    expect: allow
  - name: a name is passed on
    request: GET /products/7
    token: {claims: {aud: https://shopping.api, sub: alice, scope: "read:products"}}
    expect: {route: /products, upstream: {x-auth-subject: bob, x-auth-client-id: null}}
  - {request: GET /healthz, expect: allow}
  - {name: old, request: GET /me/cart, token: {claims: {exp: -5m}}, expect: expired}
  - {request: GET /product, expect: {status: 401}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a policy and tests that pass."""
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "policy_test.yaml").write_text(TESTS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _run(*arguments: str, color: bool = False) -> Result:
    return CliRunner().invoke(main, ["test", *arguments], color=color)


def _timeless(text: str) -> str:
    """*text* with the time that it took as `0.00s`, in a line of the same length."""
    return re.sub(r"\d+\.\d\ds", "0.00s", text)


PASSING_OUTPUT: Final = """\
policy_test.yaml ......
---------------------------- coverage of the policy ----------------------------
Route                                     Methods     Miss    Cover   Missing
shopping /healthz                               1        1       0%   GET
shopping /me/**                                 1        1       0%   *
TOTAL                                           6        2    66.6%
============================== 6 passed in 0.00s ===============================
"""

FAILING_OUTPUT: Final = """\
failing_test.yaml FF.FF
=================================== FAILURES ===================================
_______________________________ a reader writes ________________________________
failing_test.yaml:4:5
  expected  decision allow
  actual    decision deny
  decided   deny, insufficient_scope, 403
  route     POST /products of shopping: audience https://shopping.api, scope write:products
  token     iss https://auth.example.com/oidc, aud https://shopping.api, scope read:products
  why       the route /products needs the scope write:products for POST; the token has read:products

_____________________________ a name is passed on ______________________________
failing_test.yaml:8:5
  expected  route /products
  actual    route /products/{product_id}
  expected  x-auth-subject bob
  actual    x-auth-subject alice
  expected  x-auth-client-id not set
  actual    x-auth-client-id test-client_id
  decided   allow, 200
  route     GET /products/{product_id} of shopping: audience https://shopping.api, scope read:products
  token     iss https://auth.example.com/oidc, aud https://shopping.api, scope read:products
  why       the token of logto has what the route /products/{product_id} needs for GET: the audience https://shopping.api and read:products

_____________________________________ old ______________________________________
failing_test.yaml:13:5
  expected  reason expired
  actual    reason missing_claim
  decided   deny, missing_claim, 401
  route     GET /me/** of shopping: audience https://shopping.api
  token     iss https://auth.example.com/oidc, no aud, no scope
  why       the token lacks aud; tokens of logto must have iss, aud, exp, sub, client_id, iat and jti

_________________________ GET /product without a token _________________________
failing_test.yaml:14:5
  expected  status 401
  actual    status 403
  decided   deny, no_route, 403
  token     none that can be read (missing_token)
  why       no route of the host shop.example.com has the path /product; the nearest is /products

---------------------------- coverage of the policy ----------------------------
Route                                     Methods     Miss    Cover   Missing
shopping /products                              2        1      50%   GET
shopping /products/{product_id}                 2        1      50%   DELETE
TOTAL                                           6        2    66.6%
========================= 4 failed, 1 passed in 0.00s ==========================
"""  # noqa: E501 - as it is printed


@pytest.mark.usefixtures("here")
def test_tests_that_pass_end_with_what_they_did_not_reach() -> None:
    result = _run("policy.yaml")
    assert _timeless(result.stdout) == PASSING_OUTPUT
    assert (result.exit_code, result.stderr) == (0, "")


def test_tests_that_fail_say_what_was_expected_what_was_decided_and_why(here: Path) -> None:
    (here / "failing_test.yaml").write_text(
        f"policy: policy.yaml\n{FAILING}".replace("\nnow", "\nnow")
    )
    (here / "failing_test.yaml").write_text(f"{FAILING}policy: policy.yaml\n")
    result = _run("failing_test.yaml")
    assert _timeless(result.stdout) == FAILING_OUTPUT
    assert (result.exit_code, result.stderr) == (1, "")


def test_quiet_prints_failures_and_the_last_line_alone(here: Path) -> None:
    assert _timeless(_run("policy.yaml", "--quiet").stdout) == "6 passed in 0.00s\n"
    (here / "failing_test.yaml").write_text(f"{FAILING}policy: policy.yaml\n")
    lines = _timeless(_run("failing_test.yaml", "-q").stdout).splitlines()
    assert lines[0].strip("= ") == "FAILURES"
    assert lines[-1] == "4 failed, 1 passed in 0.00s"
    assert not any("coverage" in line for line in lines)


@pytest.mark.usefixtures("here")
def test_verbose_prints_a_line_for_each_case_and_every_route() -> None:
    lines = _run("policy.yaml", "-v").stdout.splitlines()
    assert lines[:6] == [
        "policy_test.yaml:10:9 a reader reads: GET /products PASSED",
        "policy_test.yaml:11:9 a reader reads: GET /products/7 PASSED",
        "policy_test.yaml:12:9 a reader reads: POST /products PASSED",
        "policy_test.yaml:15:9 DELETE /products/7 as reader PASSED",
        (
            "policy_test.yaml:16:9 DELETE /products/7 as"
            ' {"aud": "https://shopping.api", "scope": "admin"} PASSED'
        ),
        "policy_test.yaml:17:9 DELETE /products/7 without a token PASSED",
    ]
    assert sum(line.startswith("shopping /") for line in lines) == 4


@pytest.mark.usefixtures("here")
def test_quiet_and_verbose_do_not_go_together() -> None:
    result = _run("policy.yaml", "-q", "-v")
    assert result.exit_code == 2
    assert "choose one of --verbose and --quiet" in result.stderr


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("a reader", "3 passed, 3 deselected"),
        ("A READER", "3 passed, 3 deselected"),
        ("without", "1 passed, 5 deselected"),
        ("products", "6 passed"),
    ],
)
def test_cases_are_chosen_by_a_part_of_their_name(text: str, summary: str) -> None:
    result = _run("policy.yaml", "-q", "-k", text)
    assert _timeless(result.stdout) == f"{summary} in 0.00s\n"
    assert result.exit_code == 0


@pytest.mark.usefixtures("here")
def test_to_choose_no_case_at_all_is_bad_usage() -> None:
    result = _run("policy.yaml", "-k", "nobody")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "no case has 'nobody' in its name\n"


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("least", "status"), [("0", 0), ("66", 0), ("66.66", 0), ("66.7", 1), ("100", 1)]
)
def test_too_little_coverage_is_a_failure(least: str, status: int) -> None:
    result = _run("policy.yaml", "--min-coverage", least)
    assert result.exit_code == status
    message = f"FAIL: 66.6% is reached, and --min-coverage asks for {least}%\n"
    assert (message in result.stdout) == (status == 1)


@pytest.mark.usefixtures("here")
def test_too_little_coverage_is_told_also_quietly() -> None:
    lines = _run("policy.yaml", "-q", "--min-coverage", "100").stdout.splitlines()
    assert lines[0] == "FAIL: 66.6% is reached, and --min-coverage asks for 100%"
    assert len(lines) == 2


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("least", ["-1", "101", "all"])
def test_a_coverage_that_cannot_be_is_bad_usage(least: str) -> None:
    result = _run("policy.yaml", "--min-coverage", least)
    assert result.exit_code == 2
    assert "--min-coverage" in result.stderr


def test_all_that_is_reached_counts_over_every_file_of_a_policy(here: Path) -> None:
    (here / "more").mkdir()
    (here / "more" / "more_test.yaml").write_text(
        "policy: ../policy.yaml\n"
        "host: shop.example.com\n"
        "tests: [{requests: [GET /healthz: allow, GET /me/cart: deny]}]\n"
    )
    result = _run(".", "--min-coverage", "100")
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if line.startswith("TOTAL")] == [
        "TOTAL                                           6        0     100%"
    ]
    assert "more/more_test.yaml .." in result.stdout


def test_another_policy_can_be_tested(here: Path) -> None:
    (here / "other.yaml").write_text(POLICY.replace("[read:products]", "[read:all]"))
    result = _run("policy_test.yaml", "--policy", "other.yaml", "-q")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("2 failed, 4 passed")


def test_many_cases_are_many_lines_of_dots(here: Path) -> None:
    rows = "".join(f"      - GET /healthz?{number}: allow\n" for number in range(200))
    (here / "policy_test.yaml").write_text(f"host: shop.example.com\ntests:\n  - requests:\n{rows}")
    lines = _run("policy.yaml").stdout.splitlines()
    dots = [line for line in lines if line.endswith("...")]
    assert sum(line.rpartition(" ")[2].count(".") for line in dots) == 200
    assert {len(line) for line in dots[:-1]} == {80}


@pytest.mark.usefixtures("here")
def test_colours_are_for_terminals_alone() -> None:
    assert "\x1b[" not in _run("policy.yaml").stdout
    assert "\x1b[32m" in _run("policy.yaml", color=True).stdout


# What cannot be run


def test_every_mistake_of_every_file_is_told_before_anything_runs(here: Path) -> None:
    (here / "policy_test.yaml").write_text("tests: [{request: GET /, token: a, expect: b}]\n")
    (here / "x_test.yaml").write_text(
        "policy: policy.yaml\ntests: [{request: GET /, token: a, expect: deny}]\n"
    )
    (here / "y_test.yaml").write_text(
        "policy: none.yaml\ntests: [{request: GET /, expect: deny}]\n"
    )
    result = _run(".")
    assert (result.exit_code, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        "none.yaml",
        "policy_test.yaml:1:44",
        "x_test.yaml:2:33",
    ]
    assert 'there is no reason "b"' in lines[1]
    assert 'no token is named "a": there is none' in lines[2]


def test_a_policy_with_mistakes_is_not_tested(here: Path) -> None:
    (here / "policy.yaml").write_text(POLICY.replace("preset", "presett"))
    result = _run("policy.yaml")
    assert result.exit_code == 2
    assert result.stderr == ('policy.yaml:3:60: unknown field "presett": did you mean "preset"?\n')


def test_where_there_are_no_tests_an_example_is_shown(here: Path) -> None:
    (here / "policy_test.yaml").unlink()
    for path in (".", "policy.yaml"):
        result = _run(path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == dedent(f"""\
            {path}: no tests here; to begin, write to policy_test.yaml:

            tests:
              - request: GET https://shop.example.com/products
                token: {{claims: {{aud: https://shopping.api, scope: "read:products"}}}}
                expect: allow
            """)


def test_the_example_is_one_that_passes(here: Path) -> None:
    example = _example(here)
    (here / "policy_test.yaml").write_text(example)
    assert _run("policy.yaml").exit_code == 0


def _example(here: Path) -> str:
    (here / "policy_test.yaml").unlink()
    return _run(".").stderr.partition("\n\n")[2]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("arguments", [[], ["none.yaml"], ["policy.yaml", "--nothing"]])
def test_bad_usage_ends_with_two(arguments: list[str]) -> None:
    assert _run(*arguments).exit_code == 2


def test_names_from_the_environment_are_replaced(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP", "shop.example.com")
    tests = TESTS.replace("host: shop.example.com", "host: ${SHOP}")
    (here / "policy_test.yaml").write_text(tests)
    assert _run("policy.yaml").exit_code == 0


def test_what_a_file_holds_cannot_write_to_the_terminal(here: Path) -> None:
    name = '"\\e[31mred\\n"'
    token = f"{{claims: {{aud: {name}, scope: {name}}}}}"
    (here / "policy_test.yaml").write_text(
        f"host: shop.example.com\ntests: [{{name: {name}, request: GET /products, token: {token},"
        f" expect: {{upstream: {{a: {name}}}}}}}]\n"
    )
    result = _run("policy.yaml")
    assert result.exit_code == 1
    assert all(line.isprintable() for line in result.stdout.splitlines())
    assert "red\n" not in result.stdout


def test_no_token_is_ever_printed(here: Path) -> None:
    (here / "failing_test.yaml").write_text(f"{FAILING}policy: policy.yaml\n")
    output = _run("failing_test.yaml", "-v").stdout
    assert "eyJ" not in output
    assert "Bearer" not in output


def test_a_token_that_the_upstream_gets_is_not_printed_either(here: Path) -> None:
    token = '{claims: {aud: https://shopping.api, scope: "read:products"}}'
    (here / "policy_test.yaml").write_text(
        "host: shop.example.com\n"
        f"tests: [{{request: GET /products, token: {token},"
        " expect: {upstream: {authorization: null}}}]\n"
    )
    output = _run("policy.yaml").stdout
    assert (
        "  expected  authorization not set\n  actual    authorization set, and not shown\n"
        in output
    )
    assert "eyJ" not in output


def test_the_command_loads_no_server_and_needs_no_extra(here: Path) -> None:
    code = (
        "import sys\n"
        "from authz_service.cli.main import main\n"
        "try: main(['test', '-q', '.'])\n"
        "finally: print(*(n for n in ('grpc', 'aiohttp', 'rich', 'pytest') if n in sys.modules))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=here,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert _timeless(result.stdout) == "6 passed in 0.00s\n\n"


def test_a_thousand_cases_are_run_by_the_real_command(here: Path) -> None:
    """How long it takes is measured by hand; here, that it is done at all."""
    rows = "".join(f"      - GET /products/{number}: allow\n" for number in range(1000))
    (here / "policy_test.yaml").write_text(
        "host: shop.example.com\n"
        "tests:\n"
        '  - token: {claims: {aud: https://shopping.api, scope: "read:products"}}\n'
        f"    requests:\n{rows}"
    )
    result = subprocess.run(
        [sys.executable, "-m", "authz_service", "test", "-q", "policy.yaml"],
        cwd=here,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert _timeless(result.stdout) == "1000 passed in 0.00s\n"
