from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.policy.duration import parse_duration, spell_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1ms", 0.001),
        ("10s", 10),
        ("0s", 0),
        ("5m", 300),
        ("24h", 86400),
        ("1d", 86400),
        ("1.5h", 5400),
        ("0.25s", 0.25),
        ("010s", 10),
        ("999999999d", 999999999 * 86400),
    ],
)
def test_a_number_and_a_unit_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "s",
        "10 s",
        " 10s",
        "10s ",
        "10s\n",
        "-1s",
        "+1s",
        "1.s",
        ".5s",
        "1.5.1s",
        "1e3s",
        "1,5s",
        "1_000s",
        "1w",
        "1y",
        "1S",
        "1M",
        "1us",
        "1h30m",
        "infs",
        "nans",
        "0x10s",
        "1234567890s",
        "1.1234567890s",
        "٣s",
        "1\N{LATIN SMALL LETTER LONG S}",
    ],
)
def test_anything_else_is_refused_and_shown_how(text: str) -> None:
    with pytest.raises(ValueError, match="write a number and a unit: 500ms, 10s, 5m, 24h, 1d"):
        parse_duration(text)


@given(st.integers(0, 999_999_999), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_the_unit_scales_the_number(number: int, unit: str) -> None:
    one = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}[unit]
    assert parse_duration(f"{number}{unit}") == pytest.approx(number * one / 1000)


@given(st.text())
def test_whatever_is_written_is_a_finite_time_or_a_value_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    assert 0 <= seconds < 1e15


# Spelled again


@pytest.mark.parametrize(
    ("seconds", "spelled"),
    [
        (0.0, "0d"),
        (0.1, "100ms"),
        (1.0, "1s"),
        (1.5, "1500ms"),
        (90.0, "90s"),
        (300.0, "5m"),
        (7200.0, "2h"),
        (86400.0, "1d"),
        (90000.0, "25h"),
    ],
)
def test_a_duration_is_spelled_in_its_largest_unit(seconds: float, spelled: str) -> None:
    assert spell_duration(seconds) == spelled
    assert parse_duration(spelled) == seconds


def test_what_is_no_whole_number_of_milliseconds_is_not_rounded() -> None:
    with pytest.raises(ValueError, match="milliseconds"):
        spell_duration(0.0005)
