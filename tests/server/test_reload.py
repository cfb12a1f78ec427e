"""When the policy is loaded, and what becomes of the outcome: with files, and without a service."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from authz_service.policy import Position, Problem, load_policy
from authz_service.policy.files import FilesRead
from authz_service.policy.loading_process import outcome
from authz_service.server import reload
from authz_service.server.background import in_background
from authz_service.server.loading import Loaded, LoadError, Refused, _received
from authz_service.server.reload import MAX_PROBLEMS, Reloader
from tests.edge.rig import PATIENCE
from tests.support.event_loops import eventually, in_event_loop
from tests.support.log_events import captured

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, MutableMapping
    from pathlib import Path

    from authz_service.core.policy import Policy

BASE = """\
version: 1
resources:
  - name: shopping
    audience: https://shopping.api
    routes:
      - {path: /healthz, methods: {GET: public}}
"""
MORE = f"{BASE}      - {{path: /livez, methods: {{GET: public}}}}\n"
BAD = BASE.replace("routes", "rotues")
EMPTY = "version: 1\n"


class Rig:
    """A reloader of one file, and what it has done."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.write_text(BASE)
        self.loads = 0
        self.loading = threading.Event()
        self.may_load = threading.Event()
        self.may_load.set()
        self.while_loading: Callable[[], object] = lambda: None
        self.fault: Exception | None = None
        self.refused: Refused | None = None
        self.taken: list[Policy] = []
        self.results: list[str] = []
        loaded = self._read()
        assert isinstance(loaded, Loaded)
        self.reloader = Reloader(loaded, self._load, self._take, self.results.append)

    def _read(self, previous: bytes | None = None) -> Loaded | Refused:
        """Do here what a process of its own does, and get what it sends."""
        sent = pickle.dumps(outcome([self.file], previous=previous, environment={}))
        return _received(sent)

    async def _load(self, in_use: Loaded) -> Loaded | Refused:
        return await in_background(self._load_in_thread, in_use.parcel)

    def _load_in_thread(self, previous: bytes) -> Loaded | Refused:
        self.loads += 1
        if self.fault is not None:
            raise self.fault
        loaded = self._read(previous)
        self.while_loading()
        self.loading.set()
        assert self.may_load.wait(PATIENCE)
        return self.refused or loaded

    async def _take(self, policy: Policy) -> None:
        self.taken.append(policy)

    async def result(self, number: int = 1) -> str:
        """Wait for the result of the *number*th reload."""
        await eventually(lambda: len(self.results) >= number)
        return self.results[number - 1]

    def write(self, text: str) -> None:
        """Write the policy, and ask for a reload."""
        self.file.write_text(text)
        self.reloader.ask()


@contextlib.asynccontextmanager
async def running(file: Path) -> AsyncIterator[Rig]:
    """Run a reloader of *file*."""
    rig = Rig(file)
    task = asyncio.create_task(rig.reloader.run())
    try:
        yield rig
    finally:
        rig.may_load.set()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """Give what the module under test logs."""
    return captured(monkeypatch, reload)


def _names(events: list[MutableMapping[str, Any]]) -> list[tuple[str, str]]:
    return [(event["log_level"], event["event"]) for event in events]


def test_another_policy_is_taken_and_told(
    file: Path, events: list[MutableMapping[str, Any]]
) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            rig.write(MORE)
            assert await rig.result() == "changed"
            assert len(rig.taken) == 1

    exchange()
    (event,) = events
    assert event["event"] == "policy_reloaded"
    assert event["routes_added"] == 1
    assert event["routes_added_names"] == ["shopping GET /livez"]


def test_files_with_the_same_content_are_not_even_loaded(
    file: Path, events: list[MutableMapping[str, Any]]
) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            rig.write(BASE)
            rig.write(BASE)
            rig.reloader.insist()  # comes last, and is the only one
            assert await rig.result() == "unchanged"
            assert rig.loads == 1

    exchange()
    assert _names(events) == [("info", "policy_unchanged")]


def test_a_comment_is_no_news(file: Path, events: list[MutableMapping[str, Any]]) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            rig.write(f"# hello\n{BASE}")
            assert await rig.result() == "unchanged"
            assert len(rig.taken) == 1  # it is what the files say

    exchange()
    assert _names(events) == [("debug", "policy_unchanged")]


def test_a_bad_policy_changes_nothing_until_a_good_one_comes(
    file: Path, events: list[MutableMapping[str, Any]]
) -> None:
    problems = [f'{file}:5:5: unknown field "rotues": did you mean "routes"?']

    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            assert list(rig.reloader.warnings) == []
            rig.write(BAD)
            assert await rig.result() == "failed"
            assert rig.taken == []
            (problem,) = problems
            start = "the policy on disk was not taken: 1 problem, first: "
            assert list(rig.reloader.warnings) == [start + problem]
            rig.write(BAD)  # nothing to say that was not said
            rig.write(BASE)
            assert await rig.result(2) == "unchanged"
            assert list(rig.reloader.warnings) == []

    exchange()
    assert _names(events) == [("error", "policy_not_reloaded"), ("info", "policy_unchanged")]
    assert (events[0]["count"], events[0]["problems"]) == (1, problems)


def test_a_bad_policy_is_told_again_to_who_insists(
    file: Path, events: list[MutableMapping[str, Any]]
) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            rig.write(BAD)
            await rig.result()
            rig.reloader.insist()
            assert await rig.result(2) == "failed"

    exchange()
    assert _names(events) == [("error", "policy_not_reloaded")] * 2


