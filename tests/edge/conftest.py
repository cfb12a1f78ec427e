"""What the edge tests share: a place where log events arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from authz_service.ext_authz import servicer

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    from structlog.typing import EventDict


@pytest.fixture
def log_events(monkeypatch: pytest.MonkeyPatch) -> MutableSequence[EventDict]:
    """Every event that the servicer logs, however logging is configured."""
    capture = structlog.testing.LogCapture()
    logger = structlog.wrap_logger(
        structlog.ReturnLogger(), processors=[capture], wrapper_class=structlog.BoundLogger
    )
    monkeypatch.setattr(servicer, "_log", logger)
    return capture.entries
