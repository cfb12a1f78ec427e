"""`serve --key-cache`: what it takes, and what becomes of it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from authz_service.cli import serve
from authz_service.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from authz_service.server.settings import ServeSettings


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[ServeSettings]:
    """What would have been served."""
    settings: list[ServeSettings] = []
    monkeypatch.setattr(serve, "_service", settings.append)
    monkeypatch.setattr(serve, "_run", lambda _service: None)
    return settings


def run(*arguments: str, **environment: str) -> Any:  # noqa: ANN401
    return CliRunner(env=environment).invoke(
        main, ["serve", "--policy", "policy.yaml", *arguments], catch_exceptions=False
    )


def test_a_directory_is_taken_from_where_the_service_was_started(
    served: list[ServeSettings], tmp_path: Path
) -> None:
    with contextlib.chdir(tmp_path):
        (tmp_path / "policy.yaml").write_text("version: 1\n")
        run("--key-cache", "cache")
        run(AUTHZ_KEY_CACHE=str(tmp_path / "keys"))
        run()
    assert [str(each.key_cache) for each in served] == [
        str(tmp_path / "cache"),
        str(tmp_path / "keys"),
        "None",
    ]
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("policy.yaml", "is no directory"),
        ("missing/keys", "the directory that it is in is missing"),
    ],
)
def test_what_can_never_be_a_directory_is_bad_usage(
    served: list[ServeSettings], tmp_path: Path, name: str, why: str
) -> None:
    with contextlib.chdir(tmp_path):
        (tmp_path / "policy.yaml").write_text("version: 1\n")
        result = run("--key-cache", name)
    assert result.exit_code == 2
    assert why in result.stderr
    assert served == []


def test_an_empty_name_is_bad_usage(served: list[ServeSettings], tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        (tmp_path / "policy.yaml").write_text("version: 1\n")
        result = run("--key-cache", "")
    assert result.exit_code == 2
    assert "write the name of a directory" in result.stderr
    assert served == []


def test_help_names_the_default_and_the_variable() -> None:
    text = " ".join(CliRunner().invoke(main, ["serve", "--help"]).stdout.split())
    assert "--key-cache DIR" in text
    assert "AUTHZ_KEY_CACHE" in text
    assert "Default: they are kept in memory alone." in text
