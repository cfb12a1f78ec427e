"""docs/operations.md has every option, every reason and every alert."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click
import pytest
import yaml

from authz_service.cli.serve import command
from authz_service.core.answers import ANSWERS
from authz_service.core.decision import DenyReason

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "operations.md").read_text("utf-8")
ALERTS: Final = yaml.safe_load((ROOT / "deploy" / "monitoring" / "alerts.yaml").read_text("utf-8"))
OPTIONS: Final = re.findall(
    r"^\| `(--[a-z-]+)[^`]*` \| `(AUTHZ_\w+)` \| (?:`([^`]+)`)? ?\|", PAGE, re.MULTILINE
)
REASONS: Final = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (\d{3}) \|", PAGE, re.MULTILINE)


def _default(option: click.Option) -> str:
    default = option.to_info_dict()["default"]
    return "" if default is None or default is False else str(default)


def test_every_option_is_there_with_its_variable_and_its_default() -> None:
    options = [each for each in command.params if isinstance(each, click.Option)]
    true = {(each.opts[0], each.envvar, _default(each)) for each in options if each.envvar}
    assert set(OPTIONS) == true


def test_every_reason_is_there_once_with_its_status() -> None:
    told = [
        (reason, int(status)) for names, status in REASONS for reason in re.findall(r"\w+", names)
    ]
    assert sorted(told) == sorted((each.value, ANSWERS[each].http_status) for each in DenyReason)


def test_every_alert_has_its_section_and_no_section_is_about_none() -> None:
    names = [rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]]
    assert re.findall(r"^### Alert (\w+)$", PAGE, re.MULTILINE) == names


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)", PAGE))))
def test_what_it_links_to_is_there(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_no_page_has_a_gap_to_be_filled(page: Path) -> None:
    assert "@@" not in page.read_text("utf-8")
