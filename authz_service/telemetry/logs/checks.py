"""The decision log: one event for each Check. It names no secret, and what it names is bounded."""

from __future__ import annotations

import contextlib
import random
import re
import time
from typing import TYPE_CHECKING, Final

import structlog

from authz_service.core.decision import refusal
from authz_service.core.errors import AccessDenied
from authz_service.core.request import Host
from authz_service.core.summary import summarize
from authz_service.telemetry.logs import json_output
from authz_service.telemetry.logs.bounds import cut_long
from authz_service.telemetry.logs.check_lines import CheckLines
from authz_service.telemetry.logs.lines import timestamp
from authz_service.telemetry.logs.needs import needs
from authz_service.telemetry.logs.paths import shown_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.core.decision import Decision
    from authz_service.core.request import HttpRequest
    from authz_service.telemetry.logs.settings import LogSettings

# What a client may choose is logged where it has the shape of what it should be.
_METHOD: Final = re.compile(r"[A-Za-z-]{1,32}", re.ASCII)
_REQUEST_ID: Final = re.compile(r"(?!eyJ)[A-Za-z0-9._:-]{1,128}", re.ASCII)

_log = structlog.get_logger(__name__)


class CheckLog:
    """Logs decisions: refusals always, also those that are not enforced, and a share of the rest.

    Never a token, a query, or a header's value but the host and the request id.
    """

    def __init__(
        self, settings: LogSettings, *, chance: Callable[[], float] = random.random
    ) -> None:
        """*chance* gives numbers from 0 up to 1; below `settings.allows`, an allow is logged.

        It is not the request that decides: a client would choose ids that are never logged.
        """
        self._settings = settings
        self._chance = chance
        self.is_on: Final = settings.level in {"debug", "info"}
        """Whether there is a decision log at this level."""
        self._lines = CheckLines(self._hide_identity, settings.allows)

    def announce(self) -> None:
        """Log what the readers of this log have to know about it."""
        if (hashed := self._settings.identity_hash) is None:
            return
        if hashed.random:
            _log.info(
                "log_identity_key",
                key="random",
                effect="the hashes of this process can be compared with each other only",
            )
        if hashed.open_to_others:
            _log.warning(
                "log_identity_key_open_to_others",
                effect="every user of this machine can undo the hashes by guessing: chmod o=",
            )

    def __call__(
        self,
        request: HttpRequest,
        decision: Decision,
        seconds: float,
        context_extensions: Mapping[str, str] | None = None,
        *,
        at: int | None = None,
    ) -> None:
        """Log that *request* was decided so within *seconds*, if it is to be logged.

        *at* is when, in nanoseconds since the epoch, if that was not just now.
        """
        deny = refusal(decision)
        if not self.is_on or (deny is None and not self._is_drawn()):
            return
        moment = timestamp(time.time_ns() if at is None else at)
        duration_us = round(seconds * 1e6)
        asked = _request_fields(request)
        if not context_extensions and self._put_usual(moment, decision, asked, duration_us):
            return
        fields: dict[str, object] = {**summarize(decision), **asked}
        if context_extensions:
            fields["context_extensions"] = context_extensions
        if deny is not None:
            fields |= needs(deny)
        elif self._settings.allows < 1:
            fields["sampled"] = self._settings.allows
        if self._settings.raw_path:
            fields["path"] = shown_path(request.target)
        self._hide_identity(fields)
        cut_long(fields)
        _log.info("check", timestamp=moment, **fields, duration_us=duration_us)

    def _put_usual(
        self, moment: str, decision: Decision, asked: Mapping[str, str], duration_us: int
    ) -> bool:
        """Log *decision* the short way, and say whether that can be."""
        output = None if self._settings.raw_path else json_output()
        line = None if output is None else self._lines.line(moment, decision, asked, duration_us)
        if output is None or line is None:
            return False
        output.put(line)
        return True

    def _is_drawn(self) -> bool:
        return self._settings.allows >= 1 or self._chance() < self._settings.allows

    def _hide_identity(self, fields: dict[str, object]) -> None:
        if (hashed := self._settings.identity_hash) is None:
            return
        for name in ("subject", "client_id"):
            if name in fields:
                fields[name] = hashed.of(str(fields[name]))


def _request_fields(request: HttpRequest) -> dict[str, str]:
    """What a client says of its request, as far as it has the shape of what it should be."""
    fields = {}
    if _METHOD.fullmatch(request.method):
        fields["method"] = request.method
    with contextlib.suppress(AccessDenied):
        fields["host"] = Host.parse(request.authority).name
    request_ids = request.header_values("x-request-id")
    if len(request_ids) == 1 and _REQUEST_ID.fullmatch(request_ids[0]):
        fields["request_id"] = request_ids[0]
    return fields
