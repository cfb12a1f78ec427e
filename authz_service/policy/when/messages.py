"""What the library says of an expression, in one line, and what to write instead."""

from __future__ import annotations

import difflib
import re
from typing import Final

from authz_service.policy.problems import printable

ROOTS: Final = ("claims", "path", "request")

_ERROR: Final = re.compile(r"ERROR: <input>:(?P<line>[0-9]+):(?P<column>[0-9]+): (?P<what>[^\n]*)")
_REMOVED_MACRO: Final = re.compile(r"undeclared reference to '(?P<name>map|filter)'")
_NOISE: Final = re.compile(r" \(in container ''\)| \[[A-Z_]+\]$| expecting .*")
_MAX_FAULT: Final = 200  # characters


def compiler_message(text: str, error: str) -> str:
    """The first of the compiler's complaints, without its drawing and without what it expected."""
    if "recursion" in error:
        return "the expression is nested too deeply, or has too long a chain of operators"
    complaints = list(_ERROR.finditer(error))
    if not complaints:
        return "the expression does not compile"
    for complaint in complaints:
        if removed := _REMOVED_MACRO.search(complaint["what"]):
            what = f"there is no {removed['name']}(): write exists() or all()"
            return f"{_place_of(text, complaint)}: {what}"
    what = _NOISE.sub("", complaints[0]["what"]) + _hint(text, complaints[0])
    return f"{_place_of(text, complaints[0])}: {what}"


def _place_of(text: str, complaint: re.Match[str]) -> str:
    return place(text, int(complaint["line"]), int(complaint["column"]))


def place(text: str, line: int, column: int) -> str:
    """Where in *text* that is; the line only if there are several."""
    return f"line {line}, column {column}" if "\n" in text else f"column {column}"


def _hint(text: str, complaint: re.Match[str]) -> str:
    """What to write instead, where that is certain, else nothing."""
    line = text.split("\n")[int(complaint["line"]) - 1]
    column = int(complaint["column"]) - 1
    if undeclared := _UNDECLARED.search(complaint["what"]):
        hint = _header(line, column) or _name(undeclared["name"])
    else:
        hint = _operator(complaint["what"], line[:column])
    return f" ({hint})" if hint else ""


_UNDECLARED: Final = re.compile(r"undeclared reference to '(?P<name>[^']*)'")
_DASHED_HEADER: Final = re.compile(r"\brequest\.headers\.(?P<name>\w+(?:-\w+)+)")
_UNREADABLE: Final = re.compile(r"(?:token recognition error at:|input) '(?P<input>[=&|]|\w+)")
_OPERATORS: Final = {"=": "==", "&": "&&", "|": "||", "and": "&&", "or": "||", "not": "!"}
_WORD_BEFORE: Final = re.compile(r"(?<![.\w`])not\s+$")


def _header(line: str, column: int) -> str | None:
    """The library takes `x-foo` for a difference."""
    for match in _DASHED_HEADER.finditer(line):
        if match.start() <= column < match.end():
            return f'write request.headers["{match["name"]}"]'
    return None


def _name(undeclared: str) -> str | None:
    root = undeclared.partition(".")[0]
    if root in _OPERATORS:  # `not (…)` is read as a call
        return f"write {_OPERATORS[root]}"
    if root == "request":
        return "a request has method, host, path and headers"
    close = difflib.get_close_matches(root, ROOTS, n=1, cutoff=0.75)
    return f"did you mean {close[0]}?" if close and close[0] != root else None


def _operator(what: str, before: str) -> str | None:
    unreadable = _UNREADABLE.search(what)
    if unreadable and unreadable["input"] in _OPERATORS:
        return f"write {_OPERATORS[unreadable['input']]}"
    return "write !" if what.startswith("Syntax") and _WORD_BEFORE.search(before) else None


_STATUS: Final = re.compile(r"^[A-Z_]+: ")
_NO_KEY: Final = re.compile(r'^Key not found in map : "?(?P<key>.*?)"?$', re.DOTALL)


def fault(message: str) -> str:
    """Why an evaluation failed: a terminal can show it. It may have a value that a key was."""
    message = _NO_KEY.sub(r"no such key: \g<key>", _STATUS.sub("", message)).replace(" : ", ": ")
    message = printable(message[: _MAX_FAULT + 1])
    return message if len(message) <= _MAX_FAULT else f"{message[:_MAX_FAULT]}…"
