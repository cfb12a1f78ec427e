"""What a ValidatingAdmissionPolicy admits: its expressions, evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cel_expr_python import cel

if TYPE_CHECKING:
    from tests.deploy.kustomized import Manifest


def admits(policy: Manifest, **variables: object) -> bool:
    """Whether *policy* lets pass what *variables* (`object`, `request`) stand for."""
    environment = cel.NewEnv(variables=dict.fromkeys(variables, cel.Type.DYN))

    def holds(expression: str) -> bool:
        return bool(environment.compile(expression).eval(data=variables).value())

    spec = policy["spec"]
    if not all(holds(each["expression"]) for each in spec.get("matchConditions", [])):
        return True
    return all(holds(each["expression"]) for each in spec["validations"])
