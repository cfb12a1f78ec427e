"""Where the service listens: addresses as the command line spells them."""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HOST_PORT: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|(?!unix)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*)"
    r":(?P<port>[0-9]{1,5})",
    re.ASCII,
)
_MAX_PORT: Final = 65535
_MAX_ABSTRACT_BYTES: Final = 106  # as many as Envoy can name, whose `@` counts too


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


@dataclass(frozen=True, slots=True)
class AbstractAddress:
    """A socket in Linux's abstract namespace, which has names and no permissions (unix(7))."""

    name: str

    def __str__(self) -> str:
        """The address as it is written on the command line; Envoy writes the same `@`."""
        return f"unix:@{self.name}"


Address = TcpAddress | UnixAddress | AbstractAddress


def parse_address(text: str) -> Address:
    """Read `HOST:PORT`, `[::]:PORT`, `unix:/path` or `unix:@name`.

    Raises ValueError for anything else.
    """
    if text.startswith("unix:/") and (path := Path(text.removeprefix("unix:"))).name:
        return UnixAddress(path)
    if text.startswith("unix:@"):
        return AbstractAddress(_abstract_name(text.removeprefix("unix:@")))
    match = _HOST_PORT.fullmatch(text)
    if match is not None and int(match["port"]) > _MAX_PORT:
        raise ValueError(f"a port is at most {_MAX_PORT}")
    if match is None:
        raise ValueError("write HOST:PORT, [::]:PORT, unix:/path or unix:@name")
    return TcpAddress(match["host"].strip("[]"), int(match["port"]))


def _abstract_name(name: str) -> str:
    if not name or not name.isprintable() or len(name.encode()) > _MAX_ABSTRACT_BYTES:
        raise ValueError(
            f"write unix:@name, with 1 to {_MAX_ABSTRACT_BYTES} bytes of printable text as its name"
        )
    return name


def is_loopback(ip_address: str) -> bool:
    """Whether only this machine, or this pod, can reach *ip_address*, which is an IP literal."""
    address = ipaddress.ip_address(ip_address)
    mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:127.0.0.1 is bound as 127.0.0.1
    return bool((mapped or address).is_loopback)


def why_not(address: Address) -> str:
    """Why *address* could not be listened on, found out by trying once more."""
    family, name = _as_socket_name(address)
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


def _as_socket_name(
    address: Address,
) -> tuple[socket.AddressFamily, bytes | tuple[str, int]]:
    if isinstance(address, UnixAddress):
        return socket.AF_UNIX, os.fsencode(address.path)
    if isinstance(address, AbstractAddress):
        return socket.AF_UNIX, b"\0" + address.name.encode()
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return family, (address.host, address.port)
