"""One end of an HTTP/2 connection (RFC 9113): the client's, without sockets.

As much as a sender of small requests needs: windows, the peer's limits, acknowledgements. What does
not belong to a request that is answered, such as a reset stream or a GOAWAY, is an error: a
measurement that goes on after one would be of something else.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from bench.hpack import TABLE_SIZE, HeaderBlocks, without_size_updates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADER: Final = struct.Struct(">BHBBI")  # length in two parts, type, flags, stream
_END_STREAM: Final = 0x1
_ACK: Final = 0x1
_END_HEADERS: Final = 0x4
_PADDED: Final = 0x8
_PRIORITY: Final = 0x20
_DEFAULT_WINDOW: Final = 65_535
_FRAME_SIZE: Final = 16_384  # the peer's least, so that we need not ask
_OUR_WINDOW: Final = 2**20
_REFUSED_STREAM: Final = (7).to_bytes(4)  # nothing of it was processed (section 8.7)
_HEADER_TABLE_SIZE: Final = 1
_ENABLE_PUSH: Final = 2
_MAX_CONCURRENT_STREAMS: Final = 3
_INITIAL_WINDOW_SIZE: Final = 4


class FrameType(IntEnum):
    """The frames that mean something to us (section 6)."""

    DATA = 0
    HEADERS = 1
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Http2Error(Exception):
    """The peer did what a measurement cannot go on after."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame (section 4.1)."""

    type: int
    flags: int
    stream: int
    payload: bytes

    def encode(self) -> bytes:
        """The frame's octets."""
        return _head(self.type, self.flags, self.stream, len(self.payload)) + self.payload


def _head(kind: int, flags: int, stream: int, length: int) -> bytes:
    return _HEADER.pack(length >> 16, length & 0xFFFF, kind, flags, stream)


