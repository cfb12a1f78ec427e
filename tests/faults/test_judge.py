"""The judge: what is right depends on the request, on the fault, and on when it was sent."""

from __future__ import annotations

import pytest

from tests.faults.judge import Answer, Judge
from tests.faults.outcomes import ALLOWED, EXPIRED, KEYS_UNAVAILABLE, NO_ANSWER
from tests.faults.phases import DOWN, STEADY, Phase, Timeline, without_keys
from tests.faults.traffic import Kind, Request

VALID = Kind("valid", ALLOWED, keys_of="logto")
REQUEST = Request(VALID, "/products", None, {"x-auth-subject": "alice"})
PATH = "/products?number=1"
ALICE = Answer(200, identity={"x-auth-subject": "alice"}, path=PATH)


class _FixedTimeline(Timeline):
    """Phases that began at times of the test's."""

    def __init__(self, *begun: tuple[float, Phase]) -> None:
        super().__init__()
        self._begun = list(begun)


def complaints(answer: Answer, *begun: tuple[float, Phase], sent: float = 10.0) -> list[str]:
    judge = Judge(_FixedTimeline((0.0, STEADY), *begun))
    judge.judge(REQUEST, answer, sent=sent, answered=sent + 1.0, path=PATH)
    assert judge.checks == 1
    assert judge.longest == 1.0
    assert judge.wrong == len(judge.complaints)
    return judge.complaints


def test_what_a_request_earns_is_right() -> None:
    assert complaints(ALICE) == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, identity={"x-auth-subject": "bob"}, path=PATH),
        Answer(200, identity={}, path=PATH),
        Answer(200, identity={**ALICE.identity, "x-auth-role": "root"}, path=PATH),
        Answer(200, identity=ALICE.identity, path="/products?number=2"),
        Answer(401, "invalid_token"),
        Answer(503),
        Answer(503, "temporarily_unavailable"),
        Answer(500, "server_error"),
        Answer(lost="TimeoutError"),
        Answer(200, lost="words of Envoy's own"),
    ],
    ids=str,
)
def test_everything_else_is_wrong(answer: Answer) -> None:
    assert len(complaints(answer)) == 1


def test_while_a_phase_lasts_nothing_but_what_it_says_is_right() -> None:
    assert complaints(Answer(503), (5.0, DOWN)) == []
    assert complaints(ALICE, (5.0, DOWN)) != []
    assert complaints(Answer(503), (5.0, DOWN), (9.0, STEADY)) != []


def test_a_request_may_have_met_every_phase_that_it_was_under_way_in() -> None:
    turns = ((10.2, DOWN), (10.4, without_keys("logto")), (10.6, STEADY))
    assert complaints(ALICE, *turns) == []
    assert complaints(Answer(503), *turns) == []
    assert complaints(Answer(503, "temporarily_unavailable"), *turns) == []
    assert complaints(Answer(401, "invalid_token"), *turns) != []
    assert complaints(Answer(503), *turns, sent=10.5) != []


def test_while_phases_turn_both_are_right() -> None:
    turning = (5.0, STEADY | DOWN)
    assert complaints(ALICE, turning) == []
    assert complaints(Answer(503), turning) == []
    assert complaints(Answer(503, "temporarily_unavailable"), turning) != []


def test_without_an_issuers_keys_its_tokens_alone_cannot_be_checked() -> None:
    phase = without_keys("logto")
    assert phase.right(VALID) == {KEYS_UNAVAILABLE}
    assert phase.right(Kind("valid of the partner", ALLOWED, keys_of="partner")) == {ALLOWED}
    assert phase.right(Kind("public", ALLOWED)) == {ALLOWED}


def test_a_phase_can_have_other_outcomes_for_kinds_by_name() -> None:
    phase = DOWN.but(valid_of_the_partner=(ALLOWED, EXPIRED))
    assert phase.right(Kind("valid of the partner", ALLOWED)) == {ALLOWED, EXPIRED}
    assert phase.right(VALID) == {NO_ANSWER}


def test_a_reason_that_is_told_must_be_the_right_one() -> None:
    assert Answer(401, "invalid_token").is_a(EXPIRED)
    assert Answer(401, "invalid_token", "expired").is_a(EXPIRED)
    assert not Answer(401, "invalid_token", "bad_signature").is_a(EXPIRED)
    assert not Answer(200, "", "insufficient_scope").is_a(ALLOWED)
