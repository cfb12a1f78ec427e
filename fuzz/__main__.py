"""Coverage-guided fuzzing of what attackers, issuers and operators send: `make fuzz`.

Each target is a function of bytes that judges what the service makes of them. It fails where an
exception is raised that is not documented, where an answer breaks a rule that holds for all of
them, where a second opinion objects to an allow, and where one input takes too long or too much
memory. The input is then in a file, and `--reproduce FILE` judges it again, without the engine.

A target is a module of this folder with a `TARGET`; `fuzz.target.MODULES` names them. The seeds
are made when it starts. What is found becomes a case in tests/fuzz, where every seed runs, too.

The engine is atheris, with libFuzzer in it. Its wheels are for CPython 3.11 and later on Linux on
x86-64; elsewhere only `--reproduce` works.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fuzz.campaign import HEADING, fuzz
from fuzz.target import MODULES, target

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fuzz.campaign import Outcome

_SECONDS: Final = "60"
_DIRECTORY: Final = Path(".fuzz")
_FAILED: Final = 1
_BAD_USAGE: Final = 2
_NO_ENGINE: Final = (
    "fuzzing needs atheris, which has wheels for CPython 3.11 and later on Linux on x86-64;"
    " every seed runs without it: make test ARGS=tests/fuzz"
)


def main(arguments: argparse.Namespace) -> int:
    """Fuzz or reproduce, and give the exit status."""
    if arguments.reproduce:
        return reproduce(arguments.reproduce, *arguments.target[:1])
    if importlib.util.find_spec("atheris") is None:
        print(_NO_ENGINE, file=sys.stderr)
        return _BAD_USAGE
    outcomes = []
    for name in arguments.target or MODULES:
        print(f"{name} for {arguments.seconds} seconds …", flush=True)
        outcomes.append(fuzz(name, arguments.seconds, _DIRECTORY.resolve()))
        _tell_failure(outcomes[-1])
    print(_table(outcomes))
    return _FAILED if any(outcome.why is not None for outcome in outcomes) else 0


def reproduce(file: Path, name: str | None = None) -> int:
    """Judge the input in *file* again, by its target, which its name begins with."""
    name = name or file.name.partition("-")[0]
    if name not in MODULES:
        print(f"say which target this is for: --target {'|'.join(MODULES)}", file=sys.stderr)
        return _BAD_USAGE
    try:
        octets = file.read_bytes()
    except OSError as error:
        print(f"{file}: cannot be read: {error.strerror}", file=sys.stderr)
        return _BAD_USAGE
    try:
        target(name).judge(octets)
    except Exception:  # noqa: BLE001 - any is what was looked for
        traceback.print_exc()
        return _FAILED
    print(f"{file}: nothing is wrong with {name} for this input")
    return 0


def _tell_failure(outcome: Outcome) -> None:
    if outcome.why is None:
        return
    print(outcome.why)
    for file in outcome.failing:
        print(f"to see it again: make fuzz ARGS='--reproduce {os.path.relpath(file)}'")


def _table(outcomes: Iterable[Outcome]) -> str:
    rows = [HEADING, *(outcome.cells for outcome in outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _seconds(text: str) -> int:
    if (seconds := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return seconds


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--target",
        action="append",
        choices=tuple(MODULES),
        default=[],
        help="fuzz this one; may be given several times; default: each in turn",
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=os.environ.get("FUZZ_SECONDS") or _SECONDS,
        help=f"for each target; default: FUZZ_SECONDS, or {_SECONDS}",
    )
    parser.add_argument("--reproduce", type=Path, metavar="FILE", help="judge one input again")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main(_arguments()))