@dataclass(frozen=True, slots=True)
class Request:
    """The values of the fields that vary, and the body, which may be empty."""

    varying: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the first octet of its header block, which tells its status, and its body.

    *octets* are both. Of a field `:status: 200` the block is `88`, by the static table. They are
    empty where the peer refused the stream, since it has too many.
    """

    stream: int
    octets: bytes


class Client:
    """Prepares *requests* and tells what to send, and takes in what was received."""

    def __init__(
        self, fields: Sequence[tuple[str, str | None]], requests: Sequence[Request]
    ) -> None:
        """*fields* are those of every request; one without a value varies.

        Raises ValueError for a request that no peer must take as one frame.
        """
        blocks = HeaderBlocks(fields)
        if any(len(each.body) > _FRAME_SIZE for each in requests):
            raise ValueError("a request is larger than one frame")
        self._first = [blocks.first(requests[0].varying)] if requests else []
        self._requests = [_prepare(blocks.later(each.varying), each.body) for each in requests]
        self._bodies = [each.body for each in requests]
        self._unread = b""
        self._partial: dict[int, bytes] = {}
        self._next_stream = 1
        self._window = _DEFAULT_WINDOW
        self._most = 2**31
        self._taken = 0
        self._out = [
            _PREFACE,
            _settings({_ENABLE_PUSH: 0, _INITIAL_WINDOW_SIZE: _OUR_WINDOW}),
            _window_update(_OUR_WINDOW - _DEFAULT_WINDOW),
        ]

    @property
    def in_flight(self) -> int:
        """The requests that have not been answered."""
        return len(self._partial)

    def has_room(self, number: int) -> bool:
        """Whether the peer would take the request *number* now."""
        body = len(self._bodies[number % len(self._bodies)])
        return body <= self._window and self.in_flight < self._most

    def ask(self, number: int) -> int:
        """Send the request *number*, beginning anew after the last; gives its stream."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        number %= len(self._requests)
        head, middle, tail = self._requests[number]
        if self._first:  # the blocks of the others build on it
            head, middle, tail = _prepare(self._first.pop(), self._bodies[number])
        octets = struct.pack(">I", stream)
        self._out += (head, octets, middle, octets, tail) if tail else (head, octets, middle)
        self._window -= len(self._bodies[number])
        self._partial[stream] = b""
        return stream

    def to_send(self) -> bytes:
        """What is to be sent now; once."""
        octets = b"".join(self._out)
        self._out.clear()
        return octets

    def receive(self, octets: bytes) -> Iterator[Answer]:
        """Take in *octets*, and give the answers that have become whole.

        Raises Http2Error.
        """
        self._unread += octets
        for frame in self._frames():
            match frame.type:
                case FrameType.DATA | FrameType.HEADERS:
                    yield from self._part(frame)
                case FrameType.WINDOW_UPDATE if frame.stream == 0:
                    self._window += int.from_bytes(frame.payload)
                case FrameType.SETTINGS if not frame.flags & _ACK:
                    self._heed(frame.payload)
                    self._out.append(Frame(FrameType.SETTINGS, _ACK, 0, b"").encode())
                case FrameType.PING if not frame.flags & _ACK:
                    self._out.append(Frame(FrameType.PING, _ACK, 0, frame.payload).encode())
                case FrameType.RST_STREAM if frame.stream not in self._partial:
                    pass  # answered already: what we had to say did not matter any more
                case FrameType.RST_STREAM if frame.payload == _REFUSED_STREAM:
                    del self._partial[frame.stream]
                    yield Answer(frame.stream, b"")
                case FrameType.RST_STREAM | FrameType.GOAWAY | FrameType.CONTINUATION:
                    name = FrameType(frame.type).name
                    raise Http2Error(f"{name} on stream {frame.stream}: {frame.payload[:200]!r}")
        if self._taken > _OUR_WINDOW // 2:
            self._out.append(_window_update(self._taken))
            self._taken = 0

    def _frames(self) -> Iterator[Frame]:
        octets, start = self._unread, 0
        while len(octets) - start >= _HEADER.size:
            high, low, kind, flags, stream = _HEADER.unpack_from(octets, start)
            end = start + _HEADER.size + (high << 16 | low)
            if len(octets) < end:
                break
            yield Frame(kind, flags, stream, octets[start + _HEADER.size : end])
            start = end
        self._unread = octets[start:]

    def _part(self, frame: Frame) -> Iterator[Answer]:
        if frame.flags & (_PADDED | _PRIORITY):
            raise Http2Error("padding and priorities are not expected here")
        so_far = self._partial[frame.stream]
        if frame.type == FrameType.DATA:
            self._taken += len(frame.payload)
            so_far += frame.payload
        elif not so_far:  # and not trailers
            if not frame.flags & _END_HEADERS:
                raise Http2Error("an answer's header block goes on in a second frame")
            so_far = without_size_updates(frame.payload)[:1]
        self._partial[frame.stream] = so_far
        if frame.flags & _END_STREAM:
            del self._partial[frame.stream]
            yield Answer(frame.stream, so_far)

    def _heed(self, settings: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", settings):
            if name == _HEADER_TABLE_SIZE and value < TABLE_SIZE:
                raise Http2Error(f"the peer's header table has {value} octets alone")
            if name == _INITIAL_WINDOW_SIZE and value < max(map(len, self._bodies)):
                raise Http2Error(f"a stream's window has {value} octets alone")
            if name == _MAX_CONCURRENT_STREAMS:
                self._most = value


def _prepare(block: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    """The frames of a request in three parts: between them goes the number of its stream."""
    end = 0 if body else _END_STREAM
    head = _head(FrameType.HEADERS, _END_HEADERS | end, 0, len(block))[:-4]
    if not body:
        return head, block, b""
    return head, block + _head(FrameType.DATA, _END_STREAM, 0, len(body))[:-4], body


def _settings(values: Mapping[int, int]) -> bytes:
    payload = b"".join(struct.pack(">HI", name, value) for name, value in values.items())
    return Frame(FrameType.SETTINGS, 0, 0, payload).encode()


def _window_update(octets: int) -> bytes:
    return Frame(FrameType.WINDOW_UPDATE, 0, 0, struct.pack(">I", octets)).encode()
