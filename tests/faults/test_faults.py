"""Every fault in a short form: no wrong answer. And the judge: it knows a wrong one."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import TYPE_CHECKING, Final, TypeVar

import pytest

from tests.faults.fault import try_out
from tests.faults.judge import Judge
from tests.faults.phases import Timeline
from tests.faults.scenarios import FAULTS
from tests.faults.service import LABORATORY
from tests.faults.world import running_world

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.faults.fault import Fault, Result
    from tests.faults.world import World

T = TypeVar("T")

_SECONDS: Final = 0.8
_RATE: Final = 60.0


class _Stage:
    """A world that begins with the first story that needs it, and ends after the last."""

    def __init__(self, runner: asyncio.Runner, directory: Path) -> None:
        self._runner = runner
        self._directory = directory
        self._world: World | None = None
        self._stack = contextlib.AsyncExitStack()

    def tell(self, story: Callable[[World], Awaitable[T]]) -> T:
        return self._runner.run(self._tell(story))

    async def _tell(self, story: Callable[[World], Awaitable[T]]) -> T:
        if self._world is None:
            world = running_world(self._directory, ordinary=LABORATORY)
            self._world = await self._stack.enter_async_context(world)
        return await story(self._world)

    def close(self) -> None:
        self._runner.run(self._stack.aclose())


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Stage]:
    with asyncio.Runner() as runner:
        stage = _Stage(runner, tmp_path_factory.mktemp("faults"))
        try:
            yield stage
        finally:
            stage.close()


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_no_answer_is_wrong_under_the_fault(stage: _Stage, fault: Fault) -> None:
    async def story(world: World) -> Result:
        return await try_out(world, fault, _SECONDS, rate=_RATE)

    result = stage.tell(story)
    assert not result.complaints
    assert result.wrong == 0
    assert result.checks > _SECONDS * _RATE / 2


# --- the judge ------------------------------------------------------------------------------------


def _complaints(stage: _Stage, written: str, tampered: str) -> set[str]:
    """What is complained of when the policy is another than requests are judged by."""

    async def story(world: World) -> set[str]:
        await world.have(world.ordinary, world.settings)
        policy, mark = world.policy(world.settings), len(world.service.events)
        assert written in policy
        world.replace_policy(policy.replace(written, tampered))
        await world.service.event("policy_reloaded", since=mark)
        judge = world.load.judge = Judge(Timeline())
        for kind in world.load.kinds.values():
            await world.load.send(kind, 0, world.through_envoy)
            await world.load.send(kind, 0, world.directly)
        world.replace_policy(policy)
        await world.service.event("policy_reloaded", since=len(world.service.events))
        assert judge.wrong == len(judge.complaints)
        return {re.sub(r" after \d+ ms", "", complaint) for complaint in judge.complaints}

    return stage.tell(story)


def test_an_allow_that_should_not_be_is_noticed(stage: _Stage) -> None:
    assert _complaints(
        stage,
        "/products\n        methods: {GET: [read:products]}",
        "/products\n        methods: {GET: []}",
    ) == {
        "wrong scope: 200; right is 403 insufficient_scope",
        "no scope: 200; right is 403 insufficient_scope",
    }


def test_a_refusal_that_should_not_be_is_noticed(stage: _Stage) -> None:
    assert _complaints(stage, "GET: public", "GET: []") == {
        "public: 401 unauthorized; right is 200 allow",
        "public: 401 unauthorized missing_token; right is 200 allow",
    }


def test_a_wrong_identity_is_noticed(stage: _Stage) -> None:
    complaints = _complaints(
        stage, "resources:", "forward: {headers: {x-auth-subject: client_id}}\nresources:"
    )
    assert {complaint.partition(":")[0] for complaint in complaints} == {
        "valid", "valid of the partner",
    }  # fmt: skip


def test_another_reason_is_noticed_where_it_is_told(stage: _Stage) -> None:
    complaints = _complaints(stage, "audience: https://shopping.api", "audience: https://a.api")
    assert "expired: 401 invalid_token wrong_audience; right is 401 expired" not in complaints
    assert "valid: 401 invalid_token; right is 200 allow" in complaints


def test_a_token_in_a_log_is_noticed(stage: _Stage) -> None:
    async def story(world: World) -> list[str]:
        log = world.directory / "one.log"
        log.write_text('{"event": "check", "token": "eyJhbGciOiJub25lIn0.e30."}\n', "utf-8")
        found = await world.leaks()
        log.unlink()
        return found

    assert stage.tell(story) == ["one.log"]
