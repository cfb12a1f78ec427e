"""Subjects and clients as a keyed hash: told apart in the log, and known to who has the key."""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

MIN_KEY_BYTES: Final = 32
"""The length of SHA-256's output; a shorter key weakens HMAC (RFC 2104, section 3)."""
MAX_KEY_BYTES: Final = 4096
DIGITS: Final = 32
"""Hexadecimal digits that are shown: 128 bits, half of what HMAC-SHA256 gives."""


class KeyFileError(Exception):
    """The operator's fault: there is no usable key in the file. The message says why."""


@dataclass(frozen=True, slots=True)
class IdentityHash:
    """HMAC-SHA256 of an identity's UTF-8, under *key*, cut to `DIGITS`.

    Where the key is *random*, nobody knows it and the next process has another one. A key that is
    *open_to_others* can be read by every user of this machine, who can undo the hashes by guessing.
    """

    key: bytes = field(repr=False)
    random: bool = False
    open_to_others: bool = False

    @classmethod
    def with_random_key(cls) -> Self:
        """Make a key that lives and dies with this process."""
        return cls(secrets.token_bytes(MIN_KEY_BYTES), random=True)

    @classmethod
    def with_key_of(cls, path: Path) -> Self:
        """Take the key from the file at *path*. Raises KeyFileError."""
        try:
            content, mode = _content(path)
        except OSError as error:
            raise KeyFileError(error.strerror or type(error).__name__) from None
        key = content.removesuffix(b"\n").removesuffix(b"\r")
        if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
            raise KeyFileError(
                f"a key has {MIN_KEY_BYTES} to {MAX_KEY_BYTES} bytes, such as the output of"
                " `openssl rand -hex 32`"
            )
        return cls(key, open_to_others=bool(mode & stat.S_IROTH))

    def of(self, identity: str) -> str:
        """The hash that stands for *identity*."""
        octets = identity.encode("utf-8", "surrogatepass")
        return hmac.digest(self.key, octets, "sha256").hex()[:DIGITS]


def _content(path: Path) -> tuple[bytes, int]:
    """The start of a regular file, more than a key may have, and the file's mode.

    A pipe might never end, or begin.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise KeyFileError("not a regular file")
        return file.read(MAX_KEY_BYTES + len(b"\r\n") + 1), mode
