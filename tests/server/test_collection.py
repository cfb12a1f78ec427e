"""The garbage collector does not look at what stays, and finds what does not."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from authz_service.server.collection import building_what_stays

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cycle:
    """Garbage that only the collector finds, once nobody refers to it."""

    def __init__(self) -> None:
        self.self = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_what_was_built_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    with building_what_stays():
        built = [[number] for number in range(1000)]
    assert gc.get_freeze_count() >= before + len(built)
    assert not any(each is built[0] for each in gc.get_objects())


def test_the_garbage_of_others_is_not_kept_with_it() -> None:
    with building_what_stays():
        gone = weakref.ref(Cycle())
    assert gone() is None


def test_nothing_but_the_young_is_looked_at_meanwhile() -> None:
    collections: list[int] = []

    def note(phase: str, told: dict[str, int]) -> None:
        if phase == "start":
            collections.append(told["generation"])

    gc.callbacks.append(note)
    try:
        with building_what_stays():
            kept = [[number] for number in range(200_000)]
    finally:
        gc.callbacks.remove(note)
    assert len(kept) == 200_000
    assert collections
    assert set(collections) == {0}


def test_the_collector_is_as_it_was_afterwards_though_the_building_failed() -> None:
    usual = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), building_what_stays():
        divmod(1, 0)
    assert gc.get_threshold() == usual
    assert gc.isenabled()
