"""What a sidecar loads: a thousand copies of it run, so nothing that it has no use for."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

from tests.edge.rig import PATIENCE
from tests.server.processes import environment

_OF_THE_DEMO: Final = (
    "aiohttp", "aiohappyeyeballs", "aiosignal", "frozenlist", "multidict", "propcache", "yarl",
)  # fmt: skip
_ABSENT: Final = (*_OF_THE_DEMO, "rich", "envoy", "openapi_pydantic", "opentelemetry")
_REPORT: Final = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
_HELP: Final = """\
import contextlib, sys
from authz_service.cli.main import main
with contextlib.suppress(SystemExit):
    main(["serve", "--help"])
"""
EACH_WAY: Final = pytest.mark.parametrize(
    "code", ["import authz_service.cli.serve", _HELP], ids=["import", "help"]
)


def modules_after(code: str) -> set[str]:
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{_REPORT}"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return set(json.loads(result.stderr.splitlines()[-1]))


def _loaded(modules: set[str], *names: str) -> set[str]:
    return {
        module
        for module in modules
        for name in names
        if module == name or module.startswith(f"{name}.")
    }


@EACH_WAY
def test_serve_loads_nothing_of_the_demo_nor_of_the_tests(code: str) -> None:
    modules = modules_after(code)
    assert _loaded(modules, "authz_service.server.service")
    unwanted = (
        "authz_service.demo", "authz_service.cli.demo", "authz_service.explain",
        "authz_service.openapi", "authz_service.policy.json_schema", "authz_service.policy.lint",
        "authz_service.policy.testing", "authz_service.policy.throwaway",
        "authz_service.policy.why", "authz_service.telemetry.spans", "cel_expr_python", "envoy",
        "hypothesis", "opentelemetry", "pytest", *_OF_THE_DEMO,
    )  # fmt: skip
    assert not _loaded(modules, *unwanted)


@EACH_WAY
def test_serve_works_without_what_only_other_commands_need(code: str) -> None:
    """A distribution that is None in `sys.modules` is as good as not installed."""
    absent = f"import sys; sys.modules.update(dict.fromkeys({_ABSENT}))"
    assert _loaded(modules_after(f"{absent}\n{code}"), "authz_service.server.service")


def test_the_group_loads_no_command_before_it_is_asked_for() -> None:
    modules = modules_after("import authz_service.cli.main")
    assert not _loaded(modules, "grpc", "aiohttp", "pydantic", "structlog", "google", "uvloop")
