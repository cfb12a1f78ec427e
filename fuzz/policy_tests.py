"""`tests`: the octets of a file of policy tests, which are run and reported on."""

from __future__ import annotations

import contextlib
import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz_service.cli.case_report import Report, Verbosity
from authz_service.policy.problems import PolicyError
from authz_service.policy.testing.cases import cases_of, read_case_file
from authz_service.policy.testing.run import Subject, run
from authz_service.policy.testing.tokens import TokenWriter
from fuzz import world
from fuzz.policy_file import check_lines, check_positions
from fuzz.scratch import written
from fuzz.target import Target
from tests.support.tokens import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECIPES: Final = Path(__file__).parents[1] / "docs" / "recipes"
_MOST_CASES: Final = 20  # each is signed, verified and explained
_WORDS: Final = (
    "tests:", "request: ", "requests:", "tokens:", "token: ", "token: none", "expect: ", "allow",
    "deny", "claims: ", "header: ", "headers: ", "like: ", "raw: ", "forged: true", "issuer: ",
    "without: ", "without_header: ", "now: ", "host: ", "policy: ", "name: ", "reason: ", "mode: ",
    "status: ", "resource: ", "route: ", "upstream: ", "exp: -10s", "nbf: +1h", "alg: none",
    "kid: ", "typ: ", "GET /products", "GET https://shop.example.com/", "insufficient_scope",
    "null",
    "&a", "\u202e", "\x1b[2J", "'", '"\\ud800"', "1e999", "${HOST}", "{}", "[]", "aud: ",
    "scope: ",
)  # fmt: skip
_ONE_OF_EACH: Final = b"""\
host: shop.example.com
now: 2025-06-15T15:06:40Z
tokens:
  alice: {issuer: logto, claims: {aud: https://shopping.api, sub: alice, scope: "read:products"}}
  old: {like: alice, claims: {exp: -1h}, without: [jti], header: {kid: other}}
tests:
  - token: alice
    requests:
      - GET /products: allow
      - {request: POST /products, expect: {reason: insufficient_scope, status: 403}}
  - {request: GET /products, token: none, expect: missing_token}
  - request: GET /team
    headers: {authorization: Bearer a}
    expect: {decision: allow, upstream: {x-auth-subject: alice, x-claims: null}}
  - request: GET /products/7
    tokens:
      - {like: old, expect: expired}
      - {raw: abc, expect: malformed_token}
      - {like: alice, forged: true, expect: bad_signature}
      - {like: alice, header: {alg: none}, without_header: [typ], expect: allow}
"""


def _seeds() -> Iterator[bytes]:
    yield _ONE_OF_EACH
    for tests in sorted(_RECIPES.glob("*_test.yaml")):
        yield tests.read_bytes()


@functools.cache
def _subject() -> Subject:
    return Subject.of(world.policy())


def _judge(octets: bytes) -> None:
    file = written("policy_test.yaml", octets)
    subject = _subject()
    report = Report(Verbosity.VERBOSE)
    try:
        read = read_case_file(file, {"HOST": world.HOST})
        now = float(NOW) if read.fields.now is None else read.fields.now
        writer = TokenWriter(subject.policy, subject.keys, read.fields.tokens, now)
        cases = cases_of(read, writer)
    except PolicyError as error:
        assert error.problems
        check_lines(map(str, error.problems))
        check_positions((problem.position for problem in error.problems), octets)
        return
    with contextlib.redirect_stdout(io.StringIO()) as output:
        report.file(file.name)
        for case in cases[:_MOST_CASES]:
            report.outcome(run(case, subject, now))
        report.end_of_files()
        report.failures()
        report.summary(0.0)
    check_lines(output.getvalue().split("\n"))


TARGET: Final = Target(_seeds, _judge, words=_WORDS, max_bytes=4096)
