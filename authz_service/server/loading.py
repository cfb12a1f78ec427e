"""Policies, loaded by a process of their own and brought here.

Theory of operation. What reads a policy file, checks and compiles it is a sixth of what the service
would weigh, and takes turns with Checks while it works, for seconds where a policy is large. So
another process does it, which ends with it, and sends what it made. Here that is only unpacked.
The process ends when its standard input does: however this one ends, that does not outlive it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from authz_service.policy.difference import PolicyDifference
from authz_service.policy.parcel import unpack
from authz_service.server.background import in_background
from authz_service.server.collection import building_what_stays

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from authz_service.core.policy import Policy
    from authz_service.policy.files import FilesRead
    from authz_service.policy.outcome import Outcome
    from authz_service.policy.problems import Problem

# It finds what this process finds, and nothing else: no module of the directory that we are in, and
# nothing that a variable names by now. In ASCII, as its locale may be another.
_PROGRAM: Final = """\
import sys
sys.path[:] = {path!a}
from authz_service.policy.loading_process import main
main(*sys.argv[1:])
"""


class LoadError(Exception):
    """There is no policy, and no mistake in it that is known: the process that loads it failed."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy, the *files* that it was made of, and its *changes* to the one before.

    It is told by its *parcel* to the process that loads the next one; empty, it is `Policy()`.
    """

    policy: Policy
    files: FilesRead
    parcel: bytes = b""
    changes: PolicyDifference = field(default_factory=PolicyDifference)


@dataclass(frozen=True, slots=True)
class Refused:
    """What the *files* hold is no policy, and why."""

    files: FilesRead
    problems: tuple[Problem, ...]


class Loading:
    """A process that loads a policy, from its start on. Leaving the context ends it."""

    def __init__(self, paths: Iterable[Path], *, previous: bytes | None = None) -> None:
        """Start it on *paths*; *previous* is the parcel of the policy in use, if there is one.

        Raises LoadError where no process can be started.
        """
        self._previous = previous
        size = -1 if previous is None else len(previous)
        command = (*_interpreter(), str(size), *map(str, paths))
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and paths as data
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is for this process, which ends it
            )
        except OSError as error:
            why = f"the process that loads the policy cannot be started: {error.strerror or error}"
            raise LoadError(why) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()

    def end(self) -> None:
        """End the process, if it has not ended. Whoever waits for its result gets LoadError."""
        self._process.kill()

    def result(self) -> Loaded | Refused:
        """Wait for what came of it, which may take for ever; once. Raises LoadError."""
        try:
            return _received(self._exchange())
        finally:
            self._process.kill()
            self._process.wait()

    def _exchange(self) -> bytes:
        process = self._process
        assert process.stdin is not None  # noqa: S101 - it was asked for
        assert process.stdout is not None  # noqa: S101 - as above
        with process.stdout, contextlib.suppress(BrokenPipeError), process.stdin:
            with contextlib.suppress(BrokenPipeError):  # its status says more
                process.stdin.write(self._previous or b"")
                process.stdin.flush()
            sent = process.stdout.read()
            status = process.wait()
        if status or not sent:
            raise LoadError(f"the process that loads the policy {_ending(status)}")
        return sent


async def load_apart(paths: Sequence[Path], previous: bytes) -> Loaded | Refused:
    """Load the policy that *paths* make now; *previous* is the parcel of the one in use.

    The process is started in a thread too: whoever starts one stands still until the program has
    been found, which takes as long as the disk does. Where the caller is cancelled, the process is
    ended and not waited for. Raises LoadError.
    """
    started: list[Loading] = []
    unwanted = threading.Event()

    def load() -> Loaded | Refused:
        with Loading(paths, previous=previous) as loading:
            started.append(loading)
            if unwanted.is_set():
                loading.end()
            return loading.result()

    try:
        return await in_background(load)
    finally:
        unwanted.set()
        for loading in started:
            loading.end()


def _interpreter() -> tuple[str, ...]:
    """The words that start this interpreter, isolated, where the bytecode of this one is."""
    return (
        sys.executable, "-I", "-S", *(("-B",) if sys.dont_write_bytecode else ()),
        *(("-X", f"pycache_prefix={sys.pycache_prefix}") if sys.pycache_prefix else ()),
        "-X", f"utf8={sys.flags.utf8_mode}",  # or a path would be read in another encoding
        "-c", _PROGRAM.format(path=_path()),
    )  # fmt: skip


def _path() -> list[str]:
    """Where this process finds modules, but for the directory that it is in.

    `python -m` looks there first, and who can write there now could not when we began. Where this
    very package was found there, it is the one to look in.
    """
    home = str(Path(__file__).parents[2])
    try:
        here = os.getcwd()  # noqa: PTH109 - compared with what is a string
    except FileNotFoundError:  # removed meanwhile
        here = ""
    path = [each or here for each in sys.path]
    return [each for each in path if each == home or each != here]


@functools.cache
def _running_version() -> str | None:
    """What was installed when the first policy was loaded, and so is what runs."""
    return _installed_version()


def _installed_version() -> str | None:
    # Late, since it takes longer than all else here, and the process is to be started first.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("authz-service")
    except PackageNotFoundError:
        return None


def _received(sent: bytes) -> Loaded | Refused:
    """Take over what a process of this version has sent. Raises LoadError.

    One of another version may mean something else by the arguments that a policy is made of.
    """
    if _running_version() != _installed_version():
        raise LoadError(
            "another version of authz-service is installed than the one that runs: restart it"
        )
    outcome: Outcome = pickle.loads(sent)  # noqa: S301 - the pipe is from a process of ours
    if outcome.fault is not None:
        raise LoadError(f"unexpected error: {outcome.fault}")
    if outcome.problems:
        return Refused(outcome.files, outcome.problems)
    with building_what_stays():
        policy = unpack(outcome.parcel)
    return Loaded(policy, outcome.files, outcome.parcel, outcome.changes)


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
