"""docs/limits.md names every option of the limits, with its default."""

from __future__ import annotations

import re
from pathlib import Path

import click
import yaml

from authz_service.cli.serving import limits

DOCUMENT = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")


@limits.options
def _with_all_options() -> None:
    """Carry them."""


OPTIONS = [
    option
    for option in click.command()(_with_all_options).params
    if isinstance(option, click.Option)
]


def test_every_option_is_there_with_its_default() -> None:
    rows = re.findall(r"^\| (`--[^|]+) \| ([^|]+) \|", DOCUMENT, re.MULTILINE)
    told = {
        name: float(value)
        for names, values in rows
        for name, value in zip(re.findall(r"`(--[a-z-]+)`", names), values.split(","), strict=True)
    }
    assert told == {option.opts[0]: float(str(option.default)) for option in OPTIONS}


def test_the_retry_that_is_shown_is_yaml() -> None:
    [block] = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    assert yaml.safe_load(block)["grpc_service"]["retry_policy"]["num_retries"] == 2
