"""Loads and what they find: the processor's time of the server, times of answers, and the answers.

Every answer is read, after the load. A single one that is not what its request must get is an
error, and so is one that never came.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from bench.check_requests import GRPC_FIELDS, grpc_request
from bench.figures import percentile
from bench.processes import ROOT, BenchError, cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.http2 import Request
    from bench.processes import Server

ALLOW: Final = "allow"
"""The kind of an answer that lets a request pass; a refusal's is its reason."""
OVERLOADED: Final = "overloaded"
REFUSED: Final = "stream refused"
"""The kinds of an answer that came of too many Checks at a time: the service's, and gRPC's."""
NO_ANSWER: Final = "no answer"
"""The kind of a gRPC error, such as that of a deadline."""

_OK: Final = b"\x88"  # `:status: 200`, by HPACK's static table
_PREFIX: Final = 5  # gRPC's: compressed or not, and the length
_TIMEOUT: Final = 600.0  # seconds
_NANOSECONDS: Final = 1e9


class ShedError(BenchError):
    """Checks were refused as too many; all others got the answer that they must get."""


@dataclass(frozen=True, slots=True)
class Checks:
    """Encoded CheckRequests, and the kind of answer that each must get."""

    octets: Sequence[bytes]
    kinds: Sequence[str]

    @classmethod
    def all_of(cls, kind: str, octets: Sequence[bytes]) -> Checks:
        """Checks that must all get the same answer."""
        return cls(octets, [kind] * len(octets))

    def expected(self, count: int) -> Counter[str]:
        """The kinds of answer to *count* Checks, sent in turn and again from the first."""
        whole, rest = divmod(count, len(self.kinds))
        kinds = Counter({kind: n * whole for kind, n in Counter(self.kinds).items()})
        return +(kinds + Counter(self.kinds[:rest]))


@dataclass(frozen=True, slots=True)
class Pace:
    """*count* requests, *rate* of them a second or, without, *at_once* of them in flight."""

    count: int
    rate: float | None = None
    at_once: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What one load has found. Times are in seconds, moments by the monotonic clock."""

    cpu: float
    """The processor's time of the serving processes for each request."""
    per_second: float
    moments: Sequence[float]
    latencies: Sequence[float]
    failed: int = 0
    """How many Checks were refused as too many or not answered, where a load may have such."""

    def percentile(self, share: float) -> float:
        """What *share* of the requests did not take longer than."""
        return percentile(self.latencies, share)

    def between(self, start: float, end: float) -> list[float]:
        """The latencies of the requests that were due from *start* to *end*."""
        pairs = zip(self.moments, self.latencies, strict=True)
        return [latency for moment, latency in pairs if start <= moment <= end]


def ask(server: Server, checks: Checks, pace: Pace, *, may_fail: bool = False) -> Report:
    """Send *checks* to *server*; one that says yes to everything is the no-op.

    Raises BenchError where an answer is not what it must be; ShedError where Checks were refused as
    too many. Where they *may_fail*, those and gRPC errors are counted, and a wrong answer is still
    an error.
    """
    kinds = checks.expected(pace.count)
    if server.name == "no-op":
        kinds = Counter({ALLOW: pace.count})
    requests = [grpc_request(octets) for octets in checks.octets]
    report, answers = _run(_job(server.target, GRPC_FIELDS, requests, pace), (server.pid,), pace)
    found = _kinds(answers)
    told = f"answers must be {dict(kinds)}, and were {dict(found)}"
    failures = (OVERLOADED, REFUSED, NO_ANSWER) if may_fail else (OVERLOADED, REFUSED)
    failed = sum(found.pop(kind, 0) for kind in failures)
    if found != kinds and not (failed and found < kinds):
        raise BenchError(told)
    if failed and not may_fail:
        raise ShedError(told)
    return replace(report, failed=failed)


def fetch(
    target: str,
    pids: Sequence[int],
    fields: Sequence[tuple[str, str | None]],
    requests: Sequence[Request],
    pace: Pace,
) -> Report:
    """Send *requests* to a proxy; each must be answered with 200. *pids* are who serves them.

    Raises BenchError where one is not.
    """
    report, answers = _run(_job(target, fields, requests, pace), pids, pace)
    if other := sum(times for octets, times in answers.items() if octets[:1] != _OK):
        raise BenchError(f"{other} requests were not answered with 200")
    return report


def kind_of(octets: bytes) -> str:
    """What the answer in *octets*, a gRPC message after a header block's first octet, says.

    An answer without a message is a gRPC error: those come in trailers alone.
    """
    if not octets:
        return REFUSED
    if octets[:1] != _OK or len(octets) < 1 + _PREFIX:
        return NO_ANSWER
    try:
        response = CheckResponse.FromString(octets[1 + _PREFIX :])
    except DecodeError:
        return "unreadable"
    metadata = dict(response.dynamic_metadata.items())
    allows = response.WhichOneof("http_response") == "ok_response" and response.status.code == 0
    if metadata.get("decision") == "allow" and allows:
        return ALLOW
    if metadata.get("decision") == "deny" and not allows and response.status.code:
        return str(metadata.get("reason"))
    return "contradictory"


def _kinds(answers: Counter[bytes]) -> Counter[str]:
    found: Counter[str] = Counter()
    for octets, times in answers.items():
        found[kind_of(octets)] += times
    return found


def _job(
    target: str, fields: Sequence[tuple[str, str | None]], requests: Sequence[Request], pace: Pace
) -> dict[str, Any]:
    return {
        "target": target,
        "fields": fields,
        "requests": [
            (request.varying, base64.b64encode(request.body).decode("ascii"))
            for request in requests
        ],
        "count": pace.count,
        "rate": pace.rate,
        "at_once": pace.at_once,
    }


def _run(job: Mapping[str, Any], pids: Sequence[int], pace: Pace) -> tuple[Report, Counter[bytes]]:
    """The load, and how often each answer came."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".json") as file:
        json.dump(job, file)
        file.flush()
        before = sum(map(cpu_seconds, pids))
        done = subprocess.run(
            (sys.executable, "-m", "bench.load", file.name),
            cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_TIMEOUT,
        )  # fmt: skip
        cpu = sum(map(cpu_seconds, pids)) - before
    if done.returncode:
        raise BenchError(f"the load failed: {done.stderr.decode('utf-8', 'replace')}")
    result = json.loads(done.stdout)
    answers = Counter({base64.b64decode(octets): times for octets, times in result["answers"]})
    report = Report(
        cpu=cpu / pace.count,
        per_second=pace.count / result["seconds"],
        moments=[moment / _NANOSECONDS for moment in result["moments"]],
        latencies=[latency / _NANOSECONDS for latency in result["latencies"]],
    )
    return report, answers


def one_answer(server: Server, octets: bytes) -> bytes:
    """The encoded CheckResponse that *server* gives to the Check *octets*."""
    job = _job(server.target, GRPC_FIELDS, [grpc_request(octets)], Pace(1))
    _report, answers = _run(job, (server.pid,), Pace(1))
    [octets] = answers
    return octets[1 + _PREFIX :]
