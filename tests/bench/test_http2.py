"""The client's end of a connection."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from bench.http2 import Answer, Client, Frame, FrameType, Http2Error, Request

if TYPE_CHECKING:
    from collections.abc import Sequence

FIELDS = ((":method", "POST"), (":path", None), (":authority", "authz"))
PATH = {":path": "/Check"}
END_STREAM, END_HEADERS, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def client(*bodies: bytes) -> Client:
    """A client that has said hello, with a request for each of *bodies*."""
    made = Client(FIELDS, [Request(PATH, body) for body in bodies or (b"body",)])
    made.to_send()
    return made


def frames(octets: bytes) -> list[Frame]:
    """Take what was sent apart."""
    found = []
    while octets:
        length, kind, flags, stream = struct.unpack(">I", b"\0" + octets[:3]) + struct.unpack(
            ">BBI", octets[3:9]
        )
        found.append(Frame(kind, flags, stream, octets[9 : 9 + length]))
        octets = octets[9 + length :]
    return found


def received(made: Client, *given: Frame) -> Sequence[Answer]:
    """What *made* takes *given* for."""
    return list(made.receive(b"".join(each.encode() for each in given)))


def answer(stream: int, body: bytes = b"yes") -> list[Frame]:
    """An answer, with trailers as gRPC has them."""
    return [
        Frame(FrameType.HEADERS, END_HEADERS, stream, b"\x88\xc1"),
        Frame(FrameType.DATA, 0, stream, body),
        Frame(FrameType.HEADERS, END_HEADERS | END_STREAM, stream, b"\xc0"),
    ]


def test_a_frame_has_nine_octets_before_its_payload() -> None:
    frame = Frame(FrameType.PING, ACK, 0, b"12345678")
    assert frame.encode().hex() == "000008060100000000" + b"12345678".hex()


def test_it_begins_with_the_preface_and_its_settings() -> None:
    octets = Client(FIELDS, [Request(PATH)]).to_send()
    assert octets.startswith(PREFACE)
    kinds = [frame.type for frame in frames(octets.removeprefix(PREFACE))]
    assert kinds == [FrameType.SETTINGS, FrameType.WINDOW_UPDATE]


def test_requests_are_two_frames_each_on_streams_of_their_own() -> None:
    made = client(b"one", b"two")
    assert [made.ask(0), made.ask(1), made.ask(2)] == [1, 3, 5]
    sent = frames(made.to_send())
    assert [(frame.type, frame.flags, frame.stream) for frame in sent] == [
        (kind, flags, stream)
        for stream in (1, 3, 5)
        for kind, flags in ((FrameType.HEADERS, END_HEADERS), (FrameType.DATA, END_STREAM))
    ]
    assert [frame.payload for frame in sent[1::2]] == [b"one", b"two", b"one"]
    assert sent[0].payload.endswith(b"\x41\x05authz")  # into the table
    assert sent[2].payload == sent[4].payload
    assert sent[2].payload.endswith(b"\xbe")  # out of it


def test_a_request_without_a_body_is_one_frame() -> None:
    made = client(b"")
    made.ask(0)
    [frame] = frames(made.to_send())
    assert (frame.type, frame.flags) == (FrameType.HEADERS, END_HEADERS | END_STREAM)


def test_what_is_sent_is_sent_once() -> None:
    made = client()
    made.ask(0)
    assert made.to_send()
    assert not made.to_send()


def test_an_answer_is_its_status_and_its_body() -> None:
    made = client()
    stream = made.ask(0)
    assert received(made, *answer(stream)) == [Answer(stream, b"\x88yes")]
    assert made.in_flight == 0


def test_answers_come_in_any_order_and_in_any_pieces() -> None:
    made = client()
    first, second = made.ask(0), made.ask(1)
    octets = b"".join(
        frame.encode()
        for pair in zip(answer(second, b"2"), answer(first, b"1"), strict=True)
        for frame in pair
    )
    found = [each for n in range(len(octets)) for each in made.receive(octets[n : n + 1])]
    assert found == [Answer(second, b"\x882"), Answer(first, b"\x881")]


def test_an_answer_in_trailers_alone_has_no_body() -> None:
    made = client()
    stream = made.ask(0)
    block = Frame(FrameType.HEADERS, END_HEADERS | END_STREAM, stream, b"\x88\xc1")
    assert received(made, block) == [Answer(stream, b"\x88")]


def test_a_stream_that_the_peer_refuses_is_an_answer_without_anything() -> None:
    made = client()
    stream = made.ask(0)
    refused = Frame(FrameType.RST_STREAM, 0, stream, (7).to_bytes(4))
    assert received(made, refused) == [Answer(stream, b"")]
    assert made.in_flight == 0


def test_a_reset_after_the_answer_changes_nothing() -> None:
    made = client()
    stream = made.ask(0)
    reset = Frame(FrameType.RST_STREAM, 0, stream, bytes(4))
    assert received(made, *answer(stream), reset) == [Answer(stream, b"\x88yes")]


def test_settings_and_pings_are_acknowledged() -> None:
    made = client()
    received(made, Frame(FrameType.SETTINGS, 0, 0, b""), Frame(FrameType.PING, 0, 0, b"12345678"))
    assert frames(made.to_send()) == [
        Frame(FrameType.SETTINGS, ACK, 0, b""),
        Frame(FrameType.PING, ACK, 0, b"12345678"),
    ]
    received(made, Frame(FrameType.SETTINGS, ACK, 0, b""), Frame(FrameType.PING, ACK, 0, b"1" * 8))
    assert not made.to_send()


def test_there_is_room_for_as_many_octets_as_the_peer_has_granted() -> None:
    made = client(b"a" * 16_000)
    for number in range(4):
        assert made.has_room(number)
        made.ask(number)
    assert not made.has_room(4)  # 65,535 octets at the start
    received(made, Frame(FrameType.WINDOW_UPDATE, 0, 1, struct.pack(">I", 99_999)))  # a stream's
    assert not made.has_room(4)
    received(made, Frame(FrameType.WINDOW_UPDATE, 0, 0, struct.pack(">I", 14_465)))
    assert made.has_room(4)


def test_there_is_room_for_as_many_requests_as_the_peer_takes_at_once() -> None:
    made = client()
    received(made, Frame(FrameType.SETTINGS, 0, 0, struct.pack(">HI", 3, 1)))
    stream = made.ask(0)
    assert not made.has_room(1)
    received(made, *answer(stream))
    assert made.has_room(1)


def test_the_peer_is_granted_again_what_it_has_sent() -> None:
    made = client()
    stream = made.ask(0)
    made.to_send()
    body = [Frame(FrameType.DATA, 0, stream, b"a" * 16_384)] * 33
    received(made, Frame(FrameType.HEADERS, END_HEADERS, stream, b"\x88"), *body)
    [frame] = frames(made.to_send())
    assert (frame.type, frame.stream) == (FrameType.WINDOW_UPDATE, 0)
    assert int.from_bytes(frame.payload) == 33 * 16_384


@pytest.mark.parametrize(
    "frame",
    [
        Frame(FrameType.GOAWAY, 0, 0, bytes(8)),
        Frame(FrameType.RST_STREAM, 0, 1, bytes(4)),
        Frame(FrameType.CONTINUATION, 0, 1, b""),
        Frame(FrameType.HEADERS, 0, 1, b"\x88"),
        Frame(FrameType.HEADERS, END_HEADERS | 0x20, 1, b"\x88"),
        Frame(FrameType.SETTINGS, 0, 0, struct.pack(">HI", 1, 100)),
        Frame(FrameType.SETTINGS, 0, 0, struct.pack(">HI", 4, 1)),
    ],
)
def test_what_no_measurement_can_go_on_after_is_an_error(frame: Frame) -> None:
    made = client()
    made.ask(0)
    with pytest.raises(Http2Error):
        received(made, frame)


def test_a_request_that_no_peer_must_take_is_refused() -> None:
    with pytest.raises(ValueError, match="frame"):
        client(b"a" * 16_385)
