"""What libraries and Python itself would print: events like ours, without a word of theirs.

Their messages and tracebacks may hold what a client has sent. So an event says who spoke up, where
in the code and about which type of error, and whoever wants the words looks there.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from typing import Any

    from structlog.typing import EventDict

_log = structlog.get_logger(__name__)


@contextlib.contextmanager
def as_events() -> Iterator[None]:
    """Within, everything that would be printed is logged; what would end the process, too.

    Raises SystemExit in the place of an exception that nobody has handled.
    """
    root, before = logging.getLogger(), _Hooks()
    handlers, root.handlers = root.handlers, [_Handler(logging.WARNING)]
    warnings.showwarning = _log_warning  # type: ignore[assignment] # takes what it is called with
    threading.excepthook = _log_thread
    sys.unraisablehook = _log_unraisable
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the last one who could
        _log.error("crashed", **_of(error))
        sys.exit(1)
    finally:
        root.handlers = handlers
        before.restore()


class _Hooks:
    """The hooks as they were."""

    def __init__(self) -> None:
        self._warning = warnings.showwarning
        self._thread = threading.excepthook
        self._unraisable = sys.unraisablehook

    def restore(self) -> None:
        warnings.showwarning = self._warning
        threading.excepthook = self._thread
        sys.unraisablehook = self._unraisable


class _Handler(logging.Handler):
    """Takes what reaches the root logger: from asyncio, grpc and whoever comes along."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of *record*. How grave it is to us, the library cannot know."""
        error = record.exc_info[1] if record.exc_info else None
        fields: EventDict = {} if error is None else {"error": type(error).__name__}
        where = f"{record.pathname}:{record.lineno} {record.funcName}"
        _log.warning("library_logged", logger=record.name, where=[where], **fields)


def log_loop_error(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell of what the event loop cannot hand to anybody; its exception handler."""
    _log.error("unhandled_error", within="event loop", **_of(context.get("exception")))


def _log_thread(arguments: threading.ExceptHookArgs) -> None:
    _log.error("unhandled_error", within="thread", **_of(arguments.exc_value))


def _log_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    _log.error("unhandled_error", within="finalizer", **_of(unraisable.exc_value))


def _log_warning(
    _message: Warning | str, category: type[Warning], filename: str, lineno: int, *_rest: object
) -> None:
    _log.warning("python_warning", error=category.__name__, where=[f"{filename}:{lineno}"])


def _of(error: BaseException | None) -> EventDict:
    """The type of *error* and where it came from; not its message."""
    if error is None:
        return {}
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(error).__name__, "where": where}
