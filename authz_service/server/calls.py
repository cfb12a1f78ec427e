"""How many RPCs gRPC has under way: those that we were handed, and those that wait in it for us.

Only gRPC itself knows of the latter; channelz, its own account of what it does, tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from grpc_channelz.v1 import channelz_pb2
from grpc_channelz.v1.channelz import ChannelzServicer

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = structlog.get_logger(__name__)


class ServerCalls:
    """The calls of the server of this process that was made last."""

    def __init__(self) -> None:
        """Find the server."""
        self._failed = False
        self._server_id = max(_server_ids(), default=0)

    def __call__(self) -> int:
        """The number of calls under way, 0 where it cannot be had, which is told once."""
        request = channelz_pb2.GetServerRequest(server_id=self._server_id)
        try:
            told = ChannelzServicer.GetServer(request, None).server.data
        except Exception as error:  # noqa: BLE001 - an account, without which all goes on
            self._fail(error)
            return 0
        return max(0, int(told.calls_started - told.calls_succeeded - told.calls_failed))

    def _fail(self, error: Exception) -> None:
        if not self._failed:
            _log.warning("waiting_checks_unknown", error=type(error).__name__)
        self._failed = True


def _server_ids() -> Iterator[int]:
    """The ids of all servers of this process, which grow; gRPC gives them a page at a time."""
    start, end = 0, False
    while not end:
        page = ChannelzServicer.GetServers(
            channelz_pb2.GetServersRequest(start_server_id=start), None
        )
        for server in page.server:
            start = server.ref.server_id + 1
            yield server.ref.server_id
        end = page.end or not page.server
