"""One target fuzzed for a while: its files, its process, and what came of it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fuzz.target import target

_ROOT: Final = Path(__file__).parents[1]
_MOST_MEMORY: Final = 1024  # MiB
_STATISTIC: Final = re.compile(r"^stat::(\w+):\s+(\d+)", re.MULTILINE)
_COVERED: Final = re.compile(r"\bcov: (\d+)")
_LAST_LINES: Final = 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """What fuzzing *name* came to; *why* is the engine's last words where an input failed.

    *edges* are the branches of the package's bytecode that were taken, *slowest* is in seconds.
    """

    name: str
    executions: int
    per_second: int
    edges: int
    slowest: int
    memory: int
    failing: tuple[Path, ...]
    why: str | None

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        numbers = (self.executions, self.per_second, self.edges, self.slowest, self.memory)
        found = "nothing" if self.why is None else "FAILED"
        return (self.name, *map(str, numbers), found)


HEADING: Final = ("target", "executions", "per second", "edges", "slowest s", "MiB", "found")


def fuzz(name: str, seconds: int, directory: Path) -> Outcome:
    """Fuzz the target *name* for so many *seconds*, keeping what it finds in *directory*."""
    seeds = _written(name, directory / "seeds" / name)
    corpus = directory / "corpus" / name
    failing = directory / "failing"
    for each in (corpus, failing):
        each.mkdir(parents=True, exist_ok=True)
    before = set(failing.iterdir())
    arguments = _arguments(name, seconds, failing)
    finished = subprocess.run(
        [sys.executable, "-m", "fuzz.engine", name, *arguments, corpus, seeds],
        cwd=_ROOT,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
    )
    new = sorted(set(failing.iterdir()) - before)
    return _outcome(name, finished.stdout, tuple(new), failed=finished.returncode != 0)


def _written(name: str, directory: Path) -> Path:
    """Write the seeds of the target *name*."""
    directory.mkdir(parents=True, exist_ok=True)
    for seed in target(name).seeds():
        (directory / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    return directory


def _arguments(name: str, seconds: int, failing: Path) -> list[str]:
    found = target(name)
    options: dict[str, object] = {
        "max_total_time": seconds,
        "max_len": found.max_bytes,
        "timeout": found.seconds,
        "rss_limit_mb": _MOST_MEMORY,
        "artifact_prefix": f"{failing}/{name}-",
        "print_final_stats": 1,
    }
    if found.words:
        dictionary = failing.parent / f"{name}.words"
        dictionary.write_text("".join(map(_quoted, found.words)), encoding="ascii")
        options["dict"] = dictionary
    return [f"-{option}={value}" for option, value in options.items()]


def _quoted(word: str) -> str:
    """*word* as a line of libFuzzer's dictionary."""
    return '"' + "".join(f"\\x{octet:02x}" for octet in word.encode()) + '"\n'


def _outcome(name: str, output: str, failing: tuple[Path, ...], *, failed: bool) -> Outcome:
    statistics = {found[1]: int(found[2]) for found in _STATISTIC.finditer(output)}
    edges = [int(found[1]) for found in _COVERED.finditer(output)]
    return Outcome(
        name,
        executions=statistics.get("number_of_executed_units", 0),
        per_second=statistics.get("average_exec_per_sec", 0),
        edges=max(edges, default=0),
        slowest=statistics.get("slowest_unit_time_sec", 0),
        memory=statistics.get("peak_rss_mb", 0),
        failing=failing,
        why=_last_words(output) if failed or failing else None,
    )


def _last_words(output: str) -> str:
    """From the exception on, or the last lines where there is none."""
    start = output.find("=== Uncaught Python exception")
    lines = output[max(start, 0) :].splitlines()
    return "\n".join(lines[:_LAST_LINES] if start >= 0 else lines[-_LAST_LINES:])
