"""Policies written to a directory, loaded from it, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import indent
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.policy import TokenRequirement
from authz_service.core.request import Host, RequestPath
from authz_service.policy import PolicyError, load_policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from authz_service.core.policy import Policy, Requirement, RouteMatch
    from authz_service.policy import Problem

MARK: Final = "»"
"""Stands in a policy before each place that a problem is expected at."""

# The public key of RFC 7515, appendix A.3.
KEY_SET: Final = """{"keys": [{
  "kty": "EC", "crv": "P-256", "kid": "a3",
  "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
  "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
}]}"""


def policy_text(
    *,
    issuer: str = "",
    resource: str = "",
    route: str = "",
    path: str = "/orders/{id}",
    methods: str = "{GET: [read:orders]}",
    top: str = "",
) -> str:
    """Write a good policy of one issuer, one resource and one route, with lines added to each."""
    return (
        "version: 1\n"
        "issuers:\n"
        "  - issuer: https://auth.example.com/oidc\n"
        f"{_lines(issuer, 4)}"
        "resources:\n"
        "  - audience: https://shop.example\n"
        f"{_lines(resource, 4)}"
        "    routes:\n"
        f"      - path: {path}\n"
        f"{_lines(route, 8)}"
        f"        methods: {methods}\n"
        f"{_lines(top, 0)}"
    )


def _lines(text: str, columns: int) -> str:
    return indent(text, " " * columns) + "\n" if text else ""


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory of policy files."""

    path: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def write(self, content: str | bytes, name: str = "policy.yaml") -> Path:
        """Put a file there."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def load(self, content: str | bytes, name: str = "policy.yaml") -> Policy:
        """Load a policy of one file."""
        return load_policy([self.write(content, name)], environment=self.environment)

    def load_all(self) -> Policy:
        """Load everything that was written."""
        return load_policy([self.path], environment=self.environment)

    def problems(self, content: str | bytes, name: str = "policy.yaml") -> list[str]:
        """Say what is wrong with a policy of one file, each problem as the operator sees it."""
        return self.problems_at(self.write(content, name))

    def problems_at(self, *paths: Path) -> list[str]:
        """Say what is wrong with the policy of *paths*, or of the whole directory."""
        with pytest.raises(PolicyError) as refused:
            load_policy(paths or [self.path], environment=self.environment)
        lines = str(refused.value).split("\n")
        assert len(lines) == len(refused.value.problems)
        assert list(refused.value.problems) == sorted(refused.value.problems)
        return [line.replace(f"{self.path}/", "").replace(str(self.path), ".", 1) for line in lines]

    def refuses(self, marked: str, *messages: str) -> None:
        """Assert that there is one problem at each mark, and that *messages* are parts of them."""
        text, expected = unmark(marked)
        file = self.write(text)
        with pytest.raises(PolicyError) as refused:
            load_policy([file], environment=self.environment)
        problems = refused.value.problems
        assert [_place(problem) for problem in problems] == expected, str(refused.value)
        for problem, message in zip(problems, messages, strict=True):
            assert message in problem.message


def unmark(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """Take the marks out of a text, and give the line and column of each."""
    places: list[tuple[int, int]] = []
    before, *pieces = marked.split(MARK)
    for piece in pieces:
        places.append((before.count("\n") + 1, len(before) - before.rfind("\n")))
        before += piece
    return before, places


def _place(problem: Problem) -> tuple[int, int]:
    return problem.position.line, problem.position.column


def match(policy: Policy, target: str, host: str = "any.example") -> RouteMatch:
    """Find the route of a request."""
    return policy.match(Host.parse(host), RequestPath.parse(target))


def requirement(
    policy: Policy, method: str, target: str = "/orders/7", host: str = "any.example"
) -> Requirement:
    """Find what a request must meet."""
    return match(policy, target, host).route.requirement_for(method)


def token_requirement(
    policy: Policy, method: str = "GET", target: str = "/orders/7", host: str = "any.example"
) -> TokenRequirement:
    """Find what the token of a request must have."""
    found = requirement(policy, method, target, host)
    assert isinstance(found, TokenRequirement)
    return found
