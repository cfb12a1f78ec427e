"""The policy on disk takes the place of the one in use, or leaves it alone.

Theory of operation. Anybody may ask for a reload, as often as they like: one is done at a time, and
what is asked meanwhile is one more. Files that read as they did before are no reload, unless
somebody insists. Reading and compiling happen in another process (see `loading`). Where the files
changed while they were read, the result may be a mixture that nobody wrote, so it is thrown away
and they are read again. Where that process fails, it is tried again when somebody asks, but not at
once: it may fail for want of memory, and our own line in the log may be what asks.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Literal, NoReturn, Protocol

import structlog

from authz_service.policy.difference import shortened
from authz_service.server.background import in_background
from authz_service.server.loading import LoadError, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from authz_service.core.policy import Policy
    from authz_service.server.loading import Loaded

MAX_PROBLEMS: Final = 50
"""Problems of a policy that are logged; of more, how many there are."""

LOAD_WITHIN: Final = 300.0
"""Seconds that a load may take; ten thousand routes take two, where there is a processor for it."""

RECOVERY: Final = 5.0
"""Seconds after a failure in which nobody is heard but who insists."""

_PAUSE: Final = 0.2  # seconds until files that changed while they were read are read again
_COMPLAIN_EVERY: Final = 25  # times that they did

_Problems = tuple[str, ...]
Result = Literal["changed", "unchanged", "failed"]

_log = structlog.get_logger(__name__)


class Load(Protocol):
    """Loads the policy, and tells what differs from the one in use. Raises LoadError."""

    async def __call__(self, in_use: Loaded, /) -> Loaded | Refused:
        """Load it now."""


class Reloader:
    """Keeps the policy in use in step with its files."""

    def __init__(
        self,
        in_use: Loaded,
        load: Load,
        take: Callable[[Policy], Awaitable[None]],
        observe: Callable[[Result], None],
    ) -> None:
        """*in_use* is the policy that decides now.

        *take* brings another one into use; *observe* is told how each reload ended.
        """
        self._in_use = in_use
        self._files = in_use.files
        self._hash = in_use.files.hash
        self._load = load
        self._take = take
        self._observe = observe
        self._asked = asyncio.Event()
        self._insisted = asyncio.Event()
        self._unknown = False
        self._problems: _Problems = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and directories that were read last."""
        return self._files.paths

    @property
    def policy_hash(self) -> str:
        """The hash of the files that the policy in use was made of; see FilesRead."""
        return self._hash

    @property
    def warnings(self) -> tuple[str, ...]:
        """That the policy in use is not the one on disk, if so."""
        if not self._problems:
            return ()
        count, first = len(self._problems), self._problems[0]
        warning = (
            f"the policy on disk was not taken: {count} problem{'s' if count > 1 else ''},"
            f" first: {first}"
        )
        return tuple(shortened((warning,), most=1))

    def ask(self) -> None:
        """Reload if the files have changed."""
        self._asked.set()

    def insist(self) -> None:
        """Reload, and say so also where nothing has changed."""
        self._insisted.set()
        self._asked.set()

    async def run(self) -> NoReturn:
        """Reload whenever it is asked for."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            insisted = self._insisted.is_set()
            self._insisted.clear()
            try:
                await self._reload(insisted=insisted)
            except LoadError as error:
                self._fail(str(error))
            except Exception as error:  # noqa: BLE001 - a bug in here must not end the reloading
                self._fail(f"unexpected error: {type(error).__name__}")
            if self._unknown:
                await self._recover()

    async def _recover(self) -> None:
        """Let `RECOVERY` pass, or until somebody insists."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECOVERY):
                await self._insisted.wait()

    async def _reload(self, *, insisted: bool) -> None:
        known = not (insisted or self._unknown)
        if known and await in_background(self._files.is_current):
            return
        outcome = await self._read_steadily()
        self._unknown = False
        if isinstance(outcome, Refused):
            self._files = outcome.files
            self._refuse(tuple(str(problem) for problem in outcome.problems))
            return
        changes = outcome.changes
        # Also where no difference can be told: the new one is what the files say.
        await self._take(outcome.policy)
        self._in_use, self._files, self._hash = outcome, outcome.files, outcome.files.hash
        recovered, self._problems = bool(self._problems), ()
        if changes:
            _log.info("policy_reloaded", **changes.as_fields())
        elif insisted or recovered:
            _log.info("policy_unchanged")
        else:
            _log.debug("policy_unchanged")
        warn_of_effects(outcome.policy)
        self._observe("changed" if changes else "unchanged")

    async def _read_steadily(self) -> Loaded | Refused:
        times = 0
        while True:
            outcome = await self._load_in_time()
            if await in_background(outcome.files.is_current):
                return outcome
            times += 1
            if times % _COMPLAIN_EVERY == 0:
                _log.warning("policy_files_keep_changing", times=times)
            await asyncio.sleep(_PAUSE)

    async def _load_in_time(self) -> Loaded | Refused:
        """Load, but not for ever: a file system may hang, and nobody would hear of it."""
        try:
            async with asyncio.timeout(LOAD_WITHIN):
                return await self._load(self._in_use)
        except TimeoutError:
            raise LoadError(f"the policy was not loaded within {LOAD_WITHIN:g} seconds") from None

    def _fail(self, why: str) -> None:
        """What the files hold is not known: they are read again at the next look."""
        self._unknown = True
        self._refuse((why,))

    def _refuse(self, problems: _Problems) -> None:
        self._problems = problems
        _log.error(
            "policy_not_reloaded",
            count=len(problems),
            problems=shortened(problems, most=MAX_PROBLEMS),
            effect="the policy in use stays",
        )
        self._observe("failed")


def warn_of_effects(policy: Policy) -> None:
    """Log it if *policy* lets nobody do anything, or everybody: it is allowed, and seldom meant."""
    if policy.audit:
        _log.warning("policy_all_audit", effect="what no route names is let through")
    elif not policy.hosts.values:
        _log.warning("policy_without_routes", effect="every request is denied")
