"""A policy is loaded by a process of its own: what comes of it, and of the process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.policy import Policy
from authz_service.policy import PolicyError, load_policy
from authz_service.policy.difference import difference
from authz_service.policy.files import FilesRead
from authz_service.server import loading
from authz_service.server.background import is_busy
from authz_service.server.loading import Loaded, LoadError, Loading, Refused, load_apart
from tests.edge.rig import PATIENCE
from tests.policy.folder import KEY_SET, Folder, policy_text
from tests.server.processes import PUBLIC_ONLY, REPOSITORY, environment
from tests.support.event_loops import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WITH_KEYS: Final = policy_text(issuer="jwks_file: jwks.json", methods="{GET: {when: 'true'}}")
MORE: Final = f"{PUBLIC_ONLY}      - {{path: /more, methods: {{GET: public}}}}\n"

# The real one, but for loading: it says that it is there, and never comes to an end.
HANGING: Final = """\
import sys, threading
sys.path[:] = {{path!a}}
from authz_service.policy import loading_process
def load(*_arguments, **_named):
    global there
    there = open({fifo!r}, "w")
    print("here", file=there, flush=True)
    {then}
    threading.Event().wait()
loading_process.load = load
loading_process.main(*sys.argv[1:])
"""

NOISY: Final = """\
import os, sys
sys.path[:] = {path!a}
from authz_service.policy import loading_process
def load(*arguments, really=loading_process.load, **named):
    print("noise", flush=True)
    os.write(1, b"noise")
    return really(*arguments, **named)
loading_process.load = load
loading_process.main(*sys.argv[1:])
"""


def load_here(*paths: Path) -> Loaded | Refused:
    with Loading(paths) as started:
        return started.result()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A directory that no problem is found in by accident."""
    (tmp_path / "policy").mkdir()
    return Folder(tmp_path / "policy")


