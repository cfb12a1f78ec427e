"""When something breaks in here, or takes too long: a refusal, a log event, and no gRPC error."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, cast

import grpc.aio
import pytest
import structlog

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from authz_service.core.decision import Deny, DenyReason
from authz_service.core.policy import Policy
from authz_service.ext_authz import servicer as servicer_module
from tests.edge.rig import CHECK, PATIENCE, FakeKeys, Observer, answer, ask, edge, reason, servicer
from tests.edge.shop import (
    SECRET,
    SILENT_ISSUER,
    check_request,
    foreign_keys,
    key_set_of,
    mint,
    signing_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import EventDict

    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import RouteMatch
    from authz_service.core.request import Host, RequestPath
    from authz_service.ext_authz.servicer import AuthorizationServicer, DecidedCheck


def _fail(*_arguments: object) -> NoReturn:
    raise RuntimeError(SECRET)


class KeysThatRaise(FakeKeys):
    @property
    def key_sets(self) -> Mapping[str, KeySet]:
        _fail()

    @key_sets.setter
    def key_sets(self, value: Mapping[str, KeySet]) -> None:
        del value


class NudgeThatRaises(FakeKeys):
    def nudge(self, issuer: str) -> asyncio.Future[None] | None:
        _fail(issuer)


class PolicyThatRaises(Policy):
    def match(self, host: Host, path: RequestPath) -> RouteMatch:
        _fail(host, path)


def _unknown_key() -> CheckRequest:
    return check_request(token=mint({"sub": SECRET}, keys=foreign_keys()))


BROKEN: dict[str, Callable[[Observer], AuthorizationServicer]] = {
    "keys": lambda observe: servicer(keys=KeysThatRaise(), observe=observe),
    "nudge": lambda observe: servicer(keys=NudgeThatRaises(), observe=observe),
    "policy": lambda observe: servicer(policy=PolicyThatRaises(), observe=observe),
    "clock": lambda observe: servicer(clock=_fail, observe=observe),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_an_exception_inside_becomes_a_refusal(broken: str, log_events: list[EventDict]) -> None:
    observer = Observer()
    response = answer(_unknown_key(), served=lambda: BROKEN[broken](observer))
    assert (response.status.code, response.denied_response.status.code) == (13, 500)
    assert reason(response) == "internal_error"
    assert [check.decision for check in observer.checks] == [Deny()]
    assert [event["event"] for event in log_events] == ["check_failed"]


@pytest.mark.parametrize("broken", BROKEN)
def test_the_log_says_where_it_broke_and_nothing_that_somebody_sent(
    broken: str, log_events: list[EventDict]
) -> None:
    request = _unknown_key()
    answer(request, served=lambda: BROKEN[broken](Observer()))
    (event,) = log_events
    assert event["log_level"] == "error"
    assert event["error"] == "RuntimeError"
    assert any("_fail" in frame for frame in event["where"])
    assert SECRET not in repr(event)
    token = request.attributes.request.http.headers["authorization"].removeprefix("Bearer ")
    assert not any(part in repr(event) for part in token.split("."))


@pytest.mark.parametrize("broken", BROKEN)
def test_a_check_that_broke_does_not_break_the_next_one(
    broken: str, log_events: list[EventDict]
) -> None:
    first, second = ask(
        _unknown_key(), check_request("/.."), served=lambda: BROKEN[broken](Observer())
    )
    assert reason(first) == "internal_error"
    assert second.status.code != 0
    assert log_events


def test_an_observer_that_raises_changes_no_decision(log_events: list[EventDict]) -> None:
    def observe(check: DecidedCheck) -> None:
        _fail(check)

    allowed, denied = ask(
        check_request("/healthz"),
        check_request(token=SECRET),
        served=lambda: servicer(observe=observe),
    )
    assert allowed.status.code == 0
    assert reason(denied) == "malformed_token"
    assert [event["event"] for event in log_events] == ["observer_failed", "observer_failed"]
    assert SECRET not in repr(log_events)


def _broken_sink(*_arguments: object) -> NoReturn:
    raise BrokenPipeError


@pytest.mark.parametrize("broken", ["observer", *BROKEN])
def test_a_log_that_cannot_be_written_does_not_become_a_grpc_error(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody reads the log any more, or the disk is full: Envoy must get an answer all the same."""
    logger = structlog.wrap_logger(structlog.ReturnLogger(), processors=[_broken_sink])
    monkeypatch.setattr(servicer_module, "_log", logger)

    def with_broken_observer(_observer: Observer) -> AuthorizationServicer:
        return servicer(observe=_broken_sink)

    served = BROKEN.get(broken, with_broken_observer)
    response = answer(_unknown_key(), served=lambda: served(Observer()))
    assert response.status.code != 0


