"""Why a GET had no answer, in the words of who has to do something about it.

The words are constants, and those of the operating system for its error numbers: nothing that a
server sent is in them, and no name of a class.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import h11

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_IN_TIME: Final = "no answer in time"
NO_ANSWER: Final = "no answer"

_CERTIFICATE: Final = "TLS certificate not valid"

# X509_V_ERR_* of OpenSSL (X509_STORE_CTX_get_error(3)).
_CERTIFICATE_FAULTS: Final[Mapping[int, str]] = MappingProxyType({
    9: "not yet valid, by this machine's clock",
    10: "expired",
    18: "self-signed",
    19: "its authority is not trusted here",
    20: "its authority is not known here",
    21: "its authority is not known here",
    23: "revoked",
    24: "one of its authorities is none",
    62: "made out to another host",
    64: "made out to another IP address",
})  # fmt: skip
_HANDSHAKE_FAULTS: Final[Mapping[str, str]] = MappingProxyType({
    "WRONG_VERSION_NUMBER": "the server does not speak TLS",
    "HTTP_REQUEST": "the server does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "no TLS version in common",
    "TLSV1_ALERT_PROTOCOL_VERSION": "no TLS version in common",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a client certificate",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "the server refused the TLS handshake",
    "TLSV1_UNRECOGNIZED_NAME": "the server has no TLS certificate for this host",
    "TLSV1_ALERT_INTERNAL_ERROR": "the server refused the TLS handshake",
})  # fmt: skip
_NO_SUCH_NAME: Final = frozenset(
    number
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if (number := getattr(socket, name, None)) is not None
)
_SYSTEM_FAULTS: Final[Mapping[int, str]] = MappingProxyType({
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection closed by the server",
    errno.ETIMEDOUT: "timeout while connecting",
    errno.EHOSTUNREACH: "host not reachable",
    errno.ENETUNREACH: "network not reachable",
    errno.EMFILE: "too many open files on this side",
    errno.ENFILE: "too many open files on this machine",
})  # fmt: skip


class CutShortError(Exception):
    """An answer ended before its end."""


def why_no_answer(error: Exception) -> str:
    """Name the cause of *error*, which came of a lookup, a connection or an exchange."""
    words = _of_a_lookup(error) or _of_tls(error) or _of_the_system(error) or _of_http(error)
    return f"{NO_ANSWER}: {words}"


def _of_a_lookup(error: Exception) -> str | None:
    if not isinstance(error, socket.gaierror):
        return None
    if error.errno in _NO_SUCH_NAME:
        return "host name not found"
    return "host name could not be looked up"


def _of_tls(error: Exception) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _CERTIFICATE_FAULTS.get(getattr(error, "verify_code", 0))
        return _CERTIFICATE if why is None else f"{_CERTIFICATE}: {why}"
    if isinstance(error, ssl.SSLError):
        return _HANDSHAKE_FAULTS.get(getattr(error, "reason", ""), "TLS handshake failed")
    return None


def _of_the_system(error: Exception) -> str | None:
    if not isinstance(error, OSError) or error.errno is None:
        return None
    return _SYSTEM_FAULTS.get(error.errno) or os.strerror(error.errno).lower()


def _of_http(error: Exception) -> str:
    if isinstance(error, EOFError | ConnectionError):
        return "connection closed by the server"
    if isinstance(error, CutShortError):
        return "what came was cut short"
    if isinstance(error, h11.RemoteProtocolError):
        return "what came is not HTTP"
    if isinstance(error, OSError):
        return "connection failed"
    return "the URL cannot be used"
