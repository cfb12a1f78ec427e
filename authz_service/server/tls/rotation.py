"""The identity in use, kept in step with its files.

Theory of operation. The files change one after the other, or all at once where a link is swapped
(kubelet, cert-manager). They are read until what was read is what is there. What does not fit
together, or is not valid now, leaves the identity in use alone, and is said once for each thing
that is wrong. A connection keeps what it began with; each new one gets what is in use then.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NoReturn

import structlog

from authz_service.policy.files import FilesRead
from authz_service.policy.problems import printable
from authz_service.server.background import in_background
from authz_service.server.tls.identity import Identity, TlsError, is_open_to_others, load_identity
from authz_service.server.watch import FileWatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.server.tls.identity import TlsFiles

_PAUSE: Final = 0.2  # seconds until files that changed while they were read are read again

_log = structlog.get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class RotatingIdentity:
    """What the service serves TLS with now."""

    def __init__(self, files: TlsFiles, *, clock: Callable[[], datetime] = _now) -> None:
        """Read *files*. Raises TlsError."""
        self._files = files
        self._clock = clock
        self._read = FilesRead()
        self._identity = load_identity(files, now=clock(), read=self._read)
        self._problem = ""
        self._asked = asyncio.Event()
        self._watch = FileWatch(lambda: files.paths, self.ask, watched="tls")
        _log.info("tls_loaded", **self._in_use())
        self._warn_of_the_key(is_open=is_open_to_others(files.key))

    @property
    def identity(self) -> Identity:
        """The identity in use."""
        return self._identity

    @property
    def validity(self) -> tuple[float, float]:
        """From when to when the certificate in use is valid, in seconds since the epoch."""
        return self._identity.not_before.timestamp(), self._identity.not_after.timestamp()

    @property
    def warnings(self) -> tuple[str, ...]:
        """That what is in use is not what is on disk, if so."""
        return (f"the TLS files were not taken: {self._problem}",) if self._problem else ()

    def ask(self) -> None:
        """Look whether the files have changed."""
        self._asked.set()

    async def run(self) -> NoReturn:
        """Follow the files for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch.run())
            while True:
                await self._asked.wait()
                self._asked.clear()
                try:
                    await self._look()
                except Exception as error:  # noqa: BLE001 - a bug in here must not end the looking
                    self._refuse(f"unexpected error: {type(error).__name__}")

    async def _look(self) -> None:
        if self._is_fine() and await in_background(self._read.is_current):
            return
        outcome = await self._read_steadily()
        if isinstance(outcome, TlsError):
            self._refuse(str(outcome))
        elif self._problem or outcome != self._identity:
            self._problem = ""
            self._identity = outcome
            _log.info("tls_reloaded", **self._in_use())
            self._warn_of_the_key(is_open=await in_background(is_open_to_others, self._files.key))

    def _is_fine(self) -> bool:
        return not self._problem and self._clock() < self._identity.not_after

    async def _read_steadily(self) -> Identity | TlsError:
        while True:
            read = FilesRead()
            outcome = await in_background(self._load, read)
            if await in_background(read.is_current):
                self._read = read
                return outcome
            await asyncio.sleep(_PAUSE)

    def _load(self, read: FilesRead) -> Identity | TlsError:
        try:
            return load_identity(self._files, now=self._clock(), read=read)
        except TlsError as error:
            return error

    def _refuse(self, problem: str) -> None:
        if problem != self._problem:
            _log.error(
                "tls_not_reloaded",
                problem=problem,
                not_after=self._identity.not_after.isoformat(),
                effect="the certificate, key and client CA in use stay",
            )
        self._problem = problem

    def _in_use(self) -> dict[str, str | bool]:
        return {
            "certificate": printable(str(self._files.certificate)),
            "not_after": self._identity.not_after.isoformat(),
            "client_certificates": self._identity.client_ca is not None,
        }

    def _warn_of_the_key(self, *, is_open: bool) -> None:
        if is_open:
            _log.warning(
                "tls_key_open_to_others",
                key=printable(str(self._files.key)),
                effect="every user of this machine can read the key: chmod o= or defaultMode 0440",
            )
