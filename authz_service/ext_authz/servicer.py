"""The `Authorization` service: one Check in, one decision out, whatever happens in between."""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import grpc
import structlog
from google.protobuf.message import DecodeError

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from authz_service.core.authorize import authorize
from authz_service.core.decision import Decision, Deny, DenyReason, refusal
from authz_service.core.request import HttpRequest
from authz_service.ext_authz.admission import Admission
from authz_service.ext_authz.convert import context_extensions, to_http_request
from authz_service.ext_authz.limits import CheckLimits
from authz_service.ext_authz.responses import Responses, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Policy
    from authz_service.core.verified import VerifiedTokens

    _Context = grpc.aio.ServicerContext[object, object]

SERVICE_NAME: Final = "envoy.service.auth.v3.Authorization"
_ANSWERING_TIME: Final = 0.05  # seconds of the caller's deadline that are kept for the answer

_OVERLOADED: Final = Deny(DenyReason.OVERLOADED)
_OVERLOADED_RESPONSE: Final = encode(_OVERLOADED)
_UNTRUSTED_CALLER: Final = Deny(DenyReason.UNTRUSTED_CALLER)
_INTERNAL_ERROR: Final = Deny()
INTERNAL_ERROR: Final = encode(_INTERNAL_ERROR)
"""The refusal that is left when everything else has failed."""
_NO_EXTENSIONS: Final[Mapping[str, str]] = MappingProxyType({})
_NO_REQUEST: Final = HttpRequest("", "", "")

_log = structlog.get_logger(__name__)


class Keys(Protocol):
    """The current key sets, and a way to ask for fresher ones; see keys.refresher.Refresher."""

    @property
    def key_sets(self) -> Mapping[str, KeySet]:
        """The usable key set of each issuer that has one."""

    def nudge(self, issuer: str) -> asyncio.Future[None] | None:
        """The end of the fetch that is under way or starts now, None where none does."""


class DecidedCheck(NamedTuple):
    """One Check after its answer was made, for logs, metrics and traces.

    *seconds* is what it took; *metadata* gives what the caller said beside the Check, and
    *context_extensions* is what Envoy's configuration added to it. Of one that was refused unread,
    as `overloaded`, *request* is empty.
    """

    request: HttpRequest
    decision: Decision
    seconds: float
    metadata: Callable[[], Iterable[tuple[str, str | bytes]] | None] = tuple
    context_extensions: Mapping[str, str] = _NO_EXTENSIONS


