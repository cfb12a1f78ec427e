"""The last good key sets, kept in a directory for a start while their issuer is down.

Theory of operation. Reading and writing happen in the background, so that a disk that hangs holds
up neither a Check nor a fetch nor the end of the service. One file is written at a time, and of
several sets of one issuer the last. Nothing here fails: what cannot be read is as if it were not
there, and what cannot be written is in memory all the same. That something is amiss is told once
in the log when it begins, once when it is over, and in between by `problem`.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from authz_service.core.errors import IssuerError
from authz_service.core.jwks import parse_jwk_set
from authz_service.keys.directory import UnfitError, read_private, write_private
from authz_service.keys.stored import RestoredKeys, StoredKeys, UnusableRecordError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from authz_service.core.jwks import KeySet
    from authz_service.keys.background import InBackground
    from authz_service.keys.stored import KeyPlace

PATIENCE: Final = 10.0
"""Seconds after which a disk that has not answered counts as one that does not."""

_HANGS: Final = "the disk does not answer"

_log = structlog.get_logger(__name__)


class DirectoryStorage:
    """Keeps key sets in one directory, which services of the same user may share."""

    def __init__(
        self,
        directory: Path,
        in_background: InBackground,
        *,
        clock: Callable[[], float] = time.time,
        patience: float = PATIENCE,
    ) -> None:
        """Touch nothing yet. *clock* gives seconds since the epoch."""
        self._directory = directory
        self._in_background = in_background
        self._clock = clock
        self._patience = patience
        self._problem: str | None = None
        self._pending: dict[str, StoredKeys] = {}
        self._writing: asyncio.Task[None] | None = None
        self._stopped = False

    @property
    def problem(self) -> str | None:
        """Why the last set could not be written; None where it could, or none was yet."""
        return self._problem

    async def load(self, place: KeyPlace, *, issuer: str, max_stale: float) -> RestoredKeys | None:
        """Read what is stored for *place*; see Storage. *issuer* is its name in the log."""
        try:
            async with asyncio.timeout(self._patience):
                stored, key_set = await self._in_background(self._read, place)
            age = stored.age(self._clock(), max_stale=max_stale)
        except FileNotFoundError:
            return None
        except Exception as error:  # noqa: BLE001 - what is on a disk must not end anything
            _log.warning("key_cache_not_used", issuer=issuer, why=_why(error))
            return None
        return RestoredKeys(key_set, stored.jwks_uri, age)

    def _read(self, place: KeyPlace) -> tuple[StoredKeys, KeySet]:
        stored = StoredKeys.parse(read_private(self._directory, place.file_name), place)
        return stored, parse_jwk_set(stored.document)

    def keep(self, place: KeyPlace, jwks_uri: str, document: bytes) -> None:
        """Write it when what is being written is done; see Storage."""
        if self._stopped:
            return
        self._pending[place.file_name] = StoredKeys(place, jwks_uri, self._clock(), document)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="key cache")

    async def stop(self) -> None:
        """Write nothing more; see Storage."""
        self._stopped = True
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)

    async def _write_all(self) -> None:
        try:
            while self._pending:
                stored = self._pending.pop(next(iter(self._pending)))
                await self._write_one(stored)
        finally:
            self._writing = None

    async def _write_one(self, stored: StoredKeys) -> None:
        """Write until it is done or has failed: a disk that hangs gets no second thing to do."""
        timer = asyncio.get_running_loop().call_later(self._patience, self._note, _HANGS)
        try:
            await self._in_background(self._write, stored)
        except Exception as error:  # noqa: BLE001 - the keys are in memory all the same
            self._note(_why(error))
        else:
            self._note(None)
        finally:
            timer.cancel()

    def _write(self, stored: StoredKeys) -> None:
        write_private(
            self._directory,
            stored.place.file_name,
            stored.as_bytes(),
            supersedes=lambda octets: self._supersedes(stored, octets),
        )

    def _supersedes(self, stored: StoredKeys, octets: bytes) -> bool:
        """Whether *stored* is to replace *octets*: also what is of no use, or from the future."""
        try:
            before = StoredKeys.parse(octets, stored.place)
        except UnusableRecordError:
            return True
        return not stored.fetched_at < before.fetched_at <= self._clock()

    def _note(self, problem: str | None) -> None:
        before, self._problem = self._problem, problem
        if problem is not None and problem != before:
            _log.warning("key_cache_not_written", directory=str(self._directory), why=problem)
        elif problem is None and before is not None:
            _log.info("key_cache_written", directory=str(self._directory))


def _why(error: Exception) -> str:
    """Say what is amiss, in words of ours or of the system's for its error numbers."""
    if isinstance(error, TimeoutError):
        return _HANGS
    if isinstance(error, IssuerError):
        return error.message
    if isinstance(error, UnfitError | UnusableRecordError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"unexpected error: {type(error).__name__}"
