"""What `serve` is told about its log, and what it says where that cannot be."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import pytest
from click.testing import CliRunner, Result

from authz_service.cli.main import main
from tests.edge.shop import check_request
from tests.server.processes import PUBLIC_ONLY, service

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY: Final = b"0123456789abcdef0123456789abcdef"
CLEAN: Final = {name: None for name in os.environ if name.startswith("AUTHZ_")}
HASH: Final = ("--log-identity", "hash", "--log-identity-key-file")


def _serve(policy: Path, *options: str, env: Mapping[str, str] | None = None) -> Result:
    """Run what is refused before anything is served."""
    arguments = ["serve", "--policy", str(policy), "--listen", "unix:/dev/null", *options]
    return CliRunner().invoke(main, arguments, env={**CLEAN, **(env or {})})


def _assert_is_one_line(result: Result, *parts: str) -> None:
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.isprintable()
    assert [part for part in parts if part not in line] == []
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (KEY[:-1], "32 to 4096 bytes"),
        (b"", "32 to 4096 bytes"),
        (KEY * 200, "32 to 4096 bytes"),
        (None, "No such file or directory"),
    ],
)
def test_a_key_file_without_a_key_is_told_in_one_line(
    policy: Path, tmp_path: Path, content: bytes | None, why: str
) -> None:
    file = tmp_path / "key\x1b[2J\n"
    if content is not None:
        file.write_bytes(content)
    result = _serve(policy, *HASH, str(file))
    _assert_is_one_line(result, "--log-identity-key-file", str(tmp_path), why)
    assert "0123" not in result.stderr


def test_a_key_file_may_come_from_the_environment(policy: Path, tmp_path: Path) -> None:
    env = {"AUTHZ_LOG_IDENTITY": "hash", "AUTHZ_LOG_IDENTITY_KEY_FILE": str(tmp_path)}
    _assert_is_one_line(_serve(policy, env=env), str(tmp_path), "directory")


def test_a_key_file_without_a_hash_is_a_mistake_that_would_show_identities(
    policy: Path, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_bytes(KEY)
    result = _serve(policy, "--log-identity-key-file", str(file))
    assert result.exit_code == 2
    assert "has no use without --log-identity hash" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--log-allows", "1.1"),
        ("--log-allows", "-0.1"),
        ("--log-allows", "nan"),
        ("--log-allows", "1%"),
        ("--log-identity", "none"),
        ("--log-path", "full"),
    ],
)
def test_another_value_is_bad_usage(policy: Path, option: str, value: str) -> None:
    result = _serve(policy, option, value)
    assert result.exit_code == 2
    assert option in result.stderr


def test_a_service_logs_as_it_is_told(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(KEY)

    async def exchange() -> list[dict[str, object]]:
        options = (*HASH, str(key), "--log-allows", "0", "--log-path", "raw")
        async with service(tmp_path, PUBLIC_ONLY, *options) as running, running.caller() as caller:
            await caller.check(check_request("/healthz"))
            await caller.check(check_request("/nowhere?secret"))
            running.process.terminate()
            return await running.rest_of_the_log()

    events = asyncio.run(exchange())
    (denied,) = [event for event in events if event["event"] == "check"]
    assert (denied["decision"], denied["path"]) == ("deny", "/nowhere")
    assert "log_identity_key" not in {event["event"] for event in events}


def test_a_random_key_is_told_of(tmp_path: Path) -> None:
    async def exchange() -> None:
        options = ("--log-identity", "hash")
        async with service(tmp_path, PUBLIC_ONLY, *options) as running:
            await running.event("log_identity_key", key="random")

    asyncio.run(exchange())


def test_help_names_every_option_with_its_variable() -> None:
    shown = " ".join(CliRunner().invoke(main, ["serve", "--help"], env=CLEAN).stdout.split())
    for name in ("allows", "identity", "identity-key-file", "path", "format", "level"):
        assert f"--log-{name} " in shown
        assert f"AUTHZ_LOG_{name.upper().replace('-', '_')}" in shown
