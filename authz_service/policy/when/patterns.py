"""How large a regular expression becomes for an engine that runs in linear time, as RE2 does.

Linear is in the text; the factor is the number of states, and counted repetitions multiply these.
"""

from __future__ import annotations

import re
from typing import Final

MAX_STATES: Final = 4000

_ATOM: Final = re.compile(
    r"""
      (?P<property> \\[pP](?:\{[^}]*\}|.) )
    | (?P<escape>   \\. )
    | (?P<set>      \[\^?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*\] )
    | (?P<flags>    \(\?[A-Za-z-]+\) )
    | (?P<open>     \((?:\?(?:P?<[^>]*>|[A-Za-z-]*:))? )
    | (?P<close>    \) )
    | (?P<count>    \{(?P<least>[0-9]+)(?:,(?P<most>[0-9]*))?\} )
    | (?P<repeat>   [*+?] )
    | (?P<other>    . )
    """,
    re.VERBOSE | re.DOTALL,
)
_PROPERTY_STATES: Final = 1600  # `\pL` in the ranges of its UTF-8 bytes
_BEYOND_ASCII: Final = 8  # the ranges of UTF-8 that "any other character" comes to
_PERL_STATES: Final = {"d": 1, "s": 3, "w": 4, "D": 10, "S": 12, "W": 13}


def states_of(pattern: str) -> int:
    """Count the states of *pattern*, rather more than less; MAX_STATES + 1 is any number beyond."""
    groups: list[int] = []
    total, last = 0, 0  # of the open group, and of its last atom, which a repetition takes up
    for match in _ATOM.finditer(pattern):
        if match["flags"]:
            continue
        if match["open"]:
            groups.append(total)
            total, last = 0, 0
        elif match["close"] and groups:
            last = total + 1
            total = groups.pop() + last
        elif match["count"]:
            times = max(int(match["least"][:5]), int((match["most"] or "0")[:5]), 1)
            total += last * times
            last *= times + 1
        else:
            last = _states_of_atom(match)
            total += last
        if total > MAX_STATES:
            return MAX_STATES + 1
    return min(total + sum(groups), MAX_STATES + 1)


def _states_of_atom(match: re.Match[str]) -> int:
    if match["property"]:
        return _PROPERTY_STATES
    if match["set"]:
        return _states_of_set(match["set"])
    if match["escape"]:
        return _PERL_STATES.get(match["escape"][1], 1)
    return _BEYOND_ASCII if match[0] == "." else len(match[0].encode())


_IN_SET: Final = re.compile(r"\\[pP]|\[:|\\.|[^\\]-(?:\\.|.)|.", re.DOTALL)


def _states_of_set(text: str) -> int:
    """One for each character or range, and what a negation or what is not ASCII comes to."""
    states = 0 if text.isascii() and not text.startswith("[^") else _BEYOND_ASCII
    for member in _IN_SET.findall(text[1:-1]):
        if member in {"\\p", "\\P", "[:"}:
            states += _PROPERTY_STATES
        elif member.startswith("\\"):
            states += _PERL_STATES.get(member[1:], 1)
        else:
            states += 1 if member.isascii() else _BEYOND_ASCII
    return states
