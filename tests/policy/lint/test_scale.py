"""No rule compares everything with everything."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.policy.lint import RULES
from authz_service.policy.loader import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.policy.folder import Folder

FEW: Final = 600
MANY: Final = 2400
LINEAR: Final = MANY / FEW  # what is quadratic takes four times that

START: Final = "version: 1\nissuers: [{issuer: https://auth.example.com}]\nresources:\n"


def of_one_resource(size: int) -> str:
    routes = (
        f"      - {{path: '/r{number}{path}', methods: {{GET: [r:{number}], POST: public}}}}\n"
        for number in range(size // 3)
        for path in ("", "/{x}/**", "/**")
    )
    return f"{START}  - audience: a\n    routes:\n{''.join(routes)}"


def of_many_hosts(size: int) -> str:
    methods = "methods: {GET: [], POST: public}"
    named = (
        f"  - {{audience: h{number}, hosts: [h{number}.example.com],"
        f" routes: [{{path: '/r{number}/**', {methods}}}]}}\n"
        for number in range(size // 2)
    )
    unnamed = (
        f"  - {{audience: a{number}, routes: [{{path: '/r{number}/{{x}}/**', {methods}}}]}}\n"
        for number in range(size // 2)
    )
    return START + "".join((*named, *unnamed))


def seconds(folder: Folder, text: str, code: str, warnings: int) -> float:
    """Measure all rules on a policy for which only the one of *code* has *warnings*."""
    loaded = load([folder.write(text)], environment={})
    start = time.process_time()
    found = {name: len(list(rule(loaded))) for name, rule in RULES.items()}
    taken = time.process_time() - start
    assert {name: number for name, number in found.items() if number} == {code: warnings}
    return taken


@pytest.mark.parametrize(
    ("policy_of", "code", "share"),
    [(of_one_resource, "unreachable-route", 3), (of_many_hosts, "hidden-by-host", 2)],
)
def test_the_time_grows_as_the_policy_does(
    folder: Folder, policy_of: Callable[[int], str], code: str, share: int
) -> None:
    few = seconds(folder, policy_of(FEW), code, FEW // share)
    many = seconds(folder, policy_of(MANY), code, MANY // share)
    assert many < 2 * LINEAR * few
