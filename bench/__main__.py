"""Measures the service, each figure beside its reference in the same run: `make bench`.

Prints one table, and writes it with every round's figures into `bench/results`. Ends with status 1
if a target is missed, a section fails or one answer is not what it must be. A whole run takes
half an hour; --quick takes one to two minutes and shows that all of it works: its figures say
little, so that a target that it misses is no failure.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import results
from bench.rows import Failure
from bench.scale import Scale
from bench.table import table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.rows import Row

SECTIONS: Final[Mapping[str, str]] = {
    "warm": "tokens that were seen before",
    "cold": "tokens that are new",
    "kinds": "requests without a token, and with a bad one",
    "servers": "gRPC's servers without any decision",
    "sizes": "many routes, hosts and issuers",
    "envoy": "through the real Envoy",
    "verification": "verification in process, without gRPC",
    "token_cache": "a decision in process, with the token cache and without",
    "policy": "policies loaded, linted, tested and evaluated",
    "reload": "Checks while a policy is loaded anew",
    "start": "from the start to ready",
    "memory": "resident memory",
}
"""The modules of `bench.sections`, in the order in which they run, and what they are about."""


def main(arguments: argparse.Namespace) -> int:
    """Measure, and give the exit status."""
    started = datetime.now(UTC)
    measured = {name: _measure(name, quick=arguments.quick) for name in arguments.only}
    found = results.document(measured, started=started, quick=arguments.quick)
    print(_heading(found))
    rows = [row for section in measured.values() for row in section]
    print(table([row.cells for row in rows]))
    print(f"every round is in {results.write(found)}")
    missed = [row.measured for row in rows if row.is_met is False]
    print(f"{len(missed)} of {sum(row.is_met is not None for row in rows)} targets missed")
    failed = any(isinstance(row, Failure) for row in rows)
    return 1 if failed or (missed and not arguments.quick) else 0


def _measure(name: str, *, quick: bool) -> Sequence[Row | Failure]:
    """The rows of one section. What goes wrong in it is a row, and the next one runs."""
    print(f"{name}: {SECTIONS[name]} …", file=sys.stderr, end="", flush=True)
    started = time.monotonic()
    rows: list[Row | Failure] = []
    try:
        with tempfile.TemporaryDirectory(prefix="authz-service-bench-") as directory:
            module = import_module(f"bench.sections.{name}")
            rows.extend(module.rows(Scale(Path(directory), quick=quick)))
    except Exception as error:  # noqa: BLE001 - the other sections are not to be lost with it
        rows.append(Failure(name, f"{type(error).__name__}: {error}"))
        print(f" {error}", file=sys.stderr, end="")
    print(f" {time.monotonic() - started:.0f} s", file=sys.stderr)
    return rows


def _heading(found: Mapping[str, object]) -> str:
    machine, versions = results.machine(), results.versions()
    return (
        f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"{versions['python']}, grpcio {versions['grpcio']}, commit {found['commit']}"
    )


def _sections(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"no such section: {', '.join(sorted(unknown))}")
    return [name for name in SECTIONS if name in names]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=…",
        description=__doc__,
        epilog="sections:\n" + "\n".join(f"  {name:14}{told}" for name, told in SECTIONS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a minute in all")
    parser.add_argument(
        "--only", type=_sections, default=list(SECTIONS), metavar="SECTION,…",
        help="these sections, not all",
    )  # fmt: skip
    sys.exit(main(parser.parse_args()))
