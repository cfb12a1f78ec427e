"""What is fuzzed: a function of bytes that must hold, and what to start from."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MutateOctets = Callable[[bytes], bytes]
"""Changes octets without knowing what they mean, as libFuzzer does."""

Mutator = Callable[[bytes, MutateOctets, Random], bytes]
"""Changes one input to another that gets further than changed octets would."""


@dataclass(frozen=True, slots=True)
class Target:
    """One function under test.

    *judge* takes any bytes, and raises where something is not as it must be. *mutate* is None
    where changed octets get far enough. An input has at most *max_bytes*, and may take *seconds*;
    *words* are what mutations put in.
    """

    seeds: Callable[[], Iterable[bytes]]
    judge: Callable[[bytes], None]
    mutate: Mutator | None = None
    words: tuple[str, ...] = ()
    max_bytes: int = 8 * 1024
    seconds: int = 10


MODULES: Final[Mapping[str, str]] = MappingProxyType({
    "check": "fuzz.check_request",
    "token": "fuzz.access_token",
    "keys": "fuzz.key_set",
    "metadata": "fuzz.issuer_metadata",
    "policy": "fuzz.policy_file",
    "tests": "fuzz.policy_tests",
    "when": "fuzz.when_expression",
    "openapi": "fuzz.openapi_document",
})  # fmt: skip
"""Where each target is. A module is imported when its target is asked for, and not before: what
coverage guides must be instrumented while it is imported."""


def target(name: str) -> Target:
    """Import the target of that *name*."""
    found = importlib.import_module(MODULES[name]).TARGET
    assert isinstance(found, Target)
    return found
