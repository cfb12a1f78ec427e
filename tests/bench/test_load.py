"""The load, against a real gRPC server."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from bench.check_requests import GRPC_FIELDS, grpc_request
from bench.http2 import Client, Http2Error
from bench.load import Load, connect, main, run
from tests.bench.answering import answering

if TYPE_CHECKING:
    from pathlib import Path

BODIES = (b"one", b"two", b"three")


def job(target: str, **changes: object) -> dict[str, Any]:
    """A job to send `BODIES` in turn."""
    requests = [grpc_request(body) for body in BODIES]
    encoded = [(each.varying, base64.b64encode(each.body).decode()) for each in requests]
    whole = {"count": 7, "rate": None, "at_once": 1, "fields": GRPC_FIELDS, "requests": encoded}
    return {"target": target, **whole, **changes}


def answers(result: dict[str, Any]) -> dict[bytes, int]:
    """The bodies of the answers, without status and gRPC's prefix."""
    return {base64.b64decode(octets)[6:]: times for octets, times in result["answers"]}


@pytest.mark.parametrize(
    "pace", [{"at_once": 1}, {"at_once": 4}, {"rate": 2000.0}], ids=["1", "4", "at a rate"]
)
def test_every_request_is_sent_in_turn_and_its_answer_kept(
    pace: dict[str, Any], tmp_path: Path
) -> None:
    with answering(lambda octets: octets.upper(), tmp_path) as server:
        result = run(job(server.target, **pace))
    assert answers(result) == {b"ONE": 3, b"TWO": 2, b"THREE": 2}
    assert len(result["latencies"]) == 7
    assert min(result["latencies"]) > 0


def test_at_a_rate_requests_are_due_whenever_the_others_are_answered(tmp_path: Path) -> None:
    with answering(lambda octets: octets, tmp_path) as server:
        result = run(job(server.target, rate=500.0))
    assert {after - before for before, after in pairwise(sorted(result["moments"]))} == {2_000_000}


@pytest.mark.parametrize("at_once", [1, 3])
def test_so_many_are_in_flight_all_the_time(tmp_path: Path, at_once: int) -> None:
    in_flight: list[int] = []

    class Counting(Client):
        def ask(self, number: int) -> int:
            stream = super().ask(number)
            in_flight.append(self.in_flight)
            return stream

    client = Counting(GRPC_FIELDS, [grpc_request(body) for body in BODIES])
    with (
        answering(lambda octets: octets, tmp_path) as server,
        connect(server.target) as connection,
    ):
        Load(client, connection).in_flight(9, at_once)
    assert in_flight[:at_once] == list(range(1, at_once + 1))
    assert max(in_flight) == at_once


def test_a_grpc_error_is_an_answer_without_a_message(tmp_path: Path) -> None:
    def fail(_octets: bytes) -> bytes:
        raise ValueError

    with answering(fail, tmp_path) as server:
        result = run(job(server.target))
    assert answers(result) == {b"": 7}


def test_nobody_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="No such file"):
        connect(f"unix:{tmp_path}/nothing")
    file = tmp_path / "job"
    file.write_text(f'{{"target": "unix:{tmp_path}/nothing", "fields": [], "requests": []}}')
    assert main(file) == 1
    assert "FileNotFoundError" in capsys.readouterr().err


def test_a_request_that_the_peer_resets_is_an_error(tmp_path: Path) -> None:
    with pytest.raises((Http2Error, OSError)), answering(lambda octets: octets, tmp_path) as server:
        run(job(server.target, requests=[({":path": "/a"}, "")], fields=[(":path", None)]))
