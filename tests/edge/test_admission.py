"""How many Checks are let in, counted where they are and where they wait."""

from __future__ import annotations

from authz_service.ext_authz.admission import CALM, TRUE_FOR, Admission


def _standing_still() -> float:
    return 0.0


def test_as_many_as_may_be_are_let_in_and_then_one_for_each_that_leaves() -> None:
    admission = Admission(2)
    assert [admission.enter() for _ in range(4)] == [True, True, False, False]
    for _ in range(3):
        admission.leave()
    assert [admission.enter(), admission.enter()] == [True, False]
    assert admission.here == 3
    assert admission.entered == 6


def test_those_that_are_refused_count_until_they_have_been_answered() -> None:
    admission = Admission(1)
    admission.enter()
    admission.enter()
    assert admission.in_flight == 2
    admission.leave()
    assert not admission.enter()


def test_what_waits_in_grpc_is_refused_as_far_as_it_is_too_much() -> None:
    admission = Admission(10, look_every=7, clock=_standing_still)
    admission.watch(lambda: 13)

    def let_in_one_by_one(count: int) -> list[bool]:
        answers = []
        for _ in range(count):
            answers.append(admission.enter())
            admission.leave()
        return answers

    assert let_in_one_by_one(6) == [True] * 6
    assert let_in_one_by_one(7) == [False, True, False, False, True, True, True]
    admission.watch(lambda: 10)
    assert all(let_in_one_by_one(8))


def test_what_was_too_much_and_has_gone_keeps_nobody_out() -> None:
    now = 0.0
    admission = Admission(10, look_every=7, clock=lambda: now)
    admission.watch(lambda: 1000)
    for _ in range(7):
        admission.enter()
        admission.leave()
    admission.watch(lambda: 1)
    assert [admission.enter(), admission.enter()] == [True, False]  # it was seen just now
    now = TRUE_FOR
    assert [admission.enter() for _ in range(8)] == [True] * 8


def test_in_an_overload_that_does_not_end_one_check_of_four_is_decided() -> None:
    admission = Admission(10, look_every=1)
    admission.watch(lambda: 10_000)
    answers = []
    for _ in range(8):
        answers.append(admission.enter())
        admission.leave()
    assert answers == [False, False, False, True] * 2


def test_what_waits_in_grpc_is_in_flight() -> None:
    admission = Admission(10)
    admission.watch(lambda: 700)
    assert admission.in_flight == 700
    admission.watch(lambda: 0)
    admission.enter()
    assert admission.in_flight == 1


def test_while_little_waits_looks_are_fewer() -> None:
    looks = 0
    waiting = 0

    def calls() -> int:
        nonlocal looks
        looks += 1
        return waiting

    def let_in(count: int) -> int:
        """Give how many looks that took."""
        before = looks
        for _ in range(count):
            admission.enter()
            admission.leave()
        return looks - before

    admission = Admission(8 * CALM, look_every=10, clock=_standing_still)
    admission.watch(calls)
    waiting = 8
    assert let_in(10) == 1
    assert let_in(10 * CALM - 1) == 0
    waiting = 9
    assert let_in(1) == 1
    assert [let_in(10) for _ in range(3)] == [1, 1, 1]
