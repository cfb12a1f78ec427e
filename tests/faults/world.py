"""Everything that runs while a fault is tried: issuers, upstream, service and Envoy, under load."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from authz_service.demo.envoy import Envoy, render, template
from authz_service.demo.upstream import Upstream
from tests.faults.judge import Judge
from tests.faults.load import Load
from tests.faults.phases import Timeline
from tests.faults.senders import Directly, ThroughEnvoy
from tests.faults.service import ORDINARY, PATIENCE, TOKEN_MARK, ServiceProcess, Start, free_port
from tests.faults.shop import Settings, policy
from tests.faults.traffic import issuer_key, mix
from tests.support.event_loops import eventually
from tests.support.hostile_issuer import JWKS, FakeIssuer, publishes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.faults.phases import Phase


class World:
    """The running parts, and the load that goes through them."""

    def __init__(self, directory: Path, ordinary: Start) -> None:
        """Start nothing yet; files are in *directory*, and *ordinary* is how the service starts."""
        self.directory = directory
        self.ordinary = ordinary
        self.logto = FakeIssuer()
        self.partner = FakeIssuer()
        self.upstream = Upstream()
        self.settings = Settings()
        self.listen = free_port()
        self.admin = free_port()
        self.policy_file = directory / "policy.yaml"
        self.service = self._service(ordinary)
        self.envoy = Envoy(directory / "envoy.yaml", log=directory / "envoy.log")
        self.through_envoy: ThroughEnvoy
        self.directly: Directly
        self.load: Load

    async def start(self, stack: contextlib.AsyncExitStack, *, seed: int) -> None:
        """Start everything, and have *stack* end it."""
        for part in (self.logto, self.partner, self.upstream):
            await part.start()
            stack.push_async_callback(part.stop)
        self.be_honest()
        self.policy_file.write_text(self.policy(self.settings), "utf-8")
        (self.directory / "envoy.yaml").write_text(self._envoy_configuration(), "utf-8")
        await self.service.start()
        stack.push_async_callback(self._end_service)
        await stack.enter_async_context(self.envoy)
        self.through_envoy = ThroughEnvoy(self.envoy.listener)
        stack.push_async_callback(self.through_envoy.close)
        self.directly = Directly(self.listen)
        stack.push_async_callback(self.directly.close)
        kinds = mix(self.logto.origin, self.partner.origin)
        self.load = Load(self.through_envoy, self.directly, kinds, Judge(Timeline()), seed)

    def be_honest(self) -> None:
        """Have both issuers publish their keys, and nothing else."""
        self.logto.describe_itself()
        self.logto.serve(publishes(issuer_key("logto")))
        self.partner.serve(publishes(issuer_key("partner")))

    def _envoy_configuration(self) -> str:
        return render(
            template(), listener=0, admin=0, authz=self.listen, upstream=self.upstream.port
        )

    # --- what is right, and when ------------------------------------------------------------------

    @property
    def judge(self) -> Judge:
        """Who judges at the moment."""
        return self.load.judge

    @property
    def timeline(self) -> Timeline:
        """What is right at the moment, and was before."""
        return self.judge.timeline

    @contextlib.asynccontextmanager
    async def turning(self, phase: Phase) -> AsyncIterator[None]:
        """Within, what was right and what *phase* says are both right; afterwards *phase* alone."""
        self.timeline.begin(self.timeline.now | phase)
        yield
        self.timeline.begin(phase)

    # --- the policy -------------------------------------------------------------------------------

    def policy(self, settings: Settings) -> str:
        """The policy for these two issuers with *settings*."""
        return policy(self.logto.origin, self.partner.origin, settings)

    def replace_policy(self, text: str) -> None:
        """Put another file in the place of the policy, in one step."""
        replacement = self.directory / "policy.new"
        replacement.write_text(text, "utf-8")
        replacement.rename(self.policy_file)

    async def use(self, settings: Settings) -> None:
        """Have a policy with other *settings*."""
        if settings == self.settings:
            return
        mark = len(self.service.events)
        self._write(settings)
        await self.service.event("policy_reloaded", since=mark)

    def _write(self, settings: Settings) -> None:
        self.settings = settings
        self.replace_policy(self.policy(settings))

    # --- the service ------------------------------------------------------------------------------

    def _service(self, start: Start) -> ServiceProcess:
        log = self.directory / "service.log"
        return ServiceProcess(start, self.policy_file, log, listen=self.listen, admin=self.admin)

    async def _end_service(self) -> None:
        """End the one that runs by now."""
        await self.service.kill()

    async def start_service(self, start: Start | None = None) -> None:
        """Start the service in the place of the one that has ended, and wait until it listens."""
        self.service = self._service(start or self.service.start_as)
        await self.service.start()
        await asyncio.wait_for(self.directly.connected(), PATIENCE)

    async def have(self, start: Start, settings: Settings) -> None:
        """Have the service run as *start* says, with *settings*, ready; not while there is load."""
        if self.service.start_as == start:
            await self.use(settings)
        else:
            await self.service.kill()
            self._write(settings)
            await self.start_service(start)
        await self.service.ready()

    # --- the issuer -------------------------------------------------------------------------------

    async def a_fetch(self) -> float:
        """Wait until keys have been fetched, and give a time (monotonic) that is before that."""
        begun, count = time.monotonic(), self.logto.count(JWKS)
        await eventually(lambda: self.logto.count(JWKS) > count + 1)  # the one before has ended
        return begun

    # --- what must never be told ------------------------------------------------------------------

    async def leaks(self) -> list[str]:
        """Where there is something of a token, or may be, among all that was logged or is told."""
        places = {log.name: log.read_bytes() for log in self.directory.glob("*.log")}
        unseen = []
        for path in ("/metrics", "/readyz"):
            status, places[path] = await self.service.read(path)
            unseen += [] if status else [f"{path}, which does not answer"]
        return [place for place, octets in places.items() if TOKEN_MARK in octets] + unseen


@contextlib.asynccontextmanager
async def running_world(
    directory: Path, *, ordinary: Start = ORDINARY, seed: int = 1
) -> AsyncIterator[World]:
    """Run everything, in good health and without load; *seed* makes the mixture of requests."""
    world = World(directory, ordinary)
    async with contextlib.AsyncExitStack() as stack:
        await world.start(stack, seed=seed)
        await world.service.ready()
        await world.directly.connected()
        yield world
