"""Which files hold tests, and which policy each of them is about."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from authz_service.policy.document import read_document
from authz_service.policy.files import SUFFIXES, TEST_ENDING
from authz_service.policy.loader import read_text
from authz_service.policy.problems import PolicyError, Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from authz_service.policy.testing.cases import CaseFile


class NoTestsError(Exception):
    """The operator's fault: there is no file of tests where one was looked for."""


def find(paths: Iterable[Path], environment: Mapping[str, str]) -> list[Path]:
    """Every file of tests that *paths* lead to, once.

    A directory stands for every `*_test.yaml`, `.yml` and `.json` in it, at any depth; a policy for
    the tests beside it; any other file for itself. *environment* is for `${NAME}` in a file that
    must be read to know which it is.
    Raises NoTestsError where a path leads to none, PolicyError where a file cannot be read.
    """
    found: dict[str, Path] = {}
    for path in paths:
        files = list(_files(path, environment))
        if not files:
            raise NoTestsError(str(path))
        found.update((os.path.realpath(file), file) for file in files)
    return list(found.values())


def _files(path: Path, environment: Mapping[str, str]) -> Iterator[Path]:
    if path.is_dir():
        yield from _below(path)
    elif _is_named_as_tests(path) or not _is_policy(path, environment):
        yield path
    else:
        yield from (
            beside
            for suffix in sorted(SUFFIXES)
            if (beside := path.with_name(f"{path.stem}{TEST_ENDING}{suffix}")).exists()
        )


def _below(directory: Path) -> Iterator[Path]:
    seen = {os.path.realpath(directory)}
    for folder, folders, names in os.walk(directory, onerror=_unreadable, followlinks=True):
        folders[:] = _not_seen(folder, folders, seen)
        for name in sorted(names):
            if not name.startswith(".") and _is_named_as_tests(file := Path(folder, name)):
                yield file


def _not_seen(folder: str, names: Iterable[str], seen: set[str]) -> list[str]:
    """The directories to go on into, each once: a link may lead back to where it is."""
    fresh = []
    for name in sorted(name for name in names if not name.startswith(".")):
        real = os.path.realpath(Path(folder, name))
        if real not in seen:
            seen.add(real)
            fresh.append(name)
    return fresh


def _unreadable(error: OSError) -> None:
    """What cannot be looked into may hold tests that fail, so it is not passed over."""
    position = Position(str(error.filename))
    raise PolicyError([Problem(position, f"cannot be read: {error.strerror}")])


def _is_named_as_tests(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.stem.lower().endswith(TEST_ENDING)


def _is_policy(file: Path, environment: Mapping[str, str]) -> bool:
    value = read_document(str(file), read_text(file), environment).value
    return isinstance(value, dict) and "tests" not in value


def policy_paths(file: CaseFile) -> tuple[Path, ...]:
    """The policy that *file* names, or the one of its name, or all that is in its directory.

    Raises PolicyError where neither the file nor its name says which one it is.
    """
    directory = file.path.parent
    if file.fields.policy is not None:
        return tuple(directory / name for name in file.fields.policy)
    if not _is_named_as_tests(file.path):
        position = Position(str(file.path), 1, 1)
        message = (
            f"say which policy this is about: policy: FILE (or call it NAME{TEST_ENDING}.yaml)"
        )
        raise PolicyError([Problem(position, message)])
    stem = file.path.stem.removesuffix(TEST_ENDING)
    beside = [directory / f"{stem}{suffix}" for suffix in sorted(SUFFIXES)]
    return tuple(path for path in beside if path.exists()) or (directory,)
