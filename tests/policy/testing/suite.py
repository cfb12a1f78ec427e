"""A policy with tests beside it: what becomes of the cases, or what is wrong with the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.policy import PolicyError, load_policy
from authz_service.policy.testing.cases import cases_of, read_case_file
from authz_service.policy.testing.run import Subject, run
from authz_service.policy.testing.tokens import TokenWriter
from tests.policy.folder import unmark

if TYPE_CHECKING:
    from pathlib import Path

    from authz_service.policy.testing.run import Outcome

NOW: Final = 1_750_000_000
AUDIENCE: Final = "https://shopping.api"
POLICY: Final = """\
version: 1
issuers:
  - {name: logto, issuer: "https://auth.example.com/oidc", preset: logto}
resources:
  - name: shopping
    audience: https://shopping.api
    routes:
      - path: /healthz
        methods: {GET: public}
      - path: /products
        methods: {GET: [read:products], POST: [write:products]}
      - path: /products/{id}
        methods: {GET: [read:products], "*": []}
"""
TWO_ISSUERS: Final = """\
version: 1
issuers:
  - {name: logto, issuer: "https://auth.example.com/oidc", preset: logto}
  - name: partner
    issuer: ["https://partner.example", "https://partner.example/2"]
    algorithms: [RS256]
    token_types: [absent, jwt]
    required_claims: [azp, nbf]
    scope_claim: scp
    client_id_claim: azp
    max_token_lifetime: 5m
resources:
  - {audience: a, routes: [{path: /a, methods: {GET: [r]}}]}
"""


@dataclass(frozen=True, slots=True)
class Suite:
    """A directory with a policy, for which files of tests are written."""

    path: Path

    def write(self, tests: str, name: str = "policy_test.yaml") -> Path:
        file = self.path / name
        file.write_text(tests, "utf-8")
        return file

    def outcomes(self, tests: str, policy: str = POLICY) -> list[Outcome]:
        """Run every case of *tests* against *policy*."""
        policy_file = self.path / "policy.yaml"
        policy_file.write_text(policy, "utf-8")
        subject = Subject.of(load_policy([policy_file], environment={}))
        file = read_case_file(self.write(tests), {})
        now = NOW if file.fields.now is None else file.fields.now
        writer = TokenWriter(subject.policy, subject.keys, file.fields.tokens, now)
        return [run(case, subject, now) for case in cases_of(file, writer)]

    def passes(self, tests: str, policy: str = POLICY) -> list[Outcome]:
        """Run *tests*, all of which must pass."""
        outcomes = self.outcomes(tests, policy)
        assert [outcome.differences for outcome in outcomes if not outcome.passed] == []
        assert outcomes
        return outcomes

    def passes_one(self, test: str, policy: str = POLICY) -> Outcome:
        """Run one test, written as the fields of a mapping on one line."""
        [outcome] = self.passes(f"tests:\n  - {{{test}}}\n", policy)
        return outcome

    def differences(
        self, test: str, policy: str = POLICY
    ) -> list[tuple[str, str | None, str | None]]:
        """Run one test, and give what is not as expected."""
        [outcome] = self.outcomes(f"tests:\n  - {{{test}}}\n", policy)
        return [(found.what, found.expected, found.actual) for found in outcome.differences]

    def refuses(self, marked: str, *messages: str, policy: str = POLICY) -> None:
        """Assert that there is one problem at each mark, with these messages."""
        text, places = unmark(marked)
        with pytest.raises(PolicyError) as refused:
            self.outcomes(text, policy)
        problems = refused.value.problems
        found = [(problem.position.line, problem.position.column) for problem in problems]
        assert found == places, str(refused.value)
        assert [problem.message for problem in problems] == list(messages)
