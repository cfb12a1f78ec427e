"""Unix sockets: for whom they are, and what happens to what is there already."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc.aio
import pytest

from authz_service.server import unix_socket
from authz_service.server.listen import AbstractAddress, ListenError, UnixAddress
from authz_service.server.unix_socket import MAX_PATH_BYTES, SocketAccess, publish
from tests.edge.rig import PATIENCE, Caller, edge, servicer
from tests.edge.shop import check_request
from tests.server.listening import assert_refused, serving
from tests.server.processes import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

# Another group than the one that a new file gets; who is not root may have only one.
GROUP: Final = 12345 if os.geteuid() == 0 else os.getgid()


def _assert_is_private(path: Path) -> None:
    mode = path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "authz.sock"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_unix_socket_is_for_its_owner_and_group_whatever_the_umask(
    path: Path, umask: int
) -> None:
    async def exchange() -> None:
        before = os.umask(umask)
        try:
            async with serving(UnixAddress(path)):
                _assert_is_private(path)
        finally:
            left = os.umask(before)
        assert left == umask

    asyncio.run(exchange())


def test_the_umask_is_put_back_when_the_socket_cannot_be_bound(tmp_path: Path) -> None:
    async def exchange() -> None:
        before = os.umask(0o027)
        try:
            await assert_refused(UnixAddress(tmp_path / "missing" / "authz.sock"))
        finally:
            left = os.umask(before)
        assert left == 0o027

    asyncio.run(exchange())


def test_a_stale_socket_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as leftover:
        leftover.bind(str(path))

    async def exchange() -> None:
        async with edge(servicer(), UnixAddress(path)) as caller:
            assert (await caller.check(check_request("/healthz"))).status.code == 0
            _assert_is_private(path)

    asyncio.run(exchange())


def test_a_live_socket_of_a_stranger_is_left_alone(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(path))
        stranger.listen(1)
        before = path.stat()
        asyncio.run(assert_refused(UnixAddress(path), "somebody does already"))
        assert path.stat().st_ino == before.st_ino
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_second_server_does_not_take_the_socket_over(path: Path) -> None:
    async def exchange() -> None:
        async with edge(servicer(), UnixAddress(path)) as caller:
            await assert_refused(UnixAddress(path), "somebody does already")
            assert (await caller.check(check_request("/healthz"))).status.code == 0
        async with edge(servicer(), UnixAddress(path)) as caller:
            assert (await caller.check(check_request("/healthz"))).status.code == 0

    asyncio.run(exchange())


def test_a_socket_whose_queue_is_full_is_alive(path: Path) -> None:
    with contextlib.ExitStack() as stack:
        stranger = stack.enter_context(socket.socket(socket.AF_UNIX))
        stranger.bind(str(path))
        stranger.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                waiting.connect(str(path))
        asyncio.run(assert_refused(UnixAddress(path)))
        assert path.is_socket()


def test_a_regular_file_is_refused_and_kept(path: Path) -> None:
    path.write_text("precious")
    asyncio.run(assert_refused(UnixAddress(path), "not a socket"))
    assert path.read_text() == "precious"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    asyncio.run(assert_refused(UnixAddress(tmp_path), "not a socket"))


@pytest.mark.parametrize("target", ["precious.txt", "nothing"])
def test_a_symbolic_link_is_refused_and_not_followed(path: Path, target: str) -> None:
    (path.parent / "precious.txt").write_text("precious")
    path.symlink_to(path.parent / target)
    asyncio.run(assert_refused(UnixAddress(path), "not a socket"))
    assert path.is_symlink()


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    asyncio.run(assert_refused(UnixAddress(tmp_path / "file" / "authz.sock")))


def test_a_path_may_be_as_long_as_a_socket_has_room_for(tmp_path: Path) -> None:
    """Not cut off, either: then it would be another path."""
    directory = tmp_path / "d"
    directory.mkdir()
    path = directory / ("x" * (MAX_PATH_BYTES - len(os.fsencode(directory)) - 1))

    async def exchange() -> None:
        async with edge(servicer(), UnixAddress(path)) as caller:
            assert (await caller.check(check_request("/healthz"))).status.code == 0
        longer = UnixAddress(path.with_name(f"{path.name}x"))
        await assert_refused(longer, "has 107 bytes at the most: write one that is 1 shorter")

    asyncio.run(exchange())
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["with space", "a%41", "a?b=c", "a#b", "\u043f\u0443\u0442\u044c", "\udcff"]
)
def test_a_socket_is_at_the_path_that_was_named_and_nowhere_else(tmp_path: Path, name: str) -> None:
    """Elsewhere, what was there would be taken over without a look."""

    async def exchange() -> None:
        async with serving(UnixAddress(tmp_path / name)):
            assert os.listdir(tmp_path) == [name]  # noqa: PTH208 - Path's is called blocking

    asyncio.run(exchange())


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        yield made


def _bind(listener: socket.socket, path: Path) -> None:
    listener.bind(str(path))
    listener.listen()


def _mode_and_group(path: Path) -> tuple[int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_gid


def test_mode_and_group_are_those_that_were_asked_for(path: Path) -> None:
    async def exchange() -> None:
        async with serving(UnixAddress(path), access=SocketAccess(0o620, GROUP)):
            assert _mode_and_group(path) == (0o620, GROUP)

    asyncio.run(exchange())


def test_nobody_can_connect_before_mode_and_group_are_right(
    path: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int | None]] = []
    link = Path.hardlink_to

    def look_and_link(self: Path, target: Path) -> None:
        assert not os.path.lexists(self)
        seen.append(_mode_and_group(target))
        link(self, target)

    def bind(hidden: Path) -> None:
        _bind(listener, hidden)
        assert not os.path.lexists(path)
        seen.append((_mode_and_group(hidden)[0], None))

    monkeypatch.setattr(Path, "hardlink_to", look_and_link)
    asyncio.run(publish(path, SocketAccess(0o666, GROUP), bind))
    assert seen == [(0, None), (0o666, GROUP)]
    assert list(path.parent.iterdir()) == [path]


def test_a_file_system_without_hard_links_will_do(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    async def exchange() -> None:
        async with edge(servicer(), UnixAddress(path)) as caller:
            assert (await caller.check(check_request("/healthz"))).status.code == 0
            _assert_is_private(path)

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    asyncio.run(exchange())
    assert list(path.parent.iterdir()) == []


def test_a_group_that_we_may_not_give_it_to_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    why = "it cannot be given to group 7: Operation not permitted"
    asyncio.run(assert_refused(UnixAddress(path), why, access=SocketAccess(group=7)))
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "socket"])
def test_what_is_a_strangers_is_not_opened_to_anybody(
    path: Path, tmp_path: Path, listener: socket.socket, kind: str
) -> None:
    precious = tmp_path / "precious"
    if kind == "file":
        precious.write_text("")
    else:
        listener.bind(str(precious))
    precious.chmod(0o600)
    with pytest.raises(ListenError):
        asyncio.run(publish(path, SocketAccess(), lambda hidden: hidden.symlink_to(precious)))
    assert stat.S_IMODE(precious.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [precious]


@pytest.mark.parametrize("what", ["socket", "file"])
def test_what_appears_at_the_last_moment_is_not_replaced(
    path: Path, listener: socket.socket, what: str
) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:

        def bind(hidden: Path) -> None:
            _bind(listener, hidden)
            if what == "socket":
                _bind(stranger, path)
            else:
                path.write_text("precious")

        with pytest.raises(ListenError, match="somebody does already"):
            asyncio.run(publish(path, SocketAccess(), bind))
        assert path.is_socket() == (what == "socket")
        assert list(path.parent.iterdir()) == [path]


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def test_who_starts_while_another_does_waits_and_finds_it_alive(
    path: Path, listener: socket.socket
) -> None:
    async def exchange() -> None:
        with socket.socket(socket.AF_UNIX) as other:
            with _locked(path.parent):
                second = asyncio.create_task(
                    publish(path, SocketAccess(), lambda hidden: _bind(listener, hidden))
                )
                for _ in range(10):
                    await asyncio.sleep(0)
                assert not second.done()
                _bind(other, path)
            with pytest.raises(ListenError, match="somebody does already"):
                await second
            assert listener.getsockname() == ""

    asyncio.run(exchange())


def test_a_directory_that_stays_locked_is_not_waited_for_for_ever(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix_socket, "_LOCK_WITHIN", 0.01)
    with _locked(path.parent):
        asyncio.run(assert_refused(UnixAddress(path), "keeps its directory locked"))


_START: Final = """\
import asyncio, socket, sys
from pathlib import Path
from authz_service.server.listen import ListenError
from authz_service.server.unix_socket import SocketAccess, publish
made = socket.socket(socket.AF_UNIX)
def bind(path):
    made.bind(str(path))
    made.listen()
