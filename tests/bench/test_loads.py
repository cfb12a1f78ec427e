"""Every answer is read."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from bench.loads import ALLOW, Checks, Pace, Report, ask, kind_of, one_answer
from bench.processes import BenchError
from tests.bench.answering import answering

if TYPE_CHECKING:
    from pathlib import Path


def response(decision: str, reason: str = "", *, code: int = 0, allows: bool = True) -> bytes:
    """An encoded CheckResponse."""
    made = CheckResponse()
    made.status.code = code
    (made.ok_response if allows else made.denied_response).SetInParent()
    made.dynamic_metadata.update({"decision": decision, **({"reason": reason} if reason else {})})
    return made.SerializeToString()


YES = response("allow")
NO = response("deny", "missing_token", code=16, allows=False)
SHED = response("deny", "overloaded", code=14, allows=False)


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (b"\x88" + bytes(5) + YES, ALLOW),
        (b"\x88" + bytes(5) + NO, "missing_token"),
        (b"\x88" + bytes(5) + response("allow", code=16, allows=False), "contradictory"),
        (b"\x88" + bytes(5) + response("deny", "missing_token"), "contradictory"),
        (b"\x88" + bytes(5), "contradictory"),
        (b"\x88" + bytes(5) + b"\xff", "unreadable"),
        (b"\x88", "no answer"),
        (b"\x8d" + bytes(5) + YES, "no answer"),
        (b"", "stream refused"),
    ],
    ids=[
        "allow",
        "deny",
        "allow that is none",
        "deny that is none",
        "nothing said",
        "no message",
        "cut short",
        "another status",
        "nothing",
    ],
)
def test_an_answer_is_an_allow_or_a_refusal_with_its_reason(octets: bytes, kind: str) -> None:
    assert kind_of(octets) == kind


@pytest.mark.parametrize(
    ("count", "expected"), [(1, {"a": 1}), (3, {"a": 2, "b": 1}), (7, {"a": 5, "b": 2})]
)
def test_the_answers_that_are_due_follow_from_the_number(
    count: int, expected: dict[str, int]
) -> None:
    assert Checks([b""] * 3, ["a", "b", "a"]).expected(count) == expected


def test_a_load_gives_what_it_has_measured(tmp_path: Path) -> None:
    checks = Checks([b"yes", b"no"], [ALLOW, "missing_token"])
    with answering(lambda octets: YES if octets == b"yes" else NO, tmp_path) as server:
        report = ask(replace(server, pid=os.getpid()), checks, Pace(9, at_once=3))
    assert len(report.latencies) == len(report.moments) == 9
    assert report.cpu > 0
    assert report.per_second > 0


@pytest.mark.parametrize("wrong", [b"no", b"shed", b"error"])
def test_a_single_answer_that_is_another_one_is_an_error(wrong: bytes, tmp_path: Path) -> None:
    checks = Checks.all_of(ALLOW, [b"yes"] * 8 + [wrong])
    answers = {b"yes": YES, b"no": NO, b"shed": SHED}
    with (
        answering(lambda octets: answers[octets], tmp_path) as server,
        pytest.raises(BenchError, match="answers must be"),
    ):
        ask(server, checks, Pace(9))


def test_where_checks_may_fail_those_are_counted_and_others_still_an_error(tmp_path: Path) -> None:
    answers = {b"yes": YES, b"no": NO, b"shed": SHED}
    with answering(lambda octets: answers[octets], tmp_path) as server:
        checks = Checks.all_of(ALLOW, [b"yes", b"shed", b"error", b"yes"])
        assert ask(server, checks, Pace(4), may_fail=True).failed == 2
        with pytest.raises(BenchError, match="missing_token"):
            ask(server, Checks.all_of(ALLOW, [b"shed", b"no"]), Pace(2), may_fail=True)


def test_the_no_op_says_yes_to_everything(tmp_path: Path) -> None:
    checks = Checks.all_of("missing_token", [b"anything"])
    with answering(lambda _octets: YES, tmp_path) as server:
        ask(replace(server, name="no-op"), checks, Pace(1))
        with pytest.raises(BenchError, match="answers must be"):
            ask(server, checks, Pace(1))


def test_one_answer_is_given_as_it_came(tmp_path: Path) -> None:
    with answering(lambda _octets: NO, tmp_path) as server:
        assert one_answer(server, b"anything") == NO


def test_a_load_that_fails_is_an_error(tmp_path: Path) -> None:
    with answering(lambda _octets: YES, tmp_path) as server:
        nowhere = replace(server, target=f"{server.target}-nothing")
    with pytest.raises(BenchError, match="No such file"):
        ask(nowhere, Checks.all_of(ALLOW, [b"yes"]), Pace(1))


def test_latencies_are_told_of_a_time() -> None:
    report = Report(0.0, 1.0, moments=[1.0, 3.0, 2.0, 4.0], latencies=[0.1, 0.3, 0.2, 0.4])
    assert report.between(2.0, 3.0) == [0.3, 0.2]
    assert report.percentile(0.5) == 0.2
