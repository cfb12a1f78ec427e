"""Does the service keep its memory? 100,000 Checks over gRPC, and its resident size along the way.

Ends with status 1 if the size after all Checks is more than 2 MiB above that after the first tenth.
The service is a process of its own; valid tokens, refused ones, junk and unknown keys take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc.aio

from authz_service.demo import tokens
from authz_service.demo.issuer import DevelopmentIssuer
from authz_service.demo.service import AuthzService
from authz_service.demo.world import SHOP
from bench.shop import POLICY, check_on, request

if TYPE_CHECKING:
    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest

_IN_FLIGHT: Final = 32
_TOKENS: Final = 500
_LIMIT: Final = 2.0


def main(checks: int) -> int:
    """Run the benchmark and give the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        policy = Path(directory, "policy.yaml")
        policy.write_text(POLICY, encoding="utf-8")
        sizes = asyncio.run(_run(policy, Path(directory, "log"), checks))
    growth = sizes[-1] - sizes[0]
    met = growth <= _LIMIT
    print(f"growth after the first tenth: {growth:+.2f} MiB (at most {_LIMIT:+.2f}): ", end="")
    print("met" if met else "NOT MET")
    return 0 if met else 1


async def _run(policy: Path, log: Path, checks: int) -> list[float]:
    issuer = DevelopmentIssuer([SHOP])
    await issuer.start()
    service = AuthzService(policy, environment={"DEMO_ISSUER": issuer.issuer}, log=log)
    try:
        await service.start()
        return await _measure(service, _requests(issuer), checks)
    finally:
        await service.stop()
        await issuer.stop()


async def _measure(service: AuthzService, requests: list[CheckRequest], checks: int) -> list[float]:
    """The resident size in MiB after each tenth of *checks*."""
    sizes = []
    async with grpc.aio.insecure_channel(service.listen) as channel:
        check = check_on(channel)

        async def worker(numbers: range) -> int:
            allowed = 0
            for number in numbers:
                response = await check(requests[number % len(requests)])
                allowed += response.status.code == 0
                await service.next_check()  # the log is read as it is written
            return allowed

        tenth = checks // 10
        for _round in range(10):
            started = time.perf_counter()
            allowed = sum(
                await asyncio.gather(
                    *(worker(range(n, tenth, _IN_FLIGHT)) for n in range(_IN_FLIGHT))
                )
            )
            rate = tenth / (time.perf_counter() - started)
            sizes.append(service.resident_mib)
            print(
                f"{tenth} Checks, {allowed} allowed, {rate:.0f}/s: {sizes[-1]:.2f} MiB", flush=True
            )
    return sizes


def _requests(issuer: DevelopmentIssuer) -> list[CheckRequest]:
    """A fixed number of different requests, of every kind in turn."""
    requests = []
    for number in range(_TOKENS):
        token = issuer.mint(tokens.claims(issuer, jti=str(number), sub=f"subject-{number}"))
        unknown = issuer.mint(tokens.claims(issuer), header={"kid": f"unknown-{number}"})
        requests += [
            request("GET", "/healthz"),
            request("GET", f"/products/{number}", token),
            request("POST", f"/products/{number}", token),
            request("GET", f"/products/{number}", unknown),
            request("GET", f"/products/{number}", json.dumps({"junk": number})),
            request("GET", f"/nobody/named/{number}", token),
        ]
    return requests


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checks", type=int, default=100_000)
    parser.add_argument(
        "--quick", action="store_const", dest="checks", const=10_000, help="10,000 Checks"
    )
    sys.exit(main(parser.parse_args().checks))
