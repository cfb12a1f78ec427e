"""Header blocks (HPACK, RFC 7541), as far as a sender of nearly the same fields needs them.

What is the same in every request goes into the dynamic table with the first one, and is one octet
from then on. What varies is written out each time. No Huffman code: it saves octets and costs time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_INDEXED: Final = 0x80  # section 6.1
_WITH_INDEXING: Final = 0x40  # section 6.2.1
_WITHOUT_INDEXING: Final = 0x00  # section 6.2.2
_FIRST_DYNAMIC: Final = 62  # after the static table, appendix A
_ENTRY_OVERHEAD: Final = 32  # octets, section 4.1
TABLE_SIZE: Final = 4096
"""Octets of the dynamic table, unless the peer says otherwise (RFC 9113, section 6.5.2)."""

# As much of appendix A as we have a use for; any name may also be written out.
_STATIC_FIELDS: Final[Mapping[tuple[str, str | None], int]] = {
    (":method", "GET"): 2,
    (":method", "POST"): 3,
    (":path", "/"): 4,
    (":scheme", "http"): 6,
    ("accept-encoding", "gzip, deflate"): 16,
}
_STATIC_NAMES: Final[Mapping[str, int]] = {
    ":authority": 1,
    ":method": 2,
    ":path": 4,
    ":scheme": 6,
    "accept-encoding": 16,
    "accept": 19,
    "authorization": 23,
    "cache-control": 24,
    "content-type": 31,
    "cookie": 32,
    "user-agent": 58,
}


@dataclass(frozen=True, slots=True)
class HeaderBlocks:
    """The blocks of requests on one connection. A field without a value varies.

    Raises ValueError where what stays the same does not fit into the dynamic table.
    """

    fields: Sequence[tuple[str, str | None]]

    def __post_init__(self) -> None:
        """Refuse what would push the first entries out again."""
        entries = (len(name) + len(value) + _ENTRY_OVERHEAD for name, value in self.fields if value)
        if sum(entries) > TABLE_SIZE:
            raise ValueError("the fields that stay the same do not fit into the dynamic table")

    def first(self, varying: Mapping[str, str]) -> bytes:
        """The block of the first request, which fills the table."""
        return b"".join(
            _literal(_WITHOUT_INDEXING, 4, name, varying[name])
            if value is None
            else _indexed(_STATIC_FIELDS[name, value])
            if (name, value) in _STATIC_FIELDS
            else _literal(_WITH_INDEXING, 6, name, value)
            for name, value in self.fields
        )

    def later(self, varying: Mapping[str, str]) -> bytes:
        """The block of every other request."""
        entries = [each for each in self.fields if each[1] and each not in _STATIC_FIELDS]
        newest_first = {each: _FIRST_DYNAMIC + n for n, each in enumerate(reversed(entries))}
        places: dict[tuple[str, str | None], int] = {**_STATIC_FIELDS, **newest_first}
        return b"".join(
            _literal(_WITHOUT_INDEXING, 4, name, varying[name])
            if value is None
            else _indexed(places[name, value])
            for name, value in self.fields
        )


def without_size_updates(block: bytes) -> bytes:
    """A received *block* from its first field on: changes of the table's size come before it."""
    while block and block[0] & 0xE0 == 0x20:  # section 6.3
        block = block[_integer_length(block, 5) :]
    return block


def _indexed(index: int) -> bytes:
    return integer(index, 7, _INDEXED)


def _literal(kind: int, prefix: int, name: str, value: str) -> bytes:
    index = _STATIC_NAMES.get(name, 0)
    return integer(index, prefix, kind) + (b"" if index else _string(name)) + _string(value)


def _string(text: str) -> bytes:
    octets = text.encode("ascii")
    return integer(len(octets), 7) + octets


def integer(value: int, prefix: int, kind: int = 0) -> bytes:
    """*value* in the last *prefix* bits of the octet *kind*, or in more octets (section 5.1)."""
    most = 2**prefix - 1
    if value < most:
        return bytes((kind | value,))
    octets, rest = [kind | most], value - most
    while rest >= 0x80:
        octets.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*octets, rest))


def _integer_length(octets: bytes, prefix: int) -> int:
    if octets[0] & 2**prefix - 1 < 2**prefix - 1:
        return 1
    return 2 + next(n for n, octet in enumerate(octets[1:]) if octet < 0x80)