print("here", flush=True)
sys.stdin.readline()
try:
    asyncio.run(publish(Path(sys.argv[1]), SocketAccess(), bind))
except ListenError as error:
    sys.exit(str(error))
print("mine", flush=True)
sys.stdin.readline()
"""


def test_of_services_that_start_at_once_on_a_stale_socket_one_has_it(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as leftover:
        leftover.bind(str(path))
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _START, str(path)],
                    env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, text=True, bufsize=1,
                )
            )
            for _ in range(3)
        ]  # fmt: skip
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
        said = [process.stdout.readline() if process.stdout else "" for process in started]
        assert sorted(said) == ["", "", "mine\n"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        for process in started:
            _, errors = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0 or "somebody does already" in errors


def test_the_socket_is_gone_after_a_stop(path: Path) -> None:
    async def exchange() -> None:
        async with serving(UnixAddress(path)):
            _assert_is_private(path)

    asyncio.run(exchange())
    assert list(path.parent.iterdir()) == []


def _replace(path: Path, what: str, stranger: socket.socket) -> None:
    path.unlink()
    if what == "socket":
        _bind(stranger, path)
    elif what == "file":
        path.write_text("precious")


@pytest.mark.parametrize("what", ["socket", "file", "nothing"])
def test_what_somebody_has_put_there_meanwhile_stays_after_a_stop(path: Path, what: str) -> None:
    with socket.socket(socket.AF_UNIX) as stranger:

        async def exchange() -> None:
            async with serving(UnixAddress(path)):
                _replace(path, what, stranger)

        asyncio.run(exchange())
        assert [entry.name for entry in path.parent.iterdir()] == [path.name] * (what != "nothing")


@pytest.fixture
def abstract() -> AbstractAddress:
    return AbstractAddress(f"authz %41/{secrets.token_hex(8)}")


def test_an_abstract_socket_has_the_name_that_was_asked_for(abstract: AbstractAddress) -> None:
    async def exchange() -> None:
        async with serving(abstract) as bound:
            assert bound == abstract
            reader, writer = await asyncio.open_unix_connection(f"\0{abstract.name}")
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            assert (await reader.readexactly(4))[3] == 4  # SETTINGS
            writer.close()
            await writer.wait_closed()

    asyncio.run(exchange())


def test_an_abstract_socket_that_somebody_has_is_refused(abstract: AbstractAddress) -> None:
    async def exchange() -> None:
        async with serving(abstract):
            await assert_refused(abstract, "Address already in use")
        async with serving(abstract):
            pass

    asyncio.run(exchange())


def test_the_longest_name_of_an_abstract_socket_is_not_cut_off() -> None:
    address = AbstractAddress(secrets.token_hex(53))

    async def exchange() -> None:
        async with serving(address):
            async with grpc.aio.insecure_channel(f"unix-abstract:{address.name}") as channel:
                assert (await Caller(channel).check(check_request("/healthz"))).status.code == 0
            with socket.socket(socket.AF_UNIX) as exact:
                exact.connect(f"\0{address.name}")

    asyncio.run(exchange())
