"""What a sidecar loads: a thousand copies of it run, so nothing that it has no use for."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from authz_service.cli.imports import as_if_missing
from tests.edge.rig import PATIENCE, reason
from tests.edge.shop import check_request
from tests.policy.folder import KEY_SET, policy_text
from tests.server.processes import environment

if TYPE_CHECKING:
    from pathlib import Path

_OF_THE_DEMO: Final = (
    "aiohttp", "aiohappyeyeballs", "aiosignal", "frozenlist", "multidict", "propcache", "yarl",
)  # fmt: skip
_ABSENT: Final = (*_OF_THE_DEMO, "rich", "envoy", "openapi_pydantic", "opentelemetry")
# What reads, checks and compiles a policy, tests it, or writes one.
_OF_POLICIES: Final = (
    "pydantic", "pydantic_core", "yaml", *(
        f"authz_service.policy.{name}"
        for name in (
            "compiler", "document", "duration", "json_schema", "lint", "loader", "loading_process",
            "place", "presets", "schema", "testing", "throwaway", "validate", "why",
        )
    ),
)  # fmt: skip
_UNUSED: Final = (
    "authz_service.demo", "authz_service.cli.demo", "authz_service.explain",
    "authz_service.openapi", "authz_service.telemetry.spans", "cel_expr_python", "envoy",
    "hypothesis", "opentelemetry", "pytest", *_OF_POLICIES, *_OF_THE_DEMO,
)  # fmt: skip
_REPORT: Final = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
# A service that says on standard error what it has loaded, when it is asked on standard input.
_SERVE: Final = f"""\
import threading
def report():
    input()
    {_REPORT}
threading.Thread(target=report, daemon=True).start()
from authz_service.cli.main import main
main(["serve", *sys.argv[1:]])
"""
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


def modules_of_a_service(folder: Path, policy: str, absent: tuple[str, ...] = ()) -> set[str]:
    """What a service has loaded that is ready, has answered a Check, and has reloaded once."""
    file = folder / "policy.yaml"
    file.write_text(policy)
    (folder / "jwks.json").write_text(KEY_SET)
    with subprocess.Popen(
        [sys.executable, "-c", f"{_without(absent)}\n{_SERVE}", "--policy", str(file)],
        env=environment({"AUTHZ_LISTEN": "127.0.0.1:0", "AUTHZ_ADMIN": "127.0.0.1:0"}), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as service:  # fmt: skip
        try:
            assert service.stdin is not None
            assert service.stdout is not None
            events = map(json.loads, service.stdout)
            started = next(event for event in events if event["event"] == "listening")
            with grpc.insecure_channel(started["listen"]) as channel:
                check = channel.unary_unary(
                    "/envoy.service.auth.v3.Authorization/Check",
                    request_serializer=CheckRequest.SerializeToString,
                    response_deserializer=CheckResponse.FromString,
                )
                answer = check(check_request("/orders/7", token="junk"), timeout=PATIENCE)
                assert reason(answer) == "malformed_token"
            service.send_signal(signal.SIGHUP)
            next(event for event in events if event["event"] == "policy_unchanged")
            service.stdin.write("\n")
            service.stdin.flush()
            assert service.stderr is not None
            told: set[str] = set(json.loads(service.stderr.readline()))
        finally:
            service.terminate()
            service.communicate(timeout=PATIENCE)
    return told


def _without(names: tuple[str, ...]) -> str:
    """A distribution that is None in `sys.modules` is as good as not installed."""
    return f"import sys; sys.modules.update(dict.fromkeys({names}))"


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
    assert _loaded(modules, "authz_service.cli.serve")
    assert not _loaded(modules, *_UNUSED)
    assert not _loaded(modules, "grpc", "aiohttp"), "the policy would be loaded after them"


def test_serve_loads_nothing_of_it_either_once_it_has_answered_and_reloaded(tmp_path: Path) -> None:
    modules = modules_of_a_service(tmp_path, policy_text(issuer="jwks_file: jwks.json"))
    assert _loaded(modules, "authz_service.server.service", "grpc")
    assert not _loaded(modules, "rich", *_UNUSED)


def test_serve_loads_what_evaluates_conditions_where_a_policy_has_some(tmp_path: Path) -> None:
    modules = modules_of_a_service(tmp_path, policy_text(methods="{GET: {when: 'true'}}"))
    assert _loaded(modules, "cel_expr_python")
    assert not _loaded(modules, *_OF_POLICIES)


@EACH_WAY
def test_serve_works_without_what_only_other_commands_need(code: str) -> None:
    assert _loaded(modules_after(f"{_without(_ABSENT)}\n{code}"), "authz_service.cli.serve")


def test_serve_runs_without_what_only_other_commands_need(tmp_path: Path) -> None:
    modules = modules_of_a_service(tmp_path, policy_text(), absent=_ABSENT)
    assert _loaded(modules, "authz_service.server.service")


def test_the_group_loads_no_command_before_it_is_asked_for() -> None:
    modules = modules_after("import authz_service.cli.main")
    assert not _loaded(modules, "grpc", "aiohttp", "pydantic", "structlog", "google", "uvloop")


def test_what_is_as_if_missing_can_be_imported_afterwards() -> None:
    sys.modules.pop("colorsys", None)
    with as_if_missing("colorsys"), pytest.raises(ImportError):
        importlib.import_module("colorsys")
    assert importlib.import_module("colorsys") is sys.modules["colorsys"]
    with as_if_missing("colorsys"):
        assert importlib.import_module("colorsys") is sys.modules["colorsys"]
    assert "colorsys" in sys.modules
