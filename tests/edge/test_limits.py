"""What is too much is refused by an answer as far as that can be, and nobody works for nobody."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import grpc.aio
import pytest

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckResponse,
)
from authz_service.core.decision import Deny, DenyReason, refusal
from authz_service.ext_authz.limits import CheckLimits
from authz_service.server.health import MAX_WATCHES
from authz_service.server.limits import HARD_BOUND, RpcLimits
from tests.edge.rig import CHECK, PATIENCE, Caller, FakeKeys, Observer, edge, reason, servicer
from tests.edge.shop import (
    POLICY,
    check_request,
    foreign_keys,
    key_set_of,
    mint,
    policy_from,
    shop_policy,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
        CheckRequest,
    )
    from authz_service.ext_authz.servicer import AuthorizationServicer

_NOT_SHARED = [("grpc.use_local_subchannel_pool", 1)]
NO_KEY_COMES = CheckLimits(checks=4, key_wait=PATIENCE)


def _unknown_key() -> CheckRequest:
    return check_request(token=mint(keys=foreign_keys()))


def _fetching() -> FakeKeys:
    return FakeKeys(fetch=asyncio.get_running_loop().create_future())


def _bring_keys(keys: FakeKeys) -> None:
    keys.key_sets = {"logto": key_set_of(foreign_keys())}
    assert keys.fetch is not None
    keys.fetch.set_result(None)


async def _one_more_waits(caller: Caller, keys: FakeKeys) -> asyncio.Task[CheckResponse]:
    keys.nudged.clear()
    check = asyncio.create_task(caller.check(_unknown_key()))
    await asyncio.wait_for(keys.nudged.wait(), PATIENCE)
    return check


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - gRPC tells nobody when it is done
            await asyncio.sleep(0.001)


def _assert_is_overloaded(response: CheckResponse) -> None:
    assert reason(response) == "overloaded"
    assert (response.status.code, response.denied_response.status.code) == (14, 503)
    headers = {each.header.key: each.header.value for each in response.denied_response.headers}
    assert headers["retry-after"] == "1"


# Checks at a time


def test_one_check_too_many_is_refused_at_once_and_the_others_are_decided() -> None:
    observer = Observer()

    async def exchange() -> None:
        keys = _fetching()
        served = servicer(
            keys=keys, observe=observer, limits=CheckLimits(checks=1, key_wait=PATIENCE)
        )
        async with edge(served) as caller:
            waiting = await _one_more_waits(caller, keys)
            _assert_is_overloaded(await caller.check(check_request("/healthz")))
            assert not waiting.done()
            _bring_keys(keys)
            assert (await waiting).status.code == 0
            await _until(lambda: served.admission.here == 0)
            assert (await caller.check(check_request("/healthz"))).status.code == 0

    asyncio.run(exchange())
    first, *_ = observer.checks
    assert first.decision == Deny(DenyReason.OVERLOADED)
    assert (first.request.method, first.request.target, first.request.headers) == ("", "", ())


def test_an_overload_is_refused_though_the_policy_only_audits() -> None:
    async def exchange() -> None:
        keys = _fetching()
        limits = CheckLimits(checks=1, key_wait=PATIENCE)
        policy = replace(shop_policy(), audit=True)
        async with edge(servicer(policy=policy, keys=keys, limits=limits)) as caller:
            waiting = await _one_more_waits(caller, keys)
            _assert_is_overloaded(await caller.check(check_request("/nowhere")))
            _bring_keys(keys)
            await waiting

    asyncio.run(exchange())


def test_what_piles_up_in_grpc_is_refused_by_answers_and_not_by_errors() -> None:
    async def exchange() -> Counter[str]:
        served = servicer(limits=CheckLimits(checks=100))
        async with edge(served) as caller:
            checks = (caller.check(check_request("/products", token=mint())) for _ in range(390))
            responses = await asyncio.gather(*checks)
            await _until(lambda: served.in_flight == 0)
        return Counter(reason(response) for response in responses)

    reasons = asyncio.run(exchange())
    assert set(reasons) == {"", "overloaded"}


def test_beyond_the_hard_bound_grpc_says_that_it_is_exhausted() -> None:
    """Calls whose message never comes are no Checks yet, and held all the same."""

    async def exchange() -> None:
        served = servicer(limits=CheckLimits(checks=1))
        async with edge(served) as caller:
            begin: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = caller.channel.stream_unary(
                CHECK, bytes, bytes
            )
            calls = [begin(timeout=PATIENCE) for _ in range(HARD_BOUND + MAX_WATCHES)]
            await _until(lambda: served.in_flight == len(calls))
            exhausted = caller.call(check_request("/healthz"))
            assert await exhausted.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            for call in calls:
                call.cancel()
            await _until(lambda: served.in_flight == 0)
            assert (await caller.check(check_request("/healthz"))).status.code == 0

    asyncio.run(exchange())


def test_what_waited_for_a_peer_that_is_gone_is_in_flight_no_more() -> None:
    async def exchange() -> None:
        served = servicer()
        async with edge(served) as caller:
            async with grpc.aio.insecure_channel(caller.address) as channel:
                calls = [Caller(channel).call(check_request("/healthz")) for _ in range(300)]
                await _until(lambda: served.in_flight > 0)
            for call in calls:
                await call.code()
            await _until(lambda: served.in_flight == 0)
            assert served.admission.entered < len(calls)

    asyncio.run(exchange())


def test_what_is_in_flight_is_known_and_forgotten_also_when_the_caller_hangs_up() -> None:
    async def exchange() -> None:
        keys = _fetching()
        served = servicer(keys=keys)
        async with edge(served) as caller:
            assert served.in_flight == 0
            await _one_more_waits(caller, keys)
            keys.nudged.clear()
            gone = caller.call(_unknown_key())
            await asyncio.wait_for(keys.nudged.wait(), PATIENCE)
            assert served.in_flight == 2
            assert gone.cancel()
            await _until(lambda: served.in_flight == 1)
            assert served.abandoned == 1
            _bring_keys(keys)
            await _until(lambda: served.in_flight == 0)

    asyncio.run(exchange())


# Waiting for keys


def test_only_half_of_the_checks_may_wait_for_keys() -> None:
    async def exchange() -> None:
        keys = _fetching()
        async with edge(servicer(keys=keys, limits=NO_KEY_COMES)) as caller:
            waiting = [await _one_more_waits(caller, keys) for _ in range(2)]
            response = await caller.check(_unknown_key())
            _assert_is_overloaded(response)
            assert response.dynamic_metadata.fields["route"].string_value == "/products"
            assert (await caller.check(check_request("/healthz"))).status.code == 0
            assert (await caller.check(check_request(token=mint()))).status.code == 0
            _bring_keys(keys)
            for check in waiting:
                assert (await check).status.code == 0

    asyncio.run(exchange())


def test_what_is_only_audited_passes_when_too_many_wait_for_keys() -> None:
    async def exchange() -> None:
        keys = _fetching()
        policy = policy_from(POLICY.replace("version: 1\n", "version: 1\nmode: audit\n"))
        served = servicer(policy=policy, keys=keys, limits=NO_KEY_COMES)
        async with edge(served) as caller:
            waiting = [await _one_more_waits(caller, keys) for _ in range(2)]
            response = await caller.check(_unknown_key())
            assert (response.status.code, reason(response)) == (0, "unknown_key")
            _bring_keys(keys)
            assert [(await check).status.code for check in waiting] == [0, 0]

    asyncio.run(exchange())


def test_those_that_stopped_waiting_make_room_for_others() -> None:
    async def exchange() -> None:
        keys = _fetching()
        served = servicer(keys=keys, limits=NO_KEY_COMES)
        async with edge(served) as caller:
            gone = [caller.call(_unknown_key()) for _ in range(2)]
            await _until(lambda: len(keys.nudges) == 2)
            for call in gone:
                call.cancel()
            await _until(lambda: served.admission.here == 0)
            waiting = [await _one_more_waits(caller, keys) for _ in range(2)]
            _bring_keys(keys)
            assert [(await check).status.code for check in waiting] == [0, 0]

    asyncio.run(exchange())


def test_a_check_whose_caller_has_gone_leaves_no_task_behind() -> None:
    async def exchange() -> None:
        keys = _fetching()
        served = servicer(keys=keys)
        async with edge(served) as caller:
            await caller.check(check_request("/healthz"))
            await _until(lambda: served.in_flight == 0)
            before = len(asyncio.all_tasks())
            calls = [caller.call(_unknown_key(), deadline=PATIENCE) for _ in range(20)]
            await _until(lambda: len(keys.nudges) == 20)
            for call in calls:
                call.cancel()
            await _until(lambda: served.in_flight == 0)
            await _until(lambda: len(asyncio.all_tasks()) <= before)

    asyncio.run(exchange())


# Deadlines


@dataclass
class _Context:
    """What is asked of gRPC's context."""

    seconds: float | None
    done: Callable[[object], None] | None = None

    def time_remaining(self) -> float | None:
        return self.seconds

    def invocation_metadata(self) -> None:
        """Tell of nothing beside the Check."""

    def add_done_callback(self, callback: Callable[[object], None]) -> None:
        self.done = callback


