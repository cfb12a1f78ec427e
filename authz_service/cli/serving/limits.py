"""How much the service takes on, and how long it takes to stop."""

from __future__ import annotations

from typing import Final

from authz_service.cli.serving.setting import Number, Seconds, as_one, setting
from authz_service.core.limits import RequestLimits
from authz_service.ext_authz.limits import CheckLimits
from authz_service.server.limits import RpcLimits, ServeLimits

_CHECKS: Final = CheckLimits()
_RPC: Final = RpcLimits()
_DAY: Final = 86400.0
_LONGEST: Final = 24 * _DAY  # in milliseconds, what gRPC has room for


def _limits(  # noqa: PLR0913 - one for each option
    *,
    grace: float,
    max_checks: int,
    max_message_bytes: int,
    max_streams: int,
    max_connection_age: float,
    max_connection_idle: float,
    keepalive_time: float,
    keepalive_timeout: float,
    max_key_wait: float,
    max_token_bytes: int,
    max_headers: int,
) -> ServeLimits:
    """Turn the options' values into one."""
    return ServeLimits(
        checks=CheckLimits(
            checks=max_checks,
            key_wait=max_key_wait,
            request=RequestLimits(token_bytes=max_token_bytes, headers=max_headers),
        ),
        rpc=RpcLimits(
            message_bytes=max_message_bytes,
            streams=max_streams,
            connection_age=max_connection_age,
            connection_idle=max_connection_idle,
            keepalive_time=keepalive_time,
            keepalive_timeout=keepalive_timeout,
        ),
        grace=grace,
    )


options = as_one(
    "limits", _limits,
    setting(
        "--grace", default=ServeLimits().grace, metavar="SECONDS", type=Seconds(0, 3600),
        help="Time that a stop may take, in seconds; 0 ends at once.",
    ),
    setting(
        "--max-checks", default=_CHECKS.checks, metavar="NUMBER", type=Number(1, 100_000),
        help="Checks under way at a time; what is more is refused with 503.",
    ),
    setting(
        "--max-message-bytes", default=_RPC.message_bytes, metavar="BYTES",
        type=Number(1024, 64 * 1024 * 1024),
        help="Size of one Check; a larger one is an error for Envoy.",
    ),
    setting(
        "--max-streams", default=_RPC.streams, metavar="NUMBER", type=Number(1, 100_000),
        help="Checks at a time on one connection; Envoy opens another one for more.",
    ),
    setting(
        "--max-connection-age", default=_RPC.connection_age, metavar="SECONDS",
        type=Seconds(1, _LONGEST),
        help="Age in seconds at which a connection is to be replaced by a new one.",
    ),
    setting(
        "--max-connection-idle", default=_RPC.connection_idle, metavar="SECONDS",
        type=Seconds(1, _LONGEST),
        help="Seconds without a Check after which a connection is closed.",
    ),
    setting(
        "--keepalive-time", default=_RPC.keepalive_time, metavar="SECONDS", type=Seconds(1, _DAY),
        help="Seconds of silence after which a peer is asked whether it is there.",
    ),
    setting(
        "--keepalive-timeout", default=_RPC.keepalive_timeout, metavar="SECONDS",
        type=Seconds(0.1, 3600),
        help="Seconds that it has to answer.",
    ),
    setting(
        "--max-key-wait", default=_CHECKS.key_wait, metavar="SECONDS", type=Seconds(0.001, 60),
        help="Seconds that a Check waits for fresher keys, whatever its deadline.",
    ),
    setting(
        "--max-token-bytes", default=_CHECKS.request.token_bytes, metavar="BYTES",
        type=Number(256, 1024 * 1024),
        help="Size of an access token.",
    ),
    setting(
        "--max-headers", default=_CHECKS.request.headers, metavar="NUMBER",
        type=Number(10, 100_000),
        help="Header lines of a request; one with more is refused with 431.",
    ),
)  # fmt: skip
