"""Policy files from disk: which files there are, and what they hold together."""

from __future__ import annotations

import codecs
import errno
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from authz_service.policy.compiler import PolicySource, compile_policy
from authz_service.policy.document import read_document
from authz_service.policy.files import MAX_FILE_BYTES, FilesRead, is_directory
from authz_service.policy.problems import PolicyError, Position, Problem
from authz_service.policy.validate import validate_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from authz_service.core.policy import Policy
    from authz_service.policy.document import Document


@dataclass(frozen=True, slots=True)
class LoadedPolicy:
    """A policy, and the files that it was made of."""

    policy: Policy
    sources: tuple[PolicySource, ...]


def load(
    paths: Iterable[Path], *, environment: Mapping[str, str], files: FilesRead | None = None
) -> LoadedPolicy:
    """Read the policy that *paths*, files or directories, make together.

    `${NAME}` in the files is replaced from *environment*. In a directory, files of tests and hidden
    ones are left out. *files*, a fresh one, remembers what was read, also where it was no policy.
    Raises PolicyError with every problem of every file.
    """
    files = files or FilesRead()
    problems: list[Problem] = []
    documents = list(_documents(_files(paths, files, problems), files, environment, problems))
    whole = not problems
    sources: list[PolicySource] = []
    key_files = set(_key_files(documents))
    for document in documents:
        if _is_key_set(document) and os.path.realpath(document.file) in key_files:
            continue
        validated = validate_document(document)
        problems += (*document.problems, *validated.problems)
        whole = whole and validated.has_every_issuer
        if validated.fields is not None:
            sources.append(PolicySource(document, validated.fields))
    try:
        policy = compile_policy(sources, partial(_read_beside, files), whole=whole)
    except PolicyError as error:
        problems += error.problems
    if problems:
        raise PolicyError(_without_consequences(problems, documents))
    return LoadedPolicy(policy, tuple(sources))


def _documents(
    names: Iterable[Path],
    files: FilesRead,
    environment: Mapping[str, str],
    problems: list[Problem],
) -> Iterator[Document]:
    """Each file of *names* once, however it is spelled; what is wrong goes to *problems*."""
    for file in {os.path.realpath(name): name for name in names}.values():
        try:
            yield read_document(str(file), read_text(file, files), environment)
        except PolicyError as error:
            problems += error.problems


def _without_consequences(
    problems: list[Problem], documents: Iterable[Document]
) -> Iterator[Problem]:
    """Leave out what is only wrong because of a problem that the same value has already.

    Where `${NAME}` is not set, there is no more to say of that value.
    """
    causes = {problem for document in documents for problem in document.problems}
    places = {problem.position for problem in causes}
    return (problem for problem in problems if problem in causes or problem.position not in places)


def _files(paths: Iterable[Path], files: FilesRead, problems: list[Problem]) -> Iterator[Path]:
    for path in paths:
        if not is_directory(path):
            yield path
            continue
        try:
            entries = files.list(path)
        except OSError as error:
            problems.append(_unreadable(path, error))
            continue
        if not entries:
            message = "no *.yaml, *.yml or *.json in here (tests, *_test.*, do not count)"
            problems.append(Problem(Position(str(path)), message))
        yield from entries


def read_text(file: Path, files: FilesRead | None = None) -> str:
    """The content of *file*. Raises PolicyError where there is none that could be a policy's."""
    try:
        octets = (files or FilesRead()).read(file)
    except OSError as error:
        raise PolicyError([_unreadable(file, error)]) from None
    if len(octets) > MAX_FILE_BYTES:
        message = f"a file has at most {MAX_FILE_BYTES // 2**20} MiB"
        raise PolicyError([Problem(Position(str(file)), message)])
    octets = octets.removeprefix(codecs.BOM_UTF8)
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        column = error.start - octets.rfind(b"\n", 0, error.start)
        position = Position(str(file), line, column)
        raise PolicyError([Problem(position, "the file is not UTF-8")]) from None


def _unreadable(path: Path, error: OSError) -> Problem:
    return Problem(Position(str(path)), f"cannot be read: {error.strerror or error}")


def _read_beside(files: FilesRead, policy_file: str, name: str) -> bytes:
    if "\0" in name:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return files.read(Path(policy_file).parent / name)


def _key_files(documents: Iterable[Document]) -> Iterator[str]:
    """Files that an issuer names as its key set: in the same directory, they are no policies."""
    for document in documents:
        issuers = document.value.get("issuers") if isinstance(document.value, dict) else None
        for issuer in issuers if isinstance(issuers, list) else ():
            name = issuer.get("jwks_file") if isinstance(issuer, dict) else None
            if isinstance(name, str) and "\0" not in name:
                yield os.path.realpath(Path(document.file).parent / name)


def _is_key_set(document: Document) -> bool:
    """Whether this cannot be a policy, and may be a key set: no file can make another vanish."""
    value = document.value
    return isinstance(value, dict) and "keys" in value and "version" not in value
