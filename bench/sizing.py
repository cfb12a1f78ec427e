"""What one Check costs the processor and what the service weighs: the figures to size it by.

Each kind of Check is sent to the service and, in turns with it, to a server that does nothing. The
CPU time is that of the serving process alone, user and system, from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc.aio

from authz_service.demo import tokens
from authz_service.demo.issuer import DevelopmentIssuer
from authz_service.demo.leash import end, on_a_leash
from authz_service.demo.service import AuthzService
from authz_service.demo.world import SHOP
from bench.comparison import spread
from bench.process import cpu_seconds
from bench.shop import POLICY, check_on, request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest

_IN_FLIGHT: Final = 16
_TOKENS: Final = 100


def main(checks: int, rounds: int) -> int:
    """Run the benchmark and give the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        policy = Path(directory, "policy.yaml")
        policy.write_text(POLICY, encoding="utf-8")
        asyncio.run(_run(policy, Path(directory, "log"), checks, rounds))
    return 0


async def _run(policy: Path, log: Path, checks: int, rounds: int) -> None:
    issuer = DevelopmentIssuer([SHOP])
    await issuer.start()
    service = AuthzService(policy, environment={"DEMO_ISSUER": issuer.issuer}, log=log)
    noop = await asyncio.create_subprocess_exec(
        *on_a_leash(sys.executable), str(Path(__file__).with_name("noop.py")),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert noop.stdout is not None
    try:
        await service.start()
        port = int(await noop.stdout.readline())
        print(f"resident after start: {service.resident_mib:.1f} MiB")
        for kind, requests in _kinds(issuer).items():
            figures, references = [], []
            for _round in range(rounds):
                references.append(await _cost(noop.pid, f"127.0.0.1:{port}", requests, checks))
                figures.append(await _cost(service.pid, service.listen, requests, checks))
            print(f"{kind:24} {spread(figures):28}  nothing done: {spread(references)}", flush=True)
        print(f"resident at the end: {service.resident_mib:.1f} MiB")
    finally:
        await end(noop, within=5)
        await service.stop()
        await issuer.stop()


async def _cost(pid: int, target: str, requests: Sequence[CheckRequest], checks: int) -> float:
    """CPU seconds of the process *pid* for each of *checks* Checks."""
    async with grpc.aio.insecure_channel(target) as channel:
        check = check_on(channel)

        async def worker(numbers: range) -> None:
            for number in numbers:
                await check(requests[number % len(requests)])

        await worker(range(50))
        before = cpu_seconds(pid)
        await asyncio.gather(*(worker(range(n, checks, _IN_FLIGHT)) for n in range(_IN_FLIGHT)))
        return (cpu_seconds(pid) - before) / checks


def _kinds(issuer: DevelopmentIssuer) -> dict[str, list[CheckRequest]]:
    valid = [
        issuer.mint(tokens.claims(issuer, jti=str(n), sub=f"subject-{n}")) for n in range(_TOKENS)
    ]
    return {
        "public route": [request("GET", "/healthz")],
        "valid token": [request("GET", f"/products/{n}", token) for n, token in enumerate(valid)],
        "missing scope": [request("POST", "/products/1", token) for token in valid],
        "no token": [request("GET", "/products/1")],
        "junk for a token": [request("GET", "/products/1", "junk")],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the Checks")
    quick = parser.parse_args().quick
    sys.exit(main(1_000 if quick else 5_000, 3 if quick else 5))