class Fifo:
    """The end that the process holds open is closed when the process has ended."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def read(self) -> bytes:
        """Wait for what is written, or for the end, which is nothing."""
        while True:
            assert select.select([self._end], [], [], PATIENCE)[0], "nobody came"
            with contextlib.suppress(BlockingIOError):
                return os.read(self._end, 100)

    def wait_for_the_process(self) -> None:
        """Wait until it is there: without a writer, a pipe that had none is at its end."""
        while self.read() == b"":
            pass

    def has_no_writer(self) -> bool:
        try:
            return os.read(self._end, 100) == b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._end)


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fifo]:
    """Have every policy loaded by a process that hangs in it."""
    fifo = Fifo(tmp_path / "fifo")
    program = HANGING.format(fifo=str(tmp_path / "fifo"), then="")
    monkeypatch.setattr(loading, "_PROGRAM", program)
    yield fifo
    fifo.close()


def test_it_is_the_policy_that_is_loaded_here(folder: Folder) -> None:
    folder.write(KEY_SET, "jwks.json")
    folder.write(WITH_KEYS)
    files = FilesRead()
    policy = load_policy([folder.path], environment=os.environ, files=files)
    loaded = load_here(folder.path)
    assert isinstance(loaded, Loaded)
    assert not difference(policy, loaded.policy)
    assert loaded.policy.issuers == policy.issuers
    assert (loaded.files.paths, loaded.files.hash) == (files.paths, files.hash)
    assert loaded.files.is_current()


def test_the_mistakes_are_those_that_are_found_here_and_their_files_are_watched(
    folder: Folder,
) -> None:
    file = folder.write("version: 2\nissuers: [{}]\n")
    with pytest.raises(PolicyError) as refused:
        load_policy([file], environment=os.environ)
    outcome = load_here(file)
    assert isinstance(outcome, Refused)
    assert outcome.problems == refused.value.problems
    assert outcome.files.paths == (file,)
    assert outcome.files.is_current()


def test_the_environment_is_ours(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_NAME", "from here")
    loaded = load_here(folder.write(PUBLIC_ONLY.replace("shopping", "${SHOP_NAME}")))
    assert isinstance(loaded, Loaded)
    assert loaded.policy.resources == {"from here"}


def test_changes_are_told_to_the_policy_before(folder: Folder) -> None:
    async def exchange() -> None:
        file = folder.write(PUBLIC_ONLY)
        first = await load_apart([file], b"")
        assert isinstance(first, Loaded)
        assert first.changes == difference(Policy(), first.policy)
        file.write_text(MORE)
        second = await load_apart([file], first.parcel)
        assert isinstance(second, Loaded)
        assert second.changes.routes.added == ("shopping GET /more",)
        third = await load_apart([file], second.parcel)
        assert isinstance(third, Loaded)
        assert not third.changes

    asyncio.run(exchange())


def test_a_name_of_odd_bytes_and_one_like_an_option_are_names(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.path)
    for name in (os.fsdecode(b"\xff\xc3\xa4.yaml"), "-c", "--help"):
        folder.write(PUBLIC_ONLY, name)
        loaded = load_here(Path(name))
        assert isinstance(loaded, Loaded)
        assert loaded.files.paths == (Path(name),)
        assert loaded.files.is_current()


def test_nothing_is_imported_from_where_we_happen_to_be(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("yaml.py", "pydantic.py", "json.py", "sitecustomize.py"):
        folder.write("raise SystemExit(7)", name)
    file = folder.write(PUBLIC_ONLY)
    monkeypatch.setattr(sys, "path", ["", str(folder.path), *sys.path])  # as of `python -m`
    monkeypatch.chdir(folder.path)
    monkeypatch.setenv("PYTHONPATH", str(folder.path))
    assert isinstance(load_here(file), Loaded)


def test_where_we_happen_to_be_is_fine_if_it_is_where_we_are_from(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder.write(PUBLIC_ONLY)
    home = str(REPOSITORY)
    monkeypatch.setattr(sys, "path", ["", *(each for each in sys.path if each != home)])
    monkeypatch.chdir(home)
    assert isinstance(load_here(file), Loaded)


def test_a_directory_that_has_gone_is_nowhere(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder.write(PUBLIC_ONLY)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert isinstance(load_here(file), Loaded)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("raise SystemExit(3)", "ended with status 3"),
        ("raise ValueError", "ended with status 1"),
        ("", "ended with status 0"),
        ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL"),
        ("import os; os.kill(os.getpid(), 40)", "was ended by signal 40"),
    ],
)
def test_a_process_that_fails_is_told_and_its_own_words_are_not(
    program: str, why: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "_PROGRAM", program)
    with pytest.raises(LoadError, match=f"^the process that loads the policy {why}$"):
        load_here(Path("policy.yaml"))
    assert capfd.readouterr() == ("", "")


def test_a_process_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/does/not/exist")
    why = "the process that loads the policy cannot be started: No such file or directory"
    with pytest.raises(LoadError, match=f"^{why}$"):
        load_here(Path("policy.yaml"))


def test_a_policy_by_another_version_than_the_one_that_runs_is_not_taken(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade replaces what is on disk, and what runs goes on until it is restarted."""
    file = folder.write(PUBLIC_ONLY)
    assert isinstance(load_here(file), Loaded)
    metadata = tmp_path / "newer" / "authz_service-999.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: authz-service\nVersion: 999\n")
    with monkeypatch.context() as upgraded:
        upgraded.syspath_prepend(metadata.parent)
        why = "another version of authz-service is installed than the one that runs: restart it"
        with pytest.raises(LoadError, match=f"^{why}$"):
            load_here(file)
    assert isinstance(load_here(file), Loaded)


def test_a_bug_in_loading_is_told_by_its_kind_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = Fifo(tmp_path / "fifo")
    program = HANGING.format(fifo=str(tmp_path / "fifo"), then="raise ZeroDivisionError('secret')")
    monkeypatch.setattr(loading, "_PROGRAM", program)
    with pytest.raises(LoadError, match=r"^unexpected error: ZeroDivisionError$"):
        load_here(tmp_path)
    fifo.close()