async def _answer(served: AuthorizationServicer, seconds: float | None) -> CheckResponse:
    context = _Context(seconds)
    octets = check_request("/healthz").SerializeToString()
    response = await served.answer(
        octets, cast("grpc.aio.ServicerContext[object, object]", context)
    )
    assert served.admission.here == 1
    assert context.done is not None
    context.done(context)
    assert served.admission.here == 0
    return CheckResponse.FromString(response)


def test_a_check_whose_time_is_over_is_not_decided_and_counted_as_abandoned() -> None:
    observer = Observer()
    served = servicer(observe=observer)
    response = asyncio.run(_answer(served, 0.0))
    assert response.status.code != 0
    assert observer.checks == []
    assert served.abandoned == 1


@pytest.mark.parametrize("seconds", [None, 0.001, 5.0])
def test_a_check_with_time_left_is_decided(seconds: float | None) -> None:
    observer = Observer()
    served = servicer(observe=observer)
    assert asyncio.run(_answer(served, seconds)).status.code == 0
    assert [refusal(check.decision) for check in observer.checks] == [None]
    assert served.abandoned == 0


# Connections


def test_what_is_more_than_a_connection_may_carry_waits_at_the_caller() -> None:
    async def exchange() -> None:
        keys = _fetching()
        async with edge(servicer(keys=keys), limits=RpcLimits(streams=2)) as caller:
            await caller.check(check_request("/healthz"))  # the settings have arrived
            checks = [await _one_more_waits(caller, keys) for _ in range(2)]
            checks.append(asyncio.create_task(caller.check(_unknown_key())))
            async with grpc.aio.insecure_channel(caller.address, options=_NOT_SHARED) as channel:
                assert (await Caller(channel).check(check_request("/healthz"))).status.code == 0
            assert len(keys.nudges) == 2
            _bring_keys(keys)
            assert [(await check).status.code for check in checks] == [0, 0, 0]

    asyncio.run(exchange())


