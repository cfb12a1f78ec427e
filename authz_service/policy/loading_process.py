"""The process that loads a policy for another one, which `server.loading` starts.

It gets the policy in use on its standard input, and sends one `Outcome` on its standard output.
Its standard input stays open for as long as anybody waits for it, and it ends when that ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from authz_service.core.policy import Policy
from authz_service.policy.difference import difference
from authz_service.policy.files import FilesRead
from authz_service.policy.loader import load
from authz_service.policy.outcome import Outcome
from authz_service.policy.parcel import pack, unpack
from authz_service.policy.problems import PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_INPUT: Final = 0
_OUTPUT: Final = 1
_ERRORS: Final = 2


def outcome(
    paths: Iterable[Path], *, previous: bytes | None, environment: Mapping[str, str]
) -> Outcome:
    """Load the policy that *paths* make, and tell in what it differs from *previous*, a parcel."""
    files = FilesRead()
    try:
        policy = load(paths, environment=environment, files=files).policy
        parcel = pack(policy)
        if previous is None:
            return Outcome(files, parcel=parcel)
        before = unpack(previous) if previous else Policy()
        return Outcome(files, parcel=parcel, changes=difference(before, policy))
    except PolicyError as error:
        return Outcome(files, problems=error.problems)
    except Exception as error:  # noqa: BLE001 - a bug in here is told where it can be seen
        return Outcome(files, fault=type(error).__name__)


def main(previous_bytes: str, *paths: str) -> NoReturn:
    """Load *paths*. What is on standard input first is *previous_bytes* long; -1 is no policy.

    Nothing but the outcome gets to standard output, whatever a library prints.
    """
    output = os.dup(_OUTPUT)
    os.dup2(_ERRORS, _OUTPUT)
    size = int(previous_bytes)
    previous = sys.stdin.buffer.read(size) if size >= 0 else None
    threading.Thread(target=_end_with_the_other, daemon=True).start()
    _be_the_first_to_go()
    gc.disable()  # nothing made here holds cycles, and all of it goes at the end
    found = outcome(map(Path, paths), previous=previous, environment=os.environ)
    with os.fdopen(output, "wb") as stream:
        pickle.dump(found, stream)
    os._exit(0)  # what is taken apart piece by piece otherwise


def _be_the_first_to_go() -> None:
    """Where memory runs out, have the kernel (Linux) end this process, and not the one that serves.

    proc_pid_oom_score_adj(5): 1000 is the most, and everybody may ask for more than they had. A
    cgroup whose `memory.oom.group` is set, as the kubelet does it, ends as a whole.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


def _end_with_the_other() -> None:
    """End when the process that waits for the outcome has gone, or does not want it any more."""
    os.read(_INPUT, 1)
    os._exit(1)