def test_what_a_library_prints_is_not_taken_for_the_outcome(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loading, "_PROGRAM", NOISY)
    assert isinstance(load_here(folder.write(PUBLIC_ONLY)), Loaded)
    assert capfd.readouterr() == ("", "")


def test_a_load_that_is_not_wanted_any_more_ends_its_process_and_leaves_nothing(
    hanging: Fifo, tmp_path: Path
) -> None:
    async def exchange() -> None:
        large = os.urandom(10**6)  # more than a pipe takes
        load = asyncio.create_task(load_apart([tmp_path], large))
        await asyncio.to_thread(hanging.wait_for_the_process)
        load.cancel()
        with pytest.raises(asyncio.CancelledError):
            await load
        await eventually(hanging.has_no_writer)
        await eventually(lambda: not is_busy())  # the process was waited for

    asyncio.run(exchange())


def slow_start(turn: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a process start when *turn* is set: the program may lie on a slow disk."""

    def interpreter(
        really: Callable[[], tuple[str, ...]] = loading._interpreter,
    ) -> tuple[str, ...]:
        assert turn.wait(PATIENCE)
        return really()

    monkeypatch.setattr(loading, "_interpreter", interpreter)


def test_the_event_loop_goes_on_while_the_process_starts(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = threading.Event()
    slow_start(turn, monkeypatch)

    async def exchange() -> None:
        asyncio.get_running_loop().call_soon(turn.set)
        assert isinstance(await load_apart([folder.write(PUBLIC_ONLY)], b""), Loaded)

    asyncio.run(exchange())


def test_a_load_that_is_not_wanted_any_more_when_its_process_starts_leaves_nothing(
    hanging: Fifo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = threading.Event()
    slow_start(turn, monkeypatch)

    async def exchange() -> None:
        load = asyncio.create_task(load_apart([tmp_path], b""))
        await eventually(is_busy)
        load.cancel()
        with pytest.raises(asyncio.CancelledError):
            await load
        turn.set()
        await eventually(lambda: not is_busy())
        assert hanging.has_no_writer()

    asyncio.run(exchange())


STARTS_AND_WAITS: Final = """\
import sys
import threading
from pathlib import Path
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the suite runs without one
from authz_service.server import loading
loading._PROGRAM = sys.argv[1]
with loading.Loading([Path(".")]) as started:
    started.result()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_process_does_not_outlive_the_one_that_waits_for_it(
    tmp_path: Path, number: int
) -> None:
    fifo = Fifo(tmp_path / "fifo")
    program = HANGING.format(fifo=str(tmp_path / "fifo"), then="")
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_AND_WAITS, program],
        env=environment(), stderr=subprocess.DEVNULL,
    ) as waiting:  # fmt: skip
        fifo.wait_for_the_process()
        waiting.send_signal(number)
        waiting.wait(PATIENCE)
    assert fifo.read() == b""
    fifo.close()


SERVES: Final = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the suite runs without one
from authz_service.server import loading
loading._PROGRAM = sys.argv.pop(1)
from authz_service.cli.main import main
main()
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_start_whose_load_hangs_can_be_ended(tmp_path: Path, number: int, status: int) -> None:
    """The whole group gets the signal, as from a terminal."""
    fifo = Fifo(tmp_path / "fifo")
    program = HANGING.format(fifo=str(tmp_path / "fifo"), then="")
    with subprocess.Popen(
        [sys.executable, "-c", SERVES, program, "serve", "--policy", str(tmp_path)],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        process_group=0,
    ) as starting:  # fmt: skip
        fifo.wait_for_the_process()
        os.killpg(starting.pid, number)
        assert starting.communicate(timeout=PATIENCE) == ("", "")
        assert starting.returncode == status
    assert fifo.read() == b""
    fifo.close()


def test_a_start_without_a_process_to_load_with_is_refused_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVES, "raise SystemExit(3)", "serve", "--policy", str(tmp_path)],
        env=environment(), capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "authz-service: the process that loads the policy ended with status 3\n"
