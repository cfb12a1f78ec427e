"""What a ValidatingAdmissionPolicy admits: its expressions, evaluated.

Only Kubernetes has an authorizer: a question to it is an expression of its own, and is read here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cel_expr_python import cel

if TYPE_CHECKING:
    from collections.abc import Collection

    from tests.deploy.kustomized import Manifest


Right = tuple[str, str, str]
"""Group, resource and verb."""

_QUESTION: Final = re.compile(
    r'authorizer\.group\("(.+?)"\)\.resource\("(.+?)"\)\.namespace\(request\.namespace\)\s*'
    r'\.check\("(.+?)"\)\.allowed\(\)'
)


def asked_for(policy: Manifest) -> list[Right]:
    """What whoever asks must be allowed to do in the namespace."""
    questions = (_QUESTION.fullmatch(each["expression"]) for each in policy["spec"]["validations"])
    return [(match[1], match[2], match[3]) for match in questions if match]


def admits(policy: Manifest, rights: Collection[Right] = (), **variables: object) -> bool:
    """Whether *policy* lets pass what *variables* (`object`, `request`) stand for.

    *rights* are those in the namespace of whoever asks.
    """
    environment = cel.NewEnv(variables=dict.fromkeys(variables, cel.Type.DYN))

    def holds(expression: str) -> bool:
        if match := _QUESTION.fullmatch(expression):
            return (match[1], match[2], match[3]) in rights
        return bool(environment.compile(expression).eval(data=variables).value())

    spec = policy["spec"]
    if not all(holds(each["expression"]) for each in spec.get("matchConditions", [])):
        return True
    return all(holds(each["expression"]) for each in spec["validations"])
