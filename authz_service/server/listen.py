"""Where the service listens: addresses as the command line spells them, and unix sockets."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOST_PORT: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|(?!unix)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*)"
    r":(?P<port>[0-9]{1,5})",
    re.ASCII,
)
_MAX_PORT: Final = 65535
_SOCKET_MODE: Final = 0o660


class ListenError(Exception):
    """The operator's fault, or the machine's: an address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """*host* without brackets; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        """The address as it is written on the command line."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket in the file system."""

    path: Path

    def __str__(self) -> str:
        """The address as it is written on the command line."""
        return f"unix:{self.path}"


def parse_address(text: str) -> TcpAddress | UnixAddress:
    """Read `HOST:PORT`, `[::]:PORT` or `unix:/path`. Raises ValueError for anything else."""
    if text.startswith("unix:/"):
        return UnixAddress(Path(text.removeprefix("unix:")))
    match = _HOST_PORT.fullmatch(text)
    if match is None or int(match["port"]) > _MAX_PORT:
        raise ValueError("write HOST:PORT, [::]:PORT or unix:/path")
    return TcpAddress(match["host"].strip("[]"), int(match["port"]))


def why_not(address: TcpAddress | UnixAddress) -> str:
    """Why *address* could not be listened on, found out by trying once more."""
    family = socket.AF_UNIX if isinstance(address, UnixAddress) else socket.AF_INET
    name: str | tuple[str, int] = str(getattr(address, "path", ""))
    if isinstance(address, TcpAddress):
        family = socket.AF_INET6 if ":" in address.host else family
        name = (address.host, address.port)
    with socket.socket(family) as probe:
        try:
            probe.bind(name)
        except UnicodeError:
            return "not the name of a host"
        except OSError as error:
            return error.strerror or str(error)
    if isinstance(address, UnixAddress):
        address.path.unlink(missing_ok=True)
    return "it may have been taken for a moment"


@contextlib.contextmanager
def private_socket(address: UnixAddress) -> Iterator[None]:
    """While a socket is bound at *address*: nobody else's is taken over, and its mode is 0660.

    A socket that nobody listens on is a leftover and is removed. gRPC would remove any, and make
    its own open to all. Raises ListenError.
    """
    _remove_leftover(address.path)
    previous = os.umask(0o777 & ~_SOCKET_MODE)
    try:
        yield
    finally:
        os.umask(previous)


def _remove_leftover(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenError(f"cannot listen on unix:{path}: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"cannot listen on unix:{path}: the file is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise ListenError(f"cannot listen on unix:{path}: {error.strerror or error}") from None
    raise ListenError(f"cannot listen on unix:{path}: somebody does already")
