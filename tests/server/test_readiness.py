"""Whether the service is ready, judged by how the keys of each issuer are."""

from __future__ import annotations

import dataclasses
from typing import Final

from authz_service.keys.status import NO_FETCHES, KeySetStatus
from authz_service.server.readiness import Readiness

GOOD: Final = KeySetStatus(
    issuer="logto",
    required=True,
    keys=2,
    dropped=0,
    age=12.34,
    stale_in=86387.66,
    fetches=NO_FETCHES,
    nudges=0,
    problem=None,
    next_fetch_in=287.66,
)
WITHOUT: Final = dataclasses.replace(
    GOOD,
    keys=0,
    age=None,
    stale_in=None,
    problem="no answer: connection refused",
    without_keys_for=42.01,
    next_fetch_in=3.96,
)
OPTIONAL: Final = dataclasses.replace(WITHOUT, issuer="partner", required=False)


def test_an_issuer_that_is_required_and_has_no_keys_is_missing() -> None:
    readiness = Readiness.of([WITHOUT], stopping=False)
    assert not readiness.ready
    assert readiness.as_json() == {
        "ready": False,
        "missing": ["keys of issuer logto"],
        "warnings": [],
        "issuers": {
            "logto": {
                "required": True,
                "keys": 0,
                "age": None,
                "stale_in": None,
                "without_keys_for": 42.0,
                "problem": "no answer: connection refused",
                "next_fetch_in": 4.0,
            }
        },
    }


def test_an_issuer_that_is_not_required_and_has_no_keys_is_a_warning() -> None:
    readiness = Readiness.of([GOOD, OPTIONAL], stopping=False, warnings=["an old policy"])
    assert readiness.ready
    assert readiness.as_fields() == {
        "ready": True,
        "missing": [],
        "warnings": ["an old policy", "no keys of issuer partner, which is not required"],
    }


def test_a_service_with_all_keys_is_ready_and_one_that_stops_is_not() -> None:
    assert Readiness.of([GOOD], stopping=False).ready
    assert not Readiness.of([GOOD], stopping=True).ready
    assert Readiness.of([], stopping=False).ready


def test_time_alone_makes_no_other_readiness() -> None:
    now, later = (
        Readiness.of([dataclasses.replace(WITHOUT, without_keys_for=seconds)], stopping=False)
        for seconds in (1.0, 2.0)
    )
    assert now == later
    assert now != Readiness.of([GOOD], stopping=False)
    assert now != Readiness.of([dataclasses.replace(WITHOUT, required=False)], stopping=False)
