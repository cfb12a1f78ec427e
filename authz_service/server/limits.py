"""What one server takes from its peers at the most. docs/limits.md says why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from authz_service.ext_authz.limits import CheckLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

HARD_BOUND: Final = 4
"""Times `CheckLimits.checks` that gRPC hands over. Up to there, excess gets an answer of ours."""

_NO_LIMIT: Final = 2**31 - 1

_AGE_GRACE: Final = 30.0  # seconds, far above what any Check takes
HANDSHAKE: Final = 10.0
"""Seconds that a peer has for TLS and the preface of HTTP/2."""


@dataclass(frozen=True, slots=True)
class RpcLimits:
    """The largest message (bytes), the streams of a connection, and its times (seconds)."""

    message_bytes: int = 4 * 1024 * 1024
    streams: int = 1024
    connection_age: float = 300.0
    connection_idle: float = 300.0
    keepalive_time: float = 60.0
    keepalive_timeout: float = 20.0


@dataclass(frozen=True, slots=True)
class ServeLimits:
    """All limits of `serve`. *grace* is how long a stop may take (seconds)."""

    checks: CheckLimits = field(default_factory=CheckLimits)
    rpc: RpcLimits = field(default_factory=RpcLimits)
    grace: float = 20.0


def channel_arguments(limits: RpcLimits) -> Sequence[tuple[str, int]]:
    """*limits* in gRPC's terms."""
    return (
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_concurrent_streams", limits.streams),
        ("grpc.max_connection_age_ms", _ms(limits.connection_age)),
        ("grpc.max_connection_age_grace_ms", _ms(_AGE_GRACE)),
        ("grpc.max_connection_idle_ms", _ms(limits.connection_idle)),
        ("grpc.keepalive_time_ms", _ms(limits.keepalive_time)),
        ("grpc.keepalive_timeout_ms", _ms(limits.keepalive_timeout)),
        # What gRPC really waits for is the answer to its ping: a minute, unless this is less.
        ("grpc.http2.ping_timeout_ms", _ms(limits.keepalive_timeout)),
        # Also where nothing is under way: so that a peer that has vanished is found, and since
        # Envoy's connection_keepalive pings then too.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        # gRPC takes Envoy's pings for an attack, and would close the connection.
        ("grpc.http2.max_ping_strikes", 0),
        # What waits to be handed over is refused by us. gRPC would cancel it, which is no refusal,
        # and count it as under way for ever.
        ("grpc.enable_channelz", 1),  # which counts what waits
        ("grpc.server.max_pending_requests", _NO_LIMIT),
        ("grpc.server.max_pending_requests_hard_limit", _NO_LIMIT),
        # Who connects and then says nothing, in TLS or in HTTP/2, holds a descriptor no longer.
        ("grpc.server_handshake_timeout_ms", _ms(HANDSHAKE)),
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