def test_a_policy_without_routes_is_taken_with_a_warning(
    file: Path, events: list[MutableMapping[str, Any]]
) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            rig.write(EMPTY)
            assert await rig.result() == "changed"

    exchange()
    assert _names(events) == [("info", "policy_reloaded"), ("warning", "policy_without_routes")]


def test_the_problems_that_are_logged_are_bounded(
    file: Path, events: list[MutableMapping[str, Any]]
) -> None:
    problems = [Problem(Position("policy.yaml", line), "x" * 1000) for line in range(1, 61)]

    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            rig.refused = Refused(FilesRead(), tuple(problems))
            rig.write(MORE)
            await rig.result()
            assert len(rig.reloader.warnings[0]) <= 300

    exchange()
    assert events[0]["count"] == 60
    assert len(events[0]["problems"]) == MAX_PROBLEMS + 1
    assert events[0]["problems"][-1] == "and 10 more"
    assert max(map(len, events[0]["problems"])) == 300


def test_a_bug_in_loading_is_a_bad_reload_and_not_the_end_of_reloading(
    file: Path, events: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "RECOVERY", 0.01)

    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            rig.fault = RuntimeError("secret")
            rig.write(MORE)
            assert await rig.result() == "failed"
            rig.fault = None
            rig.reloader.ask()
            assert await rig.result(2) == "changed"

    exchange()
    assert events[0]["problems"] == ["unexpected error: RuntimeError"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (LoadError("the process that loads the policy was ended by SIGKILL"),) * 2,
        (RuntimeError("can't start new thread"), "unexpected error: RuntimeError"),
    ],
)
def test_a_load_that_fails_is_a_bad_reload_and_is_tried_again_though_nothing_has_changed(
    fault: Exception,
    why: object,
    file: Path,
    events: list[MutableMapping[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reload, "RECOVERY", 0.01)

    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            rig.fault = fault
            rig.reloader.insist()
            assert await rig.result() == "failed"
            assert rig.taken == []
            rig.fault = None
            rig.reloader.ask()
            assert await rig.result(2) == "unchanged"
            assert rig.reloader.warnings == ()

    exchange()
    assert events[0]["problems"] == [str(why)]


def test_a_load_that_does_not_end_is_a_bad_reload(
    file: Path, events: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reload, "LOAD_WITHIN", 0.01)

    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            rig.may_load.clear()
            rig.reloader.insist()
            assert await rig.result() == "failed"
            assert rig.taken == []
            monkeypatch.setattr(reload, "LOAD_WITHIN", PATIENCE)
            rig.may_load.set()
            rig.reloader.insist()
            assert await rig.result(2) == "unchanged"

    exchange()
    assert events[0]["problems"] == ["the policy was not loaded within 0.01 seconds"]


@in_event_loop
async def test_after_a_load_that_failed_only_who_insists_is_heard_for_a_while(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "policy.yaml") as rig:
        rig.fault = LoadError("no memory")
        rig.reloader.insist()
        assert await rig.result() == "failed"
        for _ in range(20):
            rig.reloader.ask()
            await asyncio.sleep(0)
        assert rig.loads == 1
        rig.reloader.insist()
        assert await rig.result(2) == "failed"
        assert rig.loads == 2


@in_event_loop
async def test_what_is_asked_during_a_load_is_one_more_load(tmp_path: Path) -> None:
    async with running(tmp_path / "policy.yaml") as rig:
        rig.may_load.clear()
        rig.reloader.insist()
        await eventually(rig.loading.is_set)
        for _ in range(100):
            rig.reloader.insist()
        rig.may_load.set()
        await rig.result(2)
        rig.write(MORE)
        assert await rig.result(3) == "changed"
        assert rig.loads == 3


@in_event_loop
async def test_files_that_change_while_they_are_read_are_read_again(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    async with running(file) as rig:
        versions = [EMPTY, MORE]
        rig.while_loading = lambda: versions and file.write_text(versions.pop(0))
        rig.reloader.insist()
        assert await rig.result() == "changed"
        assert rig.loads == 3
        assert len(rig.taken) == 1


def test_files_that_never_hold_still_are_complained_of_now_and_then(
    file: Path, events: list[MutableMapping[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    @in_event_loop
    async def exchange() -> None:
        async with running(file) as rig:
            versions = [f"{BASE}# {number}\n" for number in range(60)]
            rig.while_loading = lambda: versions and file.write_text(versions.pop())
            rig.reloader.insist()
            await rig.result()
            assert len(rig.taken) == 1

    monkeypatch.setattr(reload, "_PAUSE", 0.0)
    exchange()
    complaints = [event for event in events if event["log_level"] == "warning"]
    assert [(event["event"], event["times"]) for event in complaints] == [
        ("policy_files_keep_changing", 25),
        ("policy_files_keep_changing", 50),
    ]


def test_the_hash_is_that_of_the_policy_in_use(file: Path) -> None:
    def hash_of(text: str) -> str:
        other = file.with_name("other.yaml")
        other.write_text(text)
        files = FilesRead()
        load_policy([other], environment={}, files=files)
        return files.hash

    @in_event_loop
    async def test() -> None:
        async with running(file) as rig:
            assert rig.reloader.policy_hash == hash_of(BASE)
            rig.write(BAD)
            assert await rig.result() == "failed"
            assert rig.reloader.policy_hash == hash_of(BASE)
            rig.write(f"# the same\n{BASE}")
            assert await rig.result(2) == "unchanged"
            assert rig.reloader.policy_hash == hash_of(f"# the same\n{BASE}")
            rig.write(MORE)
            assert await rig.result(3) == "changed"
            assert rig.reloader.policy_hash == hash_of(MORE)

    test()
