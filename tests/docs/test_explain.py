"""What docs/explain.md shows is what the command prints."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from click.testing import CliRunner

from authz_service.cli.main import main
from tests.support.keys import jwk_set, signing_key
from tests.support.tokens import mint

if TYPE_CHECKING:
    from click.testing import Result

DOCUMENT: Final = (Path(__file__).parents[2] / "docs" / "explain.md").read_text("utf-8")
POLICY: Final = """\
version: 1
issuers:
  - {name: logto, issuer: "https://auth.example.com/oidc", preset: logto}
resources:
  - name: shopping
    audience: https://shopping.api
    routes:
      - path: /products
        methods: {POST: [write:products]}
"""
NOW: Final = 1_772_357_400  # 2026-03-01T09:30:00Z


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "jwks.json").write_bytes(jwk_set(signing_key(kid="6fJ3").public))
    token = mint(
        {"iat": NOW - 3850, "exp": NOW - 250, "sub": "user-1"}, key=signing_key(kid="6fJ3")
    )
    (tmp_path / "token.txt").write_text(token)
    return tmp_path


def run(folder: Path, *arguments: str) -> Result:
    with contextlib.chdir(folder):
        return CliRunner().invoke(
            main,
            [
                "explain", "--policy", "policy.yaml", "--token-file", "token.txt", "--jwks",
                "jwks.json", "--at", "2026-03-01T09:30:00Z", *arguments, "POST",
                "https://shop.example.com/products",
            ],
        )  # fmt: skip


def test_the_report_that_is_shown_is_the_one_that_is_printed(folder: Path) -> None:
    (shown,) = re.findall(r"```text\n(.*?)```", DOCUMENT, re.DOTALL)
    assert run(folder).stdout == shown


def test_every_member_of_the_json_is_documented(folder: Path) -> None:
    documented = re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)
    assert list(json.loads(run(folder, "--json").stdout)) == documented
