"""One target under the coverage-guided engine, in a process of its own: `python -m fuzz.engine`.

The arguments are the target's name and then libFuzzer's. The process ends with status 0 when its
time is up, and with another, and the input in a file, when one was found that fails.
"""

from __future__ import annotations

import sys
from random import Random
from typing import TYPE_CHECKING

import atheris

from fuzz.target import target

if TYPE_CHECKING:
    from collections.abc import Callable

    from fuzz.target import Mutator


def main(name: str, arguments: list[str]) -> None:
    """Fuzz the target *name*; does not return."""
    with atheris.instrument_imports(include=["authz_service"]):
        found = target(name)
    options = {} if found.mutate is None else {"custom_mutator": _mutator(found.mutate)}
    atheris.Setup([name, *arguments], found.judge, **options)
    atheris.Fuzz()


def _mutator(mutate: Mutator) -> Callable[[bytes, int, int], bytes]:
    def custom(octets: bytes, max_size: int, seed: int) -> bytes:
        return mutate(octets, _changed, Random(seed))[:max_size]  # noqa: S311 - protects nothing

    return custom


def _changed(octets: bytes) -> bytes:
    changed: bytes = atheris.Mutate(octets, 2 * len(octets) + 16)
    return changed


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
