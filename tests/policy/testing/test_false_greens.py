"""What would make a case pass whatever is decided is a mistake, told where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from authz_service.policy import PolicyError
from authz_service.policy.testing.find import find
from authz_service.policy.testing.reach import percentage
from tests.policy.folder import unmark
from tests.policy.testing.suite import AUDIENCE, POLICY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.policy.testing.suite import Suite

CLAIMS: Final = f"{{aud: {AUDIENCE}, scope: 'read:products'}}"
FORGED: Final = f"tokens: {{f: {{claims: {CLAIMS}, forged: true}}}}\n"


@pytest.mark.parametrize(
    ("marked", "message"),
    [
        (
            "tests: [{request: GET /healthz, expect: »{upstream: {}}}]\n",
            "nothing is expected here",
        ),
        (
            "tests:\n  - »{request: GET /healthz, expect: {upstream: {x-auth-subjct: null}}}\n",
            "x-auth-subjct: nobody sets or sends this header",
        ),
        (
            "tests:\n  - {request: GET /products, token: »{without: [audd]}, expect: deny}\n",
            'without: no member is named "audd"',
        ),
        (
            "tests:\n  - {request: GET /products, token: »{without_header: [Alg]}, expect: deny}\n",
            'without_header: no member is named "Alg": did you mean "alg"?',
        ),
        (
            "tokens:\n  t0: {claims: {a: 1}}\n"
            + "".join(f"  t{n}: {'»' * (n == 33)}{{like: t{n - 1}}}\n" for n in range(1, 34))
            + "tests: [{request: GET /healthz, expect: allow}]\n",
            "more than 32 tokens are each like the next",
        ),
    ],
)
def test_a_mistake_that_no_decision_would_show_is_refused(
    suite: Suite, marked: str, message: str
) -> None:
    text, [(line, column)] = unmark(marked)
    with pytest.raises(PolicyError) as refused:
        suite.outcomes(text)
    first, *_rest = refused.value.problems
    assert (first.position.line, first.position.column) == (line, column), refused.value
    assert message in first.message


def test_a_token_like_a_forged_one_may_be_a_good_one(suite: Suite) -> None:
    outcomes = suite.outcomes(
        f"{FORGED}tests:\n"
        "  - {request: GET /products, token: f, expect: bad_signature}\n"
        "  - {request: GET /products, token: {like: f, forged: false}, expect: allow}\n"
        "  - {request: GET /products, token: {like: f, claims: {sub: a}}, expect: bad_signature}\n"
    )
    assert all(outcome.passed for outcome in outcomes)


def test_a_preflight_reaches_no_requirement(suite: Suite) -> None:
    policy = POLICY.replace("    routes:", "    cors_preflight: allow\n    routes:")
    headers = "{origin: https://a.example, access-control-request-method: GET}"
    [outcome] = suite.outcomes(
        f"tests: [{{request: OPTIONS /products/7, headers: {headers}, expect: allow}}]\n",
        policy=policy,
    )
    assert outcome.passed
    assert percentage(outcome.subject.reach.routes()) == 0


def test_links_to_directories_are_followed_once(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    test = real / "p_test.yaml"
    test.write_text("tests: []", "utf-8")
    top = tmp_path / "top"
    top.mkdir()
    (top / "linked").symlink_to(real)
    (real / "back").symlink_to(top)
    (real / "self").symlink_to(real)
    assert find([top], {}) == [top / "linked" / "p_test.yaml"]


def test_a_file_of_tests_is_known_whatever_the_case_of_its_name(tmp_path: Path) -> None:
    file = tmp_path / "Q_Test.YAML"
    file.write_text("tests: []", "utf-8")
    assert find([tmp_path], {}) == [file]
