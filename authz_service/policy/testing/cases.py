"""From a file of tests to its cases: tables written out, names resolved, tokens signed."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from authz_service.policy.document import read_document
from authz_service.policy.loader import read_text
from authz_service.policy.problems import PolicyError, Problem
from authz_service.policy.testing.fields import NO_TOKEN, FileFields, short_form
from authz_service.policy.validate import problems_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from authz_service.core.request import HttpRequest
    from authz_service.policy.document import Document, Value, ValuePath
    from authz_service.policy.problems import Position
    from authz_service.policy.testing.fields import (
        CaseFields,
        ExpectedFields,
        TokenFields,
        TokenRowFields,
    )
    from authz_service.policy.testing.requests import RequestLine
    from authz_service.policy.testing.tokens import TokenWriter

_LABEL_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class Case:
    """A request with its token, and what is expected of it; *position* is where it is written."""

    name: str
    position: Position
    request: HttpRequest = field(repr=False)
    expected: ExpectedFields


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A file of tests that is well-formed."""

    path: Path
    document: Document
    fields: FileFields


def read_case_file(path: Path, environment: Mapping[str, str]) -> CaseFile:
    """Read *path*, with `${NAME}` replaced from *environment*.

    Raises PolicyError with every mistake that can be seen without the policy.
    """
    text = read_text(path)
    document = read_document(str(path), text, environment, begins_with="tests:")
    try:
        fields = FileFields.model_validate(document.value)
    except ValidationError as invalid:
        problems = problems_of(
            document, invalid, FileFields, lambda place: _place(document.value, place)
        )
        known = {problem.position for problem in document.problems}  # the rest is consequence
        problems = tuple(problem for problem in problems if problem.position not in known)
        raise PolicyError([*document.problems, *problems]) from None
    if document.problems:
        raise PolicyError(document.problems)
    return CaseFile(path, document, fields)


def _place(value: Value, path: ValuePath) -> ValuePath:
    """Where in the file *path* is: the short form of a request has its `expect` under itself."""
    match path:
        case ("tests", int(test), "requests", int(number), "expect", *further):
            tests: Any = value["tests"] if isinstance(value, dict) else None
            if (request := short_form(tests[test]["requests"][number])) is not None:
                return (*path[:4], request, *further)
    return path


def cases_of(file: CaseFile, writer: TokenWriter) -> list[Case]:
    """Write out every case of *file*. Raises PolicyError with every name that leads nowhere."""
    return _Cases(file.document, file.fields, writer).all()


@dataclass(slots=True)
class _Cases:
    """Writes out the cases of one file, and notes what is wrong."""

    document: Document
    fields: FileFields
    writer: TokenWriter
    problems: list[Problem] = field(default_factory=list)

    def all(self) -> list[Case]:
        if NO_TOKEN in self.fields.tokens:
            self._problem(("tokens", NO_TOKEN), "none stands for no token: choose another name")
        for name, token in self.fields.tokens.items():
            self._token(token, ("tokens", name))
        cases = [
            case
            for number, test in enumerate(self.fields.tests)
            for case in self._of_test(test, ("tests", number))
        ]
        for case in cases:
            self._check_upstream(case)
        if self.problems:
            raise PolicyError(self.problems)
        return cases

    def _check_upstream(self, case: Case) -> None:
        """A header that is never there is not there for a misspelt name either."""
        known = {"authorization", *self.writer.policy.forward.identity_headers}
        for name, value in case.expected.upstream.items():
            if value is None and name not in known and not case.request.header_values(name):
                message = f"{name}: nobody sets or sends this header, so it says nothing to expect"
                self.problems.append(Problem(case.position, f"{message} that it is not there"))

    def _problem(self, path: ValuePath, message: str) -> None:
        self.problems.append(Problem(self.document.position(path), message))

    def _token(self, token: TokenFields | None, path: ValuePath) -> str | None:
        if token is None:
            return None
        try:
            return self.writer.write(token)
        except ValueError as error:
            self._problem(path, str(error))
            return None

    def _of_test(self, test: CaseFields, path: ValuePath) -> Iterator[Case]:
        if test.requests is not None:
            yield from self._of_requests(test, path)
        elif test.request is not None and test.tokens is not None:
            for number, row in enumerate(test.tokens):
                yield self._of_token(test, test.request, row, (*path, "tokens", number))
        elif test.request is not None and test.expect is not None:
            request = self._request(test, test.request, self._token(test.token, (*path, "token")))
            name = test.name or _sentence(test.request, test.token)
            yield Case(name, self.document.position(path), request, test.expect)

    def _of_requests(self, test: CaseFields, path: ValuePath) -> Iterator[Case]:
        token = self._token(test.token, (*path, "token"))
        for number, row in enumerate(test.requests or ()):
            position = self.document.position((*path, "requests", number))
            request = self._request(test, row.request, token, row.headers)
            own = row.name or (row.request.text if test.name else None)
            name = _joined(test.name, own or _sentence(row.request, test.token))
            yield Case(name, position, request, row.expect)

    def _of_token(
        self, test: CaseFields, line: RequestLine, row: TokenRowFields, path: ValuePath
    ) -> Case:
        inner = path if row.token is None else (*path, "token")
        request = self._request(test, line, self._token(row.of_row, inner))
        own = row.name or (_label(row.of_row) if test.name else _sentence(line, row.of_row))
        return Case(_joined(test.name, own), self.document.position(path), request, row.expect)

    def _request(
        self,
        test: CaseFields,
        line: RequestLine,
        token: str | None,
        headers: Mapping[str, list[str]] | None = None,
    ) -> HttpRequest:
        return line.request(
            host=test.host or self.fields.host,
            headers={**test.headers, **(headers or {})},
            token=token,
        )


def _joined(*names: str | None) -> str:
    return ": ".join(name for name in names if name)


def _sentence(line: RequestLine, token: TokenFields | None) -> str:
    return f"{line.text} {_label(token)}"


def _label(token: TokenFields | None) -> str:
    """What makes *token* different from the others, in one line."""
    if token is None or token.like == NO_TOKEN:
        return "without a token"
    if token.raw is not None:
        return "with a raw token"
    said = {
        name: getattr(token, name)
        for name in ("issuer", "header", "claims", "without", "without_header", "forged")
        if name in token.model_fields_set
    }
    claims = said.pop("claims", {})
    text = json.dumps({**claims, **said}, ensure_ascii=False)
    if len(text) > _LABEL_CHARACTERS:
        text = f"{text[: _LABEL_CHARACTERS - 1]}…"
    if not (claims or said):
        return "with a plain token" if token.like is None else f"as {token.like}"
    return f"as {text}" if token.like is None else f"as {token.like} with {text}"
