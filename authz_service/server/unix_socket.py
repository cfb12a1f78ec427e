"""A unix socket in the file system, which nobody reaches before it is for whom it should be.

Theory of operation. gRPC takes the place of any socket in its way, and makes its own open to all.
So it is let to bind a name of our choice, with a mode that admits nobody; group and mode are set
there; and a hard link, which never replaces anything, gives the socket its true name. The directory
is locked meanwhile: of two services that start at one path at the same time, each of which would
remove what a third has left there, the second finds the first alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import secrets
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz_service.server.listen import ListenError, UnixAddress, why_not

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

MAX_PATH_BYTES: Final = 107
"""What unix(7) leaves of its 108 for a path."""

_LOCK_WITHIN: Final = 5.0  # seconds
_LOCK_PAUSE: Final = 0.05  # seconds
_CONNECT_WITHIN: Final = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class SocketAccess:
    """Who may connect: the permission bits, and the id of the group, None for the process's own."""

    mode: int = 0o660
    group: int | None = None


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A socket that is listened on; told from another that was put where it was."""

    path: Path
    device: int
    inode: int

    def remove(self) -> None:
        """Take the name away if it is still this socket's. Call it while it is listened on.

        Until then its inode belongs to nobody else.
        """
        with contextlib.suppress(OSError):
            status = self.path.lstat()
            if (status.st_dev, status.st_ino) == (self.device, self.inode):
                self.path.unlink()


async def publish(path: Path, access: SocketAccess, bind: Callable[[Path], object]) -> UnixSocket:
    """Have *bind* listen on a socket, and put it at *path* for whom *access* admits.

    A socket there that nobody listens on is a leftover and is replaced. Raises ListenError.
    """
    hidden = path.with_name(f".{secrets.token_hex(3)}")
    try:
        _check_length(path, hidden)
        async with _locked(path.parent):
            _remove_leftover(path)
            return _publish(path, hidden, access, bind)
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from None


def _refusal(path: Path, why: str) -> ListenError:
    return ListenError(f"cannot listen on {UnixAddress(path)}: {why}")


def _check_length(path: Path, hidden: Path) -> None:
    for name in (path, hidden):
        excess = len(os.fsencode(name)) - MAX_PATH_BYTES
        if excess > 0:
            why = f"the path of a socket has {MAX_PATH_BYTES} bytes at the most"
            raise _refusal(path, f"{why}: write one that is {excess} shorter, or its directory's")


def _publish(
    path: Path, hidden: Path, access: SocketAccess, bind: Callable[[Path], object]
) -> UnixSocket:
    try:
        with _umask(0o777):
            _bind(path, hidden, bind)
        with _held(hidden) as held:
            if access.group is not None:
                _give(path, held, access.group)
            held.chmod(access.mode)
            status = held.stat()
        _link(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)
    return UnixSocket(path, status.st_dev, status.st_ino)


def _bind(path: Path, hidden: Path, bind: Callable[[Path], object]) -> None:
    try:
        bind(hidden)
    except RuntimeError:  # gRPC's, without a reason
        raise _refusal(path, why_not(UnixAddress(hidden))) from None


def _give(path: Path, held: Path, group: int) -> None:
    try:
        os.chown(held, -1, group)
    except OSError as error:
        raise _refusal(path, f"it cannot be given to group {group}: {error.strerror}") from None


def _link(hidden: Path, path: Path) -> None:
    try:
        path.hardlink_to(hidden)
    except FileExistsError:
        raise _refusal(path, "somebody does already") from None
    except OSError:  # a file system without hard links
        hidden.rename(path)


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    previous = os.umask(mask)
    try:
        yield
    finally:
        os.umask(previous)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[Path]:
    """Another name of what is at *path*, which stays its own whatever is put there meanwhile.

    Otherwise a symbolic link there would have a stranger's file opened to others.
    """
    if not hasattr(os, "O_PATH"):  # not Linux
        yield path
        return
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise FileExistsError(errno.EEXIST, "somebody puts other files into its directory")
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def _locked(directory: Path) -> AsyncIterator[None]:
    """Keep other services from changing the sockets in *directory*. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        await _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


async def _lock(descriptor: int) -> None:
    try:
        async with asyncio.timeout(_LOCK_WITHIN):
            while not _lock_now(descriptor):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(_LOCK_PAUSE)
    except TimeoutError:
        raise OSError(errno.EBUSY, "another process keeps its directory locked") from None


def _lock_now(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_leftover(path: Path) -> None:
    """Raises ListenError for what is no leftover, and OSError."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise _refusal(path, "the file is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_CONNECT_WITHIN)
        try:
            probe.connect(os.fsencode(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except FileNotFoundError:  # gone just now
            return
    raise _refusal(path, "somebody does already")
