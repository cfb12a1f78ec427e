"""What the page about the token cache says is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from authz_service.cli.serve import command
from authz_service.core.verified import CacheStatistics

PAGE: Final = (Path(__file__).parents[2] / "docs" / "token-cache.md").read_text("utf-8")
OPTION: Final = re.compile(r"\| `(--[a-z-]+) [A-Z]+` \| `([A-Z_]+)` \| `([0-9]+)` \|")


def test_the_page_has_every_option_of_the_cache_with_its_variable_and_its_default() -> None:
    options = {
        (parameter.opts[0], str(parameter.envvar), str(parameter.default))
        for parameter in command.params
        if parameter.opts[0].startswith("--token-cache-")
    }
    assert options == set(OPTION.findall(PAGE))
    assert len(options) == 2


def test_the_page_names_every_figure_of_the_statistics() -> None:
    for name in CacheStatistics.__dataclass_fields__:
        assert f"`{name}`" in PAGE
