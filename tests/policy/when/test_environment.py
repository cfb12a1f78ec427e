"""No expression opens a file: whatever takes a time zone is not there, however it is spelled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.policy.when import WhenExpression
from authz_service.policy.when.environment import ZONED, compiled
from tests.policy.when.test_expression import attributes

if TYPE_CHECKING:
    from pathlib import Path

PARTS: Final = {
    "getFullYear": 1970,
    "getMonth": 0,
    "getDayOfYear": 1,
    "getDayOfMonth": 1,
    "getDate": 2,
    "getDayOfWeek": 5,
    "getHours": 3,
    "getMinutes": 4,
    "getSeconds": 5,
    "getMilliseconds": 0,
}


def test_every_part_of_a_time_is_known() -> None:
    assert PARTS.keys() == ZONED.keys()


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_a_time_is_that_of_utc(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    expression = WhenExpression.parse(f"timestamp(claims.t).{part}() == {PARTS[part]}")
    assert expression.holds({"t": 97_445}, attributes())


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "text",
    [
        "timestamp(claims.iat).{}(request.headers['x-time-zone']) >= 0",
        "timestamp(claims.iat).{}('UTC') >= 0",
        "timestamp(claims.iat).{}('+02:00') >= 0",
        "timestamp(claims.iat) . {} // a comment ()\n ( claims.zone ) >= 0",
        "dyn(timestamp(claims.iat)).{}(dyn(claims.zone)) >= 0",
        "timestamp(claims.iat).{}(('UTC')) >= 0",
        "claims.iat.{}(claims.zone) >= 0",
        "{}(timestamp(claims.iat), 'UTC') >= 0",
        ".{}(timestamp(claims.iat), 'UTC') >= 0",
        "[1].all(x, timestamp(x).{}(claims.zone) >= 0)",
    ],
)
def test_no_part_of_a_time_takes_a_time_zone(part: str, text: str) -> None:
    with pytest.raises(ValueError, match=rf"{part}\(\) has no argument: there are no time zones"):
        WhenExpression.parse(text.format(part))
    with pytest.raises(ValueError, match=rf"undeclared reference to '\.?{part}'"):
        compiled(text.format(part))


@pytest.mark.parametrize("part", PARTS)
def test_a_part_in_backquotes_is_not_called(part: str) -> None:
    with pytest.raises(ValueError, match="Syntax error"):
        WhenExpression.parse(f"timestamp(1).`{part}`('UTC') >= 0")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        "timestamp(claims.v).getHours() >= 0",
        "duration(claims.v).getHours() >= 0",
        "string(claims.v).matches('^x') && bytes(claims.v) == b''",
        "int(claims.v) + size(claims.v) == 0 || bool(claims.v)",
        "double(claims.v) == 1.0 || uint(claims.v) == 1u || type(claims.v) == int",
    ],
)
def test_a_value_that_is_the_path_of_a_pipe_opens_nothing(text: str, tmp_path: Path) -> None:
    """To open a pipe that nobody writes to takes for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    expression = WhenExpression.parse(text)
    for value in (str(pipe), f"file:{pipe}", f"2024-01-01T00:00:00{pipe}"):
        assert not expression.holds({"v": value}, attributes())


def test_the_documented_way_to_another_offset_works() -> None:
    text = '(timestamp(claims.iat) + duration("2h")).getHours() == 2'
    assert WhenExpression.parse(text).holds({"iat": 0}, attributes())