def test_the_observer_learns_what_was_asked_what_was_decided_and_how_long_it_took() -> None:
    observer = Observer()
    ask(
        check_request("/healthz"),
        check_request("/nowhere"),
        b"\xff",
        served=lambda: servicer(observe=observer),
    )
    public, nowhere, junk = observer.checks
    assert (public.request.target, nowhere.request.target) == ("/healthz", "/nowhere")
    assert isinstance(nowhere.decision, Deny)
    assert nowhere.decision.reason is DenyReason.NO_ROUTE
    assert junk.request.target == ""
    assert all(0 < check.seconds < PATIENCE for check in observer.checks)


# Waiting for keys


def test_an_unknown_key_waits_for_the_fetch_and_is_decided_again() -> None:
    async def exchange() -> None:
        keys = FakeKeys(fetch=asyncio.get_running_loop().create_future())
        async with edge(servicer(keys=keys)) as caller:
            call = asyncio.create_task(caller.check(_unknown_key()))
            await asyncio.wait_for(keys.nudged.wait(), PATIENCE)
            assert not call.done()
            keys.key_sets = {"logto": key_set_of(signing_keys(), foreign_keys())}
            assert keys.fetch is not None
            keys.fetch.set_result(None)
            assert (await call).status.code == 0
        assert keys.nudges == ["logto"]

    asyncio.run(exchange())


def test_a_check_that_waited_while_the_policy_changed_is_decided_by_the_new_one() -> None:
    async def exchange() -> None:
        keys = FakeKeys(fetch=asyncio.get_running_loop().create_future())
        served = servicer(keys=keys)
        async with edge(served) as caller:
            call = asyncio.create_task(caller.check(_unknown_key()))
            await asyncio.wait_for(keys.nudged.wait(), PATIENCE)
            served.use(Policy())
            keys.key_sets = {}
            assert keys.fetch is not None
            keys.fetch.set_result(None)
            assert reason(await call) == "no_route"

    asyncio.run(exchange())


def test_an_unknown_key_is_refused_when_the_fetch_brings_nothing_new() -> None:
    async def exchange() -> None:
        keys = FakeKeys(fetch=asyncio.get_running_loop().create_future())
        assert keys.fetch is not None
        keys.fetch.set_result(None)
        async with edge(servicer(keys=keys)) as caller:
            assert reason(await caller.check(_unknown_key())) == "unknown_key"
        assert keys.nudges == ["logto"]

    asyncio.run(exchange())


def test_an_unknown_key_is_refused_at_once_within_the_cooldown() -> None:
    keys = FakeKeys(fetch=None)
    assert reason(answer(_unknown_key(), served=lambda: servicer(keys=keys))) == "unknown_key"
    assert keys.nudges == ["logto"]


@pytest.mark.parametrize(
    "request_",
    [
        check_request(token=mint({"exp": 1})),
        check_request(token=mint()[:-4] + "AAAA"),
        check_request(token=mint(header={"kid": None}, keys=foreign_keys())),
        check_request(),
    ],
    ids=["expired", "bad_signature", "no_key_id", "no_token"],
)
def test_no_other_refusal_of_a_token_nudges(request_: CheckRequest) -> None:
    keys = FakeKeys()
    assert answer(request_, served=lambda: servicer(keys=keys)).status.code != 0
    assert keys.nudges == []


def test_missing_keys_are_asked_for_and_not_waited_for() -> None:
    """The issuer is down: Checks that wait would pile up, and a 503 is clear."""

    async def exchange() -> None:
        keys = FakeKeys(fetch=asyncio.get_running_loop().create_future())
        request = check_request(token=mint({"iss": SILENT_ISSUER}))
        check = _check(servicer(keys=keys), request, _context(None))
        response = await asyncio.wait_for(check, PATIENCE / 2)
        assert reason(response) == "keys_unavailable"
        assert keys.nudges == ["silent"]

    asyncio.run(exchange())


def test_the_answer_comes_before_the_callers_deadline_though_the_fetch_does_not_end() -> None:
    async def exchange() -> None:
        fetch = asyncio.get_running_loop().create_future()
        async with edge(servicer(keys=FakeKeys(fetch=fetch))) as caller:
            response = await caller.check(_unknown_key(), deadline=1.0)
        assert reason(response) == "unknown_key"
        assert not fetch.done()

    asyncio.run(exchange())