def test_a_peer_that_does_not_answer_a_ping_is_given_up() -> None:
    async def exchange() -> bytes:
        limits = RpcLimits(keepalive_time=1, keepalive_timeout=0.1)
        async with edge(servicer(), limits=limits) as caller:
            host, _, port = caller.address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
            try:
                async with asyncio.timeout(PATIENCE):
                    return await reader.read()
            finally:
                writer.close()
                await writer.wait_closed()

    ping = b"\0\0\10\6\0\0\0\0\0"  # RFC 9113, section 6.7
    assert ping in asyncio.run(exchange())


# Messages


def test_a_larger_message_is_an_error_since_grpc_does_not_hand_it_over() -> None:
    limit = RpcLimits().message_bytes
    assert asyncio.run(_code_of(limit)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert asyncio.run(_code_of(limit - 1000)) is grpc.StatusCode.OK


def test_a_larger_message_can_be_allowed() -> None:
    size = RpcLimits().message_bytes
    raised = RpcLimits(message_bytes=2 * size)
    assert asyncio.run(_code_of(size, limits=raised)) is grpc.StatusCode.OK


def test_a_compressed_message_counts_as_what_it_is_when_it_is_not() -> None:
    size = 4 * RpcLimits().message_bytes
    code = asyncio.run(_code_of(size, compression=grpc.Compression.Gzip))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def _code_of(
    size: int,
    *,
    limits: RpcLimits | None = None,
    compression: grpc.Compression = grpc.Compression.NoCompression,
) -> grpc.StatusCode:
    message = check_request("/healthz", headers=[("x-filler", "a" * size)])
    async with edge(servicer(), limits=limits) as caller:
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = caller.channel.unary_unary(
            CHECK, bytes, bytes
        )
        call = method(message.SerializeToString(), timeout=PATIENCE, compression=compression)
        return await call.code()
