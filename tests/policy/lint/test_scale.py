"""No rule compares everything with everything."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.policy.lint import RULES
from authz_service.policy.loader import load

if TYPE_CHECKING:
    from tests.policy.folder import Folder

ROUTES: Final = 10_000
SECONDS: Final = 10.0  # five times what it takes here; what is quadratic takes minutes

START: Final = "version: 1\nissuers: [{issuer: https://auth.example.com}]\nresources:\n"


def of_one_resource() -> str:
    routes = (
        f"      - {{path: '/r{number}{path}', methods: {{GET: [r:{number}], POST: public}}}}\n"
        for number in range(ROUTES // 3)
        for path in ("", "/{x}/**", "/**")
    )
    return f"{START}  - audience: a\n    routes:\n{''.join(routes)}"


def of_many_hosts() -> str:
    methods = "methods: {GET: [], POST: public}"
    named = (
        f"  - {{audience: h{number}, hosts: [h{number}.example.com],"
        f" routes: [{{path: '/r{number}/**', {methods}}}]}}\n"
        for number in range(ROUTES // 2)
    )
    unnamed = (
        f"  - {{audience: a{number}, routes: [{{path: '/r{number}/{{x}}/**', {methods}}}]}}\n"
        for number in range(ROUTES // 2)
    )
    return START + "".join((*named, *unnamed))


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (of_one_resource(), {"unreachable-route": ROUTES // 3}),
        (of_many_hosts(), {"hidden-by-host": ROUTES // 2}),
    ],
    ids=["one resource", "many hosts"],
)
def test_ten_thousand_routes_take_seconds(
    folder: Folder, text: str, warnings: dict[str, int]
) -> None:
    loaded = load([folder.write(text)], environment={})
    start = time.process_time()
    found = {code: len(list(rule(loaded))) for code, rule in RULES.items()}
    assert time.process_time() - start < SECONDS
    assert {code: number for code, number in found.items() if number} == warnings