def test_the_wait_is_bounded_where_the_caller_sets_no_deadline() -> None:
    async def exchange() -> None:
        fetch = asyncio.get_running_loop().create_future()
        served = servicer(keys=FakeKeys(fetch=fetch), max_key_wait=0.05)
        async with edge(served) as caller:
            assert reason(await caller.check(_unknown_key())) == "unknown_key"

    asyncio.run(exchange())


@dataclass(frozen=True)
class _Context:
    """All that `check` asks of gRPC's context."""

    seconds: float | None

    def time_remaining(self) -> float | None:
        return self.seconds

    def invocation_metadata(self) -> None:
        """It is read for traces alone."""


async def _check(
    served: AuthorizationServicer,
    request: CheckRequest,
    context: grpc.aio.ServicerContext[object, object],
) -> CheckResponse:
    return CheckResponse.FromString(await served.check(request.SerializeToString(), context))


def _context(seconds: float | None) -> grpc.aio.ServicerContext[object, object]:
    return cast("grpc.aio.ServicerContext[object, object]", _Context(seconds))


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.05])
def test_nothing_is_waited_for_when_the_deadline_is_close(seconds: float) -> None:
    async def exchange() -> None:
        fetch = asyncio.get_running_loop().create_future()
        check = _check(servicer(keys=FakeKeys(fetch=fetch)), _unknown_key(), _context(seconds))
        response = await asyncio.wait_for(check, PATIENCE / 2)
        assert reason(response) == "unknown_key"

    asyncio.run(exchange())


def test_a_caller_without_a_deadline_waits_for_the_fetch() -> None:
    async def exchange() -> None:
        keys = FakeKeys(fetch=asyncio.get_running_loop().create_future())
        check = asyncio.create_task(_check(servicer(keys=keys), _unknown_key(), _context(None)))
        await asyncio.wait_for(keys.nudged.wait(), PATIENCE)
        keys.key_sets = {"logto": key_set_of(foreign_keys())}
        assert keys.fetch is not None
        keys.fetch.set_result(None)
        assert (await check).status.code == 0

    asyncio.run(exchange())


# Cancellation


def test_cancellation_passes_and_spares_the_fetch_that_others_wait_for() -> None:
    async def exchange() -> None:
        keys = FakeKeys(fetch=asyncio.get_running_loop().create_future())
        check = asyncio.create_task(_check(servicer(keys=keys), _unknown_key(), _context(None)))
        await asyncio.wait_for(keys.nudged.wait(), PATIENCE)
        check.cancel()
        with pytest.raises(asyncio.CancelledError):
            await check
        assert keys.fetch is not None
        assert not keys.fetch.cancelled()

    asyncio.run(exchange())


def test_a_client_that_hangs_up_ends_its_own_check_and_no_other(
    log_events: list[EventDict],
) -> None:
    observer = Observer()

    async def exchange() -> None:
        keys = FakeKeys(fetch=asyncio.get_running_loop().create_future())
        async with edge(servicer(keys=keys, observe=observer)) as caller:
            waiting = asyncio.create_task(caller.check(_unknown_key()))
            await asyncio.wait_for(keys.nudged.wait(), PATIENCE)
            keys.nudged.clear()
            gone = caller.call(_unknown_key())
            await asyncio.wait_for(keys.nudged.wait(), PATIENCE)
            assert gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            keys.key_sets = {"logto": key_set_of(foreign_keys())}
            assert keys.fetch is not None
            keys.fetch.set_result(None)
            assert (await waiting).status.code == 0

    asyncio.run(exchange())
    assert log_events == []
    assert observer.checks


def test_many_checks_share_one_connection() -> None:
    async def exchange() -> None:
        async with edge(servicer()) as caller:
            responses = await asyncio.gather(
                *(
                    caller.check(check_request(target, token=mint()))
                    for target in ["/healthz", "/products", "/nowhere"] * 20
                )
            )
        assert [response.status.code for response in responses] == [0, 0, 7] * 20

    asyncio.run(exchange())


def test_an_unknown_method_of_the_api_is_a_grpc_error_for_the_operator_to_see() -> None:
    async def exchange() -> None:
        async with edge(servicer()) as caller:
            method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = caller.channel.unary_unary(
                CHECK.replace("v3", "v2"), bytes, bytes
            )
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await method(b"", timeout=PATIENCE)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(exchange())
