"""What a module logs, as events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from structlog.testing import LogCapture

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from types import ModuleType
    from typing import Any

    import pytest


def captured(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> list[MutableMapping[str, Any]]:
    """Collect what *module* logs from now on, whatever other tests have configured."""
    capture = LogCapture()
    logger = structlog.wrap_logger(
        None,
        processors=[capture],
        wrapper_class=structlog.make_filtering_bound_logger("debug"),
    )
    monkeypatch.setattr(module, "_log", logger)
    return capture.entries
