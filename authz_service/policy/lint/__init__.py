"""What is suspicious in a policy that loads: allowed by the language, and seldom meant.

A rule is a pure function from a loaded policy to places with what to do there; `rules.RULES` gives
each its code. `docs/lint.md` explains the codes. No rule takes more time than the policy has lines,
times a small factor.
"""

from authz_service.policy.lint.finding import Finding, Severity, mistakes
from authz_service.policy.lint.rules import RULES, lint

__all__ = ["RULES", "Finding", "Severity", "lint", "mistakes"]
