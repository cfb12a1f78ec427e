"""Times as a person says them, and the moment to judge at as a person writes it."""

from __future__ import annotations

import pytest

from authz_service.explain.at import parse_at
from authz_service.explain.times import expiry, relative
from authz_service.policy.why.wording import span

NOW = 1_750_000_000.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "less than a second"),
        (0.999, "less than a second"),
        (1, "1 second"),
        (1.9, "1 second"),
        (2, "2 seconds"),
        (119.9, "119 seconds"),
        (120, "2 minutes"),
        (299, "4 minutes"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (172799, "47 hours"),
        (172800, "2 days"),
        (2 * 365 * 86400 - 1, "729 days"),
        (2 * 365 * 86400, "2 years"),
        (1e12, "over 10000 years"),
        (1e308, "over 10000 years"),
    ],
)
def test_a_span_is_rounded_down_in_the_largest_unit_that_there_are_two_of(
    seconds: float, text: str
) -> None:
    assert span(seconds) == text


def test_a_moment_is_ahead_or_past() -> None:
    assert relative(NOW - 250, NOW) == "4 minutes ago"
    assert relative(NOW + 720, NOW) == "in 12 minutes"
    assert relative(NOW, NOW) == "now"


@pytest.mark.parametrize(
    ("expires_at", "text"),
    [
        (NOW - 250, "expired 4 minutes ago (2025-06-15T15:02:30Z)"),
        (NOW + 720, "expires in 12 minutes (2025-06-15T15:18:40Z)"),
        (NOW, "expired now (2025-06-15T15:06:40Z)"),
        (1e308, "expires in over 10000 years (1e+308)"),
        (-1e308, "expired over 10000 years ago (-1e+308)"),
    ],
)
def test_what_expires_now_has_expired(expires_at: float, text: str) -> None:
    assert expiry(expires_at, NOW) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("-5m", NOW - 300),
        ("+2h", NOW + 7200),
        ("+1.5s", NOW + 1.5),
        ("2025-06-15T15:06:40Z", NOW),
        ("2025-06-15t15:06:40z", NOW),
        ("2025-06-15 15:06:40Z", NOW),
        ("2025-06-15T17:06:40.5+02:00", NOW + 0.5),
    ],
)
def test_a_moment_is_written_as_rfc_3339_or_as_a_distance(text: str, seconds: float) -> None:
    assert parse_at(text, NOW) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "5m", "-5", "-5 m", "--5m", "-5w", "2025-06-15", "2025-06-15T15:06:40",
        "2025-02-30T00:00:00Z", "2025-06-15T25:00:00Z", "1750000000", "-5m ", "2025-06-15T15:06Z",
        "\u0662\u0660\u0662\u0665-06-15T15:06:40Z",
    ],
)  # fmt: skip
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="write a"):
        parse_at(text, NOW)


def test_the_first_moment_of_the_calendar_is_one() -> None:
    assert parse_at("0001-01-01T00:00:00Z", NOW) == -62_135_596_800
    assert parse_at("0001-01-01T00:00:00+23:59", NOW) < -62_135_596_800
