"""What libraries and Python itself would print becomes events without a word of theirs."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, Final

import pytest

from authz_service.telemetry.logs import foreign
from authz_service.telemetry.logs.foreign import as_events, log_loop_error
from tests.server.processes import environment
from tests.telemetry.logged import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE: Final = 20.0
SENT: Final = "what-a-client-sent\r\n\x1b[2J"
THIS_FILE: Final = __file__


def _events_of(act: Callable[[], object]) -> list[dict[str, Any]]:
    """What is logged while *act* is done as the service does all that it does."""

    def within() -> None:
        with as_events():
            act()

    lines = lines_of(within, foreign)
    assert not any("what-a-client-sent" in line for line in lines)
    return [json.loads(line) for line in lines]


def _fail() -> None:
    raise ValueError(SENT)


@pytest.mark.parametrize("logger", ["aiohttp.server", "asyncio", "grpc._cython.cygrpc", "any"])
def test_what_a_library_logs_is_an_event_that_says_where(logger: str) -> None:
    (event,) = _events_of(lambda: logging.getLogger(logger).error(SENT, SENT, "unfit arguments"))
    assert (event["event"], event["level"], event["logger"]) == (
        "library_logged", "warning", logger,
    )  # fmt: skip
    (where,) = event["where"]
    assert where.startswith(f"{THIS_FILE}:")
    assert "error" not in event


def test_the_exception_that_a_library_logs_is_told_by_its_type() -> None:
    def act() -> None:
        try:
            _fail()
        except ValueError:
            logging.getLogger("aiohttp.server").exception(SENT)

    (event,) = _events_of(act)
    assert event["error"] == "ValueError"


@pytest.mark.parametrize("level", ["info", "debug"])
def test_what_a_library_has_to_say_in_good_times_is_left_out(level: str) -> None:
    assert _events_of(lambda: getattr(logging.getLogger("aiohttp.access"), level)(SENT)) == []


def test_a_warning_of_python_is_an_event() -> None:
    def act() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = foreign._log_warning  # type: ignore[assignment]
            warnings.warn(SENT, RuntimeWarning, stacklevel=1)

    (event,) = _events_of(act)
    assert (event["event"], event["error"]) == ("python_warning", "RuntimeWarning")
    assert event["where"][0].startswith(THIS_FILE)


def test_an_exception_in_a_thread_is_an_event() -> None:
    def act() -> None:
        thread = threading.Thread(target=_fail)
        thread.start()
        thread.join()

    (event,) = _events_of(act)
    assert (event["event"], event["within"], event["error"]) == (
        "unhandled_error", "thread", "ValueError",
    )  # fmt: skip
    assert any("_fail" in frame for frame in event["where"])


class _FailsAtItsEnd:
    def __del__(self) -> None:
        _fail()


def test_an_exception_in_a_finalizer_is_an_event() -> None:
    (event,) = _events_of(_FailsAtItsEnd)
    assert (event["within"], event["error"]) == ("finalizer", "ValueError")


def test_an_exception_that_no_task_takes_is_an_event() -> None:
    async def task() -> None:
        _fail()

    async def exchange() -> None:
        asyncio.get_running_loop().set_exception_handler(log_loop_error)
        held = asyncio.create_task(task())
        await asyncio.wait([held])
        del held
        gc.collect()

    (event,) = _events_of(lambda: asyncio.run(exchange()))
    assert (event["within"], event["error"]) == ("event loop", "ValueError")
    assert any("_fail" in frame for frame in event["where"])


def test_a_complaint_of_the_event_loop_without_an_exception_is_an_event_too() -> None:
    async def exchange() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log_loop_error)
        loop.call_exception_handler({"message": SENT})

    (event,) = _events_of(lambda: asyncio.run(exchange()))
    assert (event["event"], "error" in event) == ("unhandled_error", False)


def test_what_would_end_in_a_traceback_ends_in_an_event_and_status_1() -> None:
    def act() -> None:
        with pytest.raises(SystemExit) as ended, as_events():
            _fail()
        assert ended.value.code == 1

    lines = lines_of(act, foreign)
    (event,) = [json.loads(line) for line in lines]
    assert (event["event"], event["level"], event["error"]) == ("crashed", "error", "ValueError")
    assert "what-a-client-sent" not in lines[0]


def test_an_end_on_purpose_is_no_crash() -> None:
    def act() -> None:
        with pytest.raises(SystemExit) as ended, as_events():
            sys.exit(2)
        assert ended.value.code == 2

    assert lines_of(act, foreign) == []


def test_afterwards_everything_is_as_before() -> None:
    def hooks() -> list[object]:
        handlers = list(logging.getLogger().handlers)
        return [handlers, warnings.showwarning, threading.excepthook, sys.unraisablehook]

    before = hooks()
    _events_of(lambda: None)
    assert hooks() == before


# Everything at once in a process of its own, whose standard error stays empty.
PROGRAM: Final = """
import asyncio, logging, sys, threading, warnings
from authz_service.telemetry import logs
from authz_service.telemetry.logs.foreign import as_events, log_loop_error
SENT = "what-a-client-sent"
def fail(*_): raise ValueError(SENT)
async def service():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(log_loop_error)
    loop.call_soon(fail, SENT)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    logging.getLogger("grpc").error(SENT)
    warnings.warn(SENT, RuntimeWarning)
    await asyncio.sleep(0)
    fail()
logs.configure(log_format=sys.argv[1], level="info")
with as_events():
    if sys.argv[2] == "uvloop":
        import uvloop
        uvloop.run(service())
    else:
        asyncio.run(service())
"""


@pytest.mark.parametrize(("log_format", "loop"), [("json", "uvloop"), ("console", "asyncio")])
def test_nothing_is_printed_as_it_is(log_format: str, loop: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, log_format, loop],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (finished.returncode, finished.stderr) == (1, "")
    assert "what-a-client-sent" not in finished.stdout
    expected = [
        "unhandled_error", "library_logged", "python_warning", "unhandled_error", "crashed",
    ]  # fmt: skip
    lines = finished.stdout.splitlines()
    assert len(lines) == len(expected)
    assert all(event in line for event, line in zip(expected, lines, strict=True))
