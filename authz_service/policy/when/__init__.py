"""`when`: conditions in CEL, compiled when the policy is loaded and bounded in what they cost."""

from authz_service.policy.when.expression import BUDGET, MAX_LENGTH, WhenExpression

__all__ = ["BUDGET", "MAX_LENGTH", "WhenExpression"]
