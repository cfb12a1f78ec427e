"""Whether the files of a policy are still what they were when it was loaded."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from authz_service.policy import PolicyError, load_policy
from authz_service.policy.files import FilesRead
from tests.policy.folder import KEY_SET, Folder, policy_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POLICY = policy_text(issuer="jwks_file: keys.json")


def _read(folder: Folder) -> FilesRead:
    """Load the directory with a policy and a key file."""
    folder.write(POLICY)
    folder.write(KEY_SET, "keys.json")
    files = FilesRead()
    load_policy([folder.path], environment={}, files=files)
    return files


def _replace_by_a_pipe(folder: Folder) -> None:
    file = folder.path / "keys.json"
    file.unlink()
    os.mkfifo(file)


def test_nothing_read_is_always_current() -> None:
    assert FilesRead().is_current()


def test_the_directory_and_every_file_of_it_are_remembered(folder: Folder) -> None:
    files = _read(folder)
    assert set(files.paths) == {
        folder.path, folder.path / "policy.yaml", folder.path / "keys.json"
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: folder.write(POLICY),
        lambda folder: os.utime(folder.path / "policy.yaml", (1, 1)),
        lambda folder: folder.write("", "notes.txt"),
        lambda folder: folder.write("", ".policy.yaml.swp"),
        lambda folder: (folder.path / "x.yaml").mkdir(),
        lambda folder: (
            (folder.path / "keys.json").rename(folder.path / "k")
            and (folder.path / "keys.json").symlink_to("k")
        ),
    ],
    ids=["same_content", "touched", "no_policy", "hidden", "directory", "link_to_the_same"],
)
def test_what_gives_the_same_policy_is_no_change(
    folder: Folder, change: Callable[[Folder], object]
) -> None:
    files = _read(folder)
    change(folder)
    assert files.is_current()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: folder.write(f"{POLICY}# comment\n"),
        lambda folder: folder.write(KEY_SET.replace("a3", "a4"), "keys.json"),
        lambda folder: folder.write("", "other.yml"),
        lambda folder: (folder.path / "policy.yaml").unlink(),
        lambda folder: (folder.path / "keys.json").unlink(),
        _replace_by_a_pipe,
        lambda folder: folder.path.rename(folder.path.with_name("elsewhere")),
    ],
    ids=["content", "key_file", "new_file", "gone", "key_file_gone", "pipe", "directory_gone"],
)
def test_every_other_change_is_told_until_it_is_undone(
    folder: Folder, change: Callable[[Folder], object]
) -> None:
    files = _read(folder)
    change(folder)
    assert not files.is_current()


def test_a_change_that_is_undone_is_none(folder: Folder) -> None:
    files = _read(folder)
    folder.write("")
    folder.write(POLICY)
    assert files.is_current()


def test_what_could_not_be_read_is_remembered_too(folder: Folder) -> None:
    files = FilesRead()
    file = folder.path / "policy.yaml"
    with pytest.raises(PolicyError):
        load_policy([file], environment={}, files=files)
    assert files.paths == (file,)
    assert files.is_current()
    folder.write("version: 1\n")
    assert not files.is_current()


def test_a_file_that_changed_between_two_reads_of_one_load_is_not_current(folder: Folder) -> None:
    files = FilesRead()
    file = folder.write("a")
    files.read(file)
    folder.write("b")
    files.read(file)
    assert not files.is_current()


def test_what_cannot_be_read_leaves_no_file_open(tmp_path: Path) -> None:
    pipe, directory = tmp_path / "pipe.yaml", tmp_path / "directory.yaml"
    os.mkfifo(pipe)
    directory.mkdir()
    (tmp_path / "gone.yaml").symlink_to("n" * 255)
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208 - of no directory that is ours
    for _ in range(20):
        for file in (pipe, directory, tmp_path / "gone.yaml", tmp_path / "missing.yaml"):
            with pytest.raises(OSError, match=r"."):
                FilesRead().read(file)
        assert FilesRead().list(tmp_path) == [tmp_path / "gone.yaml", pipe]
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208 - the same


def test_the_hash_says_what_was_read_and_not_where_it_lies(tmp_path: Path) -> None:
    hashes = set()
    for name in ("a", "b"):
        folder = Folder(tmp_path / name)
        hashes.add(_read(folder).hash)
    assert len(hashes) == 1


def test_the_hash_is_another_one_as_soon_as_a_file_is(folder: Folder) -> None:
    before = _read(folder).hash
    folder.write(f"# a comment\n{POLICY}")
    files = FilesRead()
    load_policy([folder.path], environment={}, files=files)
    assert files.hash != before
    folder.write(POLICY)
    assert _read(folder).hash == before


def test_the_hash_can_be_had_on_a_command_line(folder: Folder) -> None:
    files = _read(folder)
    command = "sha256sum keys.json policy.yaml | cut -c 1-64 | LC_ALL=C sort -u | sha256sum"
    printed = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder.path, capture_output=True, text=True, check=True
    ).stdout
    assert printed.split()[0] == files.hash
