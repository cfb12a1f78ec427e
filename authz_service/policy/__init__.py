"""The policy file: read with positions, checked as a whole, compiled to `core.policy.Policy`.

What is wrong keeps a policy from loading; `policy.lint` says what is only suspicious.
"""

from authz_service.policy.loader import load_policy
from authz_service.policy.problems import PolicyError, Position, Problem

__all__ = ["PolicyError", "Position", "Problem", "load_policy"]