class AuthorizationServicer:
    """Answers Checks from the current policy and keys.

    Refusals are denied responses, also where something went wrong in here: a gRPC error would let
    Envoy's `failure_mode_allow` decide, and a denied response never does.
    """

    def __init__(  # noqa: PLR0913 - what is in it, and what a test replaces
        self,
        policy: Policy,
        keys: Keys,
        observe: Callable[[DecidedCheck], None],
        *,
        trusts: Callable[[_Context], bool] | None = None,
        clock: Callable[[], float] = time.time,
        limits: CheckLimits | None = None,
        verified: VerifiedTokens | None = None,
    ) -> None:
        """Serve *policy* with *keys*; *observe* is told of every decision.

        *trusts* says whether a caller may ask; without it, all may. *clock* gives seconds since the
        epoch. The tokens in *verified* are not verified again.
        """
        self._policy = policy
        self._responses = Responses()
        self._keys = keys
        self._observe = observe
        self._trusts = trusts
        self._clock = clock
        self._limits = limits or CheckLimits()
        self._verified = verified
        self._waiting_for_keys = 0
        self._abandoned = 0
        self.admission: Final = Admission(self._limits.checks)
        """Who is let in; the server tells it of what waits outside."""

    @property
    def in_flight(self) -> int:
        """The Checks that have arrived and have not been answered, those that wait included."""
        return self.admission.in_flight

    @property
    def abandoned(self) -> int:
        """The Checks so far that were not decided, since their callers had gone."""
        return self._abandoned

    def use(self, policy: Policy) -> None:
        """Decide by *policy* from now on; a decision is made by one policy from start to end.

        The keys that belong to it must change in the same step of the event loop.
        """
        self._policy = policy
        self._responses = Responses()
        if self._verified is not None:
            self._verified.clear()

    async def answer(self, octets: bytes, context: _Context) -> bytes:
        """Answer the Check in *octets*, if there is room for it and somebody waits for the answer.

        Both are the encoded messages of Envoy's API. It is under way until gRPC is done with it,
        cancelled or not.
        """
        taken = self.admission.enter()
        context.add_done_callback(self._leave)  # type: ignore[arg-type] # a function will do
        try:
            if _is_over(context.time_remaining()):
                self._abandoned += 1
                return _OVERLOADED_RESPONSE  # nobody reads it, and should anybody, it is no allow
            if not taken:
                self._tell(DecidedCheck(_NO_REQUEST, _OVERLOADED, 0.0))
                return _OVERLOADED_RESPONSE
            return await self.check(octets, context)
        except asyncio.CancelledError:
            self._abandoned += 1
            raise

    def _leave(self, _context: object) -> None:
        self.admission.leave()

    async def check(self, octets: bytes, context: _Context) -> bytes:
        """Answer one Check, whatever is in *octets*."""
        started = time.perf_counter()
        request = _NO_REQUEST
        extensions: Mapping[str, str] = _NO_EXTENSIONS
        decision: Decision = _INTERNAL_ERROR
        response = INTERNAL_ERROR
        try:
            message = _parse(octets)
            if message is None:
                _log.error("check_unreadable")
            else:
                extensions = context_extensions(message)
                request = to_http_request(message)
                if self._trusts is None or self._trusts(context):
                    decided = self._decide_now(request)
                else:
                    decided = _UNTRUSTED_CALLER
                if (deny := refusal(decided)) is not None and deny.nudge:
                    left = context.time_remaining()
                    decided = await self._decide_again(decided, deny, request, left)
                response, decision = self._responses.of(decided), decided
        except Exception as error:  # noqa: BLE001 - nothing may turn into a gRPC error or an allow
            log_bug("check_failed", error)
        seconds = time.perf_counter() - started
        told = context.invocation_metadata
        self._tell(DecidedCheck(request, decision, seconds, told, extensions))
        return response

    def _tell(self, check: DecidedCheck) -> None:
        try:
            self._observe(check)
        except Exception as error:  # noqa: BLE001 - what is told must not change what was decided
            log_bug("observer_failed", error)

    async def _decide_again(
        self, decision: Decision, deny: Deny, request: HttpRequest, time_remaining: float | None
    ) -> Decision:
        """Decide with fresher keys, where they come soon.

        For want of them there is *decision*, which is *deny*, or reports it.
        """
        if deny.issuer is None:
            return decision
        fetch = self._keys.nudge(deny.issuer.name)
        # Without any keys the issuer is in trouble: say so now, and do not pile up Checks.
        if fetch is None or deny.reason is not DenyReason.UNKNOWN_KEY:
            return decision
        if self._waiting_for_keys >= self._limits.waiting_for_keys:
            # Nobody knows yet what it is; where that is only reported, it is told as it looks now.
            return replace(deny, reason=DenyReason.OVERLOADED) if decision is deny else decision
        if not await self._wait(fetch, time_remaining):
            return decision
        return self._decide_now(request)

    def _decide_now(self, request: HttpRequest) -> Decision:
        """Decide with what is current now, read once."""
        return authorize(
            request,
            policy=self._policy,
            keys=self._keys.key_sets,
            now=self._clock(),
            limits=self._limits.request,
            verified=self._verified,
        )

    async def _wait(self, fetch: asyncio.Future[None], time_remaining: float | None) -> bool:
        """Whether *fetch* ended while there was time; it goes on for the others either way."""
        seconds = self._limits.key_wait
        if time_remaining is not None:
            seconds = min(seconds, time_remaining - _ANSWERING_TIME)
        if seconds <= 0:
            return False
        self._waiting_for_keys += 1
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(fetch)
        except TimeoutError:
            return False
        finally:
            self._waiting_for_keys -= 1
        return True


def _is_over(time_remaining: float | None) -> bool:
    """Whether the caller's deadline has passed. Without one it never has."""
    return time_remaining is not None and time_remaining <= 0


def log_bug(event: str, error: Exception) -> None:
    """Log where *error* came from, without its message, which may hold what somebody sent."""
    frames = traceback.extract_tb(error.__traceback__)
    with contextlib.suppress(Exception):  # it may be the log that is broken
        _log.error(
            event,
            error=type(error).__name__,
            where=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        )


def generic_handler(
    servicer: AuthorizationServicer,
) -> grpc.GenericRpcHandler:
    """Register *servicer* under the API's name."""
    return grpc.method_handlers_generic_handler(
        SERVICE_NAME,
        {
            # Bytes in and out: an exception where gRPC parses would be an error of the RPC.
            "Check": grpc.unary_unary_rpc_method_handler(servicer.answer)
        },
    )


def _parse(octets: bytes) -> CheckRequest | None:
    """Bytes that are no CheckRequest become None: gRPC would answer an exception with an error."""
    try:
        return CheckRequest.FromString(octets)
    except DecodeError:
        return None
