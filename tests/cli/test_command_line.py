"""The command line as a person meets it: options, mistakes, and how each of them ends."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Final

import pytest
from click.testing import CliRunner, Result

from authz_service.cli.main import main
from tests.edge.rig import PATIENCE, reason
from tests.edge.shop import check_request
from tests.server.processes import REPOSITORY, environment, service

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BAD_USAGE: Final = 2
CLEAN: Final = {name: None for name in os.environ if name.startswith("AUTHZ_")}

FIVE_MISTAKES: Final = """\
version: 1
issuers:
  - {name: logto, issuer: "https://auth.example.com/oidc", preset: logtoo}
resources:
  - name: shopping
    audience: https://shopping.api
    issuers: [logto]
    routs: []
    routes:
      - path: products
        methods: {GET: public}
      - path: /products
        methods: {get: public}
      - path: /orders
        methods: {GET: ["read orders"]}
"""


def _run(*arguments: str, env: Mapping[str, str | None] | None = None) -> Result:
    """Run the command in this process; for what ends before anything is served."""
    return CliRunner().invoke(main, list(arguments), env={**CLEAN, **(env or {})})


def _process(
    *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "authz_service", *arguments],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _assert_is_refused_in_one_line(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode == BAD_USAGE
    (line,) = result.stderr.splitlines()
    for part in parts:
        assert part in line


# Help and version


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command(option: str) -> None:
    result = _run(option)
    assert result.exit_code == 0
    assert "serve" in result.stdout
    assert "demo" in result.stdout
    assert result.stderr == ""


_SETTINGS: Final = (
    "policy", "listen", "admin", "log-format", "log-level",
    "token-cache-entries", "token-cache-bytes",
)  # fmt: skip


def test_help_of_serve_names_every_option_its_default_and_its_variable() -> None:
    result = _run("serve", "--help")
    assert result.exit_code == 0
    for name in _SETTINGS:
        assert f"--{name} " in result.stdout
    for text in ("127.0.0.1:9191", "127.0.0.1:9192", "json", "info", "2048", "16777216"):
        assert text in result.stdout


@pytest.mark.parametrize("name", _SETTINGS)
def test_help_of_serve_names_the_variable_of_every_option(name: str) -> None:
    assert f"AUTHZ_{name.replace('-', '_').upper()}" in _run("serve", "--help").stdout


def test_version_is_that_of_the_distribution(tmp_path: Path) -> None:
    """Installed or not: the metadata comes first on the path, as an installation would put it."""
    metadata = tmp_path / "authz_service-9.8.7.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.4\nName: authz-service\nVersion: 9.8.7\n")
    result = _process("--version", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"})
    assert result.returncode == 0
    assert "9.8.7" in result.stdout
    assert result.stderr == ""


def test_an_unknown_command_is_bad_usage() -> None:
    result = _run("server")
    assert result.exit_code == BAD_USAGE
    assert "server" in result.stderr


@pytest.mark.parametrize("name", ["__init__", "main", "../server", "os"])
def test_no_module_but_a_command_can_be_asked_for(name: str) -> None:
    assert _run(name).exit_code == BAD_USAGE


def test_the_module_and_the_console_script_are_the_same_command() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["authz-service"].partition(":")
    script = getattr(importlib.import_module(module), name)
    assert importlib.import_module("authz_service.__main__").main is script


def test_python_minus_m_gives_the_same_help() -> None:
    result = _process("serve", "--help")
    assert result.returncode == 0
    assert _options_in(result.stdout) == _options_in(_run("serve", "--help").stdout)


def _options_in(help_text: str) -> list[str]:
    """Its words, without the name of the command and however they are wrapped."""
    return help_text.partition("\n")[2].split()


# Bad usage


def test_serve_without_a_policy_is_bad_usage() -> None:
    result = _run("serve")
    assert result.exit_code == BAD_USAGE
    assert "--policy" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("option", "value", "hint"),
    [
        ("--listen", "9191", "HOST:PORT"),
        ("--listen", "127.0.0.1:99999", "at most 65535"),
        ("--listen", "unix:relative", "unix:/path"),
        ("--listen", "off", "HOST:PORT"),
        ("--admin", "9192", "HOST:PORT"),
        ("--admin", "unix:/run/admin.sock", "off"),
        ("--admin", "OFF", "HOST:PORT"),
        ("--log-format", "xml", "'json', 'console'"),
        ("--log-level", "loud", "'debug', 'info', 'warning', 'error'"),
        ("--token-cache-entries", "-1", "x>=0"),
        ("--token-cache-entries", "many", "whole number"),
        ("--token-cache-bytes", "8MiB", "whole number"),
        ("--port", "1", "--port"),
    ],
)
def test_a_bad_option_is_bad_usage_and_says_what_to_write(
    policy: Path, option: str, value: str, hint: str
) -> None:
    result = _run("serve", "--policy", str(policy), option, value)
    assert result.exit_code == BAD_USAGE
    assert isinstance(result.exception, SystemExit)
    assert option in result.stderr
    assert hint in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "name",
    ["LISTEN", "ADMIN", "LOG_FORMAT", "LOG_LEVEL", "TOKEN_CACHE_ENTRIES", "TOKEN_CACHE_BYTES"],
)
def test_a_bad_value_in_the_environment_is_bad_usage(policy: Path, name: str) -> None:
    result = _run("serve", "--policy", str(policy), env={f"AUTHZ_{name}": "nonsense"})
    assert result.exit_code == BAD_USAGE
    assert f"--{name.lower().replace('_', '-')}" in result.stderr


# Bad policies


def test_every_mistake_of_a_policy_is_one_line_with_its_position(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(FIVE_MISTAKES)
    result = _process("serve", "--policy", str(file))
    assert result.returncode == BAD_USAGE
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    places = [re.fullmatch(rf"{re.escape(str(file))}:(\d+):\d+: \S.*", line) for line in lines]
    assert [place and int(place[1]) for place in places] == [3, 8, 10, 13, 15]


def test_mistakes_of_several_files_are_told_together(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text("version: 2\n")
    other.write_text("version: 1\nresource: []\n")
    result = _run("serve", "--policy", str(one), "--policy", str(other))
    assert result.exit_code == BAD_USAGE
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == [str(one), str(other)]


@pytest.mark.parametrize("content", ["", "\x00", "a: [", "- 1\n", "version: 1\nversion: 1\n", "é"])
def test_a_file_that_is_no_policy_is_told_in_one_line(tmp_path: Path, content: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(content, encoding="latin-1")
    result = _run("serve", "--policy", str(file))
    assert result.exit_code == BAD_USAGE
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{file}:")


@pytest.mark.parametrize("missing", ["nowhere.yaml", "nowhere/policy.yaml"])
def test_a_policy_that_is_not_there_is_told_in_one_line(tmp_path: Path, missing: str) -> None:
    result = _run("serve", "--policy", str(tmp_path / missing))
    assert result.exit_code == BAD_USAGE
    (line,) = result.stderr.splitlines()
    assert line.startswith(str(tmp_path / missing))
    assert "cannot be read" in line


def test_a_directory_without_a_policy_is_told_in_one_line(tmp_path: Path) -> None:
    result = _run("serve", "--policy", str(tmp_path))
    assert result.exit_code == BAD_USAGE
    assert len(result.stderr.splitlines()) == 1


# Ports and sockets that cannot be had


@pytest.mark.parametrize("option", ["--listen", "--admin"])
def test_a_port_that_is_taken_is_told_in_one_line(policy: Path, option: str) -> None:
    options = {"--listen": "127.0.0.1:0", "--admin": "127.0.0.1:0"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options[option] = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = [part for pair in options.items() for part in pair]
        result = _process("serve", "--policy", str(policy), *arguments)
    _assert_is_refused_in_one_line(result, "cannot listen on", options[option])


def test_a_socket_path_that_is_a_file_is_told_in_one_line(policy: Path) -> None:
    result = _process("serve", "--policy", str(policy), "--listen", f"unix:{policy}")
    _assert_is_refused_in_one_line(result, "cannot listen on", "not a socket")
    assert policy.read_text()


def test_an_admin_host_that_is_no_name_is_bad_usage(policy: Path) -> None:
    options = ("--listen", "127.0.0.1:0", "--admin", "..:0")
    result = _process("serve", "--policy", str(policy), *options)
    assert result.returncode == 2
    assert "write HOST:PORT" in result.stderr.splitlines()[-1]


# Serving


def test_settings_come_from_the_environment(policy: Path, tmp_path: Path) -> None:
    """Two policy files, joined as the platform joins paths, are one policy."""
    more = tmp_path / "more.yaml"
    more.write_text(
        "version: 1\nresources:\n"
        "  - {name: more, audience: a, routes: [{path: /more, methods: {GET: public}}]}\n"
    )

    async def exchange() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "authz_service", "serve",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=environment({
                "AUTHZ_POLICY": os.pathsep.join([str(policy), str(more)]),
                "AUTHZ_LISTEN": f"unix:{tmp_path / 'authz.sock'}",
                "AUTHZ_ADMIN": "off",
                "AUTHZ_LOG_FORMAT": "json",
                "AUTHZ_LOG_LEVEL": "info",
            }),
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
            started = json.loads(line)
            assert started["event"] == "listening"
            assert started["listen"] == f"unix:{tmp_path / 'authz.sock'}"
            assert started["admin"] is None
            process.send_signal(signal.SIGTERM)
            _rest, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
            assert (process.returncode, errors) == (0, b"")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    asyncio.run(exchange())


def test_every_file_of_the_environment_is_read(policy: Path, tmp_path: Path) -> None:
    bad = tmp_path / "with space.yaml"
    bad.write_text("version: 1\nresource: []\n")
    paths = os.pathsep.join([str(policy), str(bad)])
    result = _run("serve", env={"AUTHZ_POLICY": paths})
    assert result.exit_code == BAD_USAGE
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{bad}:2:1: ")


def test_an_option_wins_over_the_environment(policy: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.yaml"
    result = _run("serve", "--policy", str(missing), env={"AUTHZ_POLICY": str(policy)})
    assert result.exit_code == BAD_USAGE
    assert result.stderr.startswith(str(missing))


def test_the_empty_policy_serves_warns_and_denies_everything(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with service(tmp_path, "version: 1\n") as running, running.caller() as caller:
            warning = await running.event("policy_without_routes")
            assert warning["level"] == "warning"
            for target in ("/", "/healthz", "/products"):
                response = await caller.check(check_request(target))
                assert (response.status.code, reason(response)) == (7, "no_route")
            running.signal(signal.SIGTERM)
            assert await running.exit_status() == 0

    asyncio.run(exchange())


def test_the_console_format_is_for_people(policy: Path, tmp_path: Path) -> None:
    async def exchange() -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "authz_service", "serve", "--policy", str(policy),
            "--listen", f"unix:{tmp_path / 'authz.sock'}", "--admin", "off",
            "--log-format", "console",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(),
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = (await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode()
            assert "listening" in line
            assert "authz.sock" in line
            assert not line.startswith("{")
            assert "\x1b" not in line  # colours are for terminals
            process.send_signal(signal.SIGTERM)
            _rest, errors = await asyncio.wait_for(process.communicate(), PATIENCE)
            assert (process.returncode, errors) == (0, b"")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    asyncio.run(exchange())


def test_sighup_does_not_end_what_is_about_to_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = []
    load = importlib.import_module

    def loading(name: str) -> object:
        handlers.append(signal.getsignal(signal.SIGHUP))
        return load(name)

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        monkeypatch.setattr("authz_service.cli.main.importlib.import_module", loading)
        assert _run("demo", "--help").exit_code == 0
        assert _run("serve", "--help").exit_code == 0
        assert handlers == [signal.SIG_DFL, signal.SIG_IGN]
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
