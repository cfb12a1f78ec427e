"""What docs/keys.md says of problems is what there may be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from authz_service.core.refresh import RefreshSettings
from authz_service.keys import no_answer
from authz_service.keys.status import NO_FETCHES, KeySetStatus
from authz_service.server.readiness import Readiness

PAGE: Final = (Path(__file__).parents[2] / "docs" / "keys.md").read_text("utf-8")


def test_every_word_for_a_problem_is_explained() -> None:
    tables = (
        no_answer._CERTIFICATE_FAULTS,
        no_answer._HANDSHAKE_FAULTS,
        no_answer._SYSTEM_FAULTS,
    )
    words = {word for table in tables for word in table.values()}
    assert {word for word in words if f"`{word}`" not in PAGE} == set()


def test_the_answer_that_is_shown_is_one_that_is_given() -> None:
    shown = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    status = KeySetStatus(
        issuer="logto",
        required=True,
        keys=0,
        dropped=0,
        age=None,
        stale_in=None,
        fetches=NO_FETCHES,
        nudges=0,
        problem="no answer: connection refused",
        without_keys_for=42.0,
        next_fetch_in=4.0,
    )
    assert shown == Readiness.of([status], stopping=False).as_json()


def test_the_defaults_that_are_named_are_true() -> None:
    settings = RefreshSettings()
    assert f"`refresh.cooldown` ({settings.cooldown:g} s)" in PAGE
    assert "(24 h)" in PAGE
    assert settings.max_stale == 24 * 3600
