"""The policy of a running service changes on disk: real files, real signals, real Checks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING, Final

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from authz_service.demo.signing_keys import SigningKeys
from tests.edge.rig import PATIENCE, reason, removed
from tests.edge.shop import check_request
from tests.server.processes import PUBLIC_ONLY, Service, bound_socket, issuer, policy_of, service
from tests.support.event_loops import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.edge.rig import Caller

ISSUER: Final = "https://auth.example.com/oidc"
PARTNER: Final = "https://partner.example.com"
SERVING: Final = health_pb2.HealthCheckResponse.SERVING

WITH_MORE: Final = f"{PUBLIC_ONLY}      - {{path: /more, methods: {{GET: public}}}}\n"
BAD: Final = PUBLIC_ONLY.replace("routes", "rotues")
ADDED: Final = {"routes_added_names": ["shopping GET /more"]}


def _token(keys: SigningKeys, iss: str = ISSUER) -> str:
    now = int(time.time())
    claims = {"iss": iss, "aud": "https://shopping.api", "sub": "user-1", "client_id": "app-1"}
    return keys.sign({**claims, "jti": "token-1", "iat": now, "exp": now + 600})


async def _answer(caller: Caller, target: str, token: str | None = None) -> str:
    """Give the reason of a refusal, or `allow`."""
    response = await caller.check(check_request(target, token=token))
    return reason(response) if response.status.code else "allow"


async def _samples(running: Service) -> dict[str, float]:
    """What was counted of reloads, by result, and how the last one ended."""
    _status, body = await running.get("/metrics")
    return {
        sample.labels.get("result", "last"): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if sample.name in {"authz_policy_reloads_total", "authz_policy_last_reload_successful"}
    }


async def _ready(running: Service) -> tuple[int, dict[str, object]]:
    """Ask whether it is ready, and what is missing; of the issuers, other tests tell."""
    status, body = await running.get("/readyz")
    return status, {name: told for name, told in json.loads(body).items() if name != "issuers"}


def _in_place(file: Path, text: str) -> None:
    file.write_text(text)


def _renamed_over(file: Path, text: str) -> None:
    new = file.with_name("policy.yaml~")
    new.write_text(text)
    new.replace(file)


def _removed_first(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text)


def _with_its_directory(file: Path, text: str) -> None:
    shutil.rmtree(file.parent)
    file.parent.mkdir()
    file.write_text(text)


def _with_another_directory(file: Path, text: str) -> None:
    new = file.parent.with_name("new")
    new.mkdir()
    (new / file.name).write_text(text)
    file.parent.rename(file.parent.with_name(f"old-{time.monotonic_ns()}"))
    new.rename(file.parent)


REPLACEMENTS: Final = (
    _in_place,
    _renamed_over,
    _removed_first,
    _with_its_directory,
    _with_another_directory,
)


@contextlib.contextmanager
def _told(step: str) -> Iterator[None]:
    """Say at which *step* it failed."""
    try:
        yield
    except BaseException as error:
        error.add_note(step)
        raise


@pytest.mark.parametrize("named", ["file", "directory"])
def test_however_a_file_is_replaced_the_new_policy_decides(tmp_path: Path, named: str) -> None:
    async def exchange() -> None:
        file = tmp_path / "policies" / "policy.yaml"
        file.parent.mkdir()
        file.write_text(PUBLIC_ONLY)
        path = file if named == "file" else file.parent
        async with service(tmp_path, "", path=path) as running, running.caller() as caller:
            assert await _answer(caller, "/more") == "no_route"
            for replace in REPLACEMENTS:
                with _told(replace.__name__):
                    replace(file, WITH_MORE)
                    await running.event("policy_reloaded", **ADDED)
                    assert await _answer(caller, "/more") == "allow"
                    replace(file, PUBLIC_ONLY)
                    await running.event("policy_reloaded", routes_removed=1)
                    assert await _answer(caller, "/more") == "no_route"
            assert running.process.returncode is None

    asyncio.run(exchange())


def _publish_as_kubelet(volume: Path, version: int, text: str) -> None:
    """Do what kubelet does to update the volume of a ConfigMap (its AtomicWriter)."""
    data, data_tmp, directory = volume / "..data", volume / "..data_tmp", f"..2026_{version}"
    before = data.resolve() if data.exists() else None
    (volume / directory).mkdir()
    (volume / directory / "policy.yaml").write_text(text)
    data_tmp.symlink_to(directory)
    data_tmp.rename(data)
    if not (volume / "policy.yaml").is_symlink():
        (volume / "policy.yaml").symlink_to("..data/policy.yaml")
    if before is not None:
        shutil.rmtree(before)


@pytest.mark.parametrize("named", ["policy.yaml", "."])
def test_a_config_map_is_followed_through_its_links(tmp_path: Path, named: str) -> None:
    async def exchange() -> None:
        volume = tmp_path / "volume"
        volume.mkdir()
        _publish_as_kubelet(volume, 0, PUBLIC_ONLY)
        async with (
            service(tmp_path, "", path=volume / named) as running,
            running.caller() as caller,
        ):
            for version in (1, 3):
                _publish_as_kubelet(volume, version, WITH_MORE)
                await running.event("policy_reloaded", **ADDED)
                assert await _answer(caller, "/more") == "allow"
                _publish_as_kubelet(volume, version + 1, PUBLIC_ONLY)
                await running.event("policy_reloaded", routes_removed=1)
                assert await _answer(caller, "/more") == "no_route"
            assert await _samples(running) == {"changed": 4, "unchanged": 0, "failed": 0, "last": 1}

    asyncio.run(exchange())


def test_sighup_reloads_and_says_so_where_nothing_has_changed(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with service(tmp_path, PUBLIC_ONLY) as running, running.caller() as caller:
            running.signal(signal.SIGHUP)
            await running.event("policy_unchanged", level="info")
            (tmp_path / "policy.yaml").write_text(WITH_MORE)
            running.signal(signal.SIGHUP)
            await running.event("policy_reloaded", **ADDED)
            assert await _answer(caller, "/more") == "allow"

    asyncio.run(exchange())


def test_a_storm_of_sighup_ends_neither_the_service_nor_its_stop(tmp_path: Path) -> None:
    async def storm(running: Service) -> None:
        # The process object would look whether it has ended, and take its status away.
        with contextlib.suppress(ProcessLookupError):
            while running.process.returncode is None:
                os.kill(running.process.pid, signal.SIGHUP)
                await asyncio.sleep(0.0005)

    async def exchange() -> None:
        async with service(tmp_path, PUBLIC_ONLY) as running, running.caller() as caller:
            hangups = asyncio.create_task(storm(running))
            await running.event("policy_unchanged")
            assert await _answer(caller, "/healthz") == "allow"
            running.signal(signal.SIGTERM)
            rest = asyncio.create_task(running.rest_of_the_log())
            assert await running.exit_status() == 0
            await hangups
            assert (await rest)[-1]["event"] == "stopped"
        assert running.errors.read_text() == ""

    asyncio.run(exchange())


def test_nothing_is_reloaded_once_the_service_stops(tmp_path: Path) -> None:
    async def exchange() -> None:
        old, new = SigningKeys("ES384"), SigningKeys("ES384")
        async with issuer(old) as held:
            logto = f"name: logto, issuer: {ISSUER}, jwks_uri: {held.jwks_uri}"
            policy = policy_of(f"{logto}, refresh: {{cooldown: 1ms}}")
            async with service(tmp_path, policy) as running, running.caller() as caller:
                await running.event("readiness", ready=True)
                held.gate.clear()
                asked = asyncio.create_task(held.was_asked())
                check = asyncio.create_task(_answer(caller, "/products", _token(new)))
                await asked
                running.signal(signal.SIGTERM)
                await running.event("stopping")
                (tmp_path / "policy.yaml").write_text(PUBLIC_ONLY)
                running.signal(signal.SIGHUP)
                held.published = (old, new)
                held.gate.set()
                assert await check == "allow"
                assert await running.exit_status() == 0
                events = {str(event["event"]) for event in await running.rest_of_the_log()}
        assert {event for event in events if event.startswith("policy")} == set()

    asyncio.run(exchange())


def test_a_reload_that_waits_for_keys_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async def exchange() -> None:
        keys = SigningKeys("ES384")
        async with issuer(keys) as held:
            held.gate.clear()
            async with service(tmp_path, PUBLIC_ONLY) as running:
                asked = asyncio.create_task(held.was_asked())
                (tmp_path / "policy.yaml").write_text(policy_of(_logto(held.jwks_uri)))
                await asked
                running.signal(signal.SIGTERM)
                assert await running.exit_status() == 0
                events = [event["event"] for event in await running.rest_of_the_log()]
        assert events[-2:] == ["stopping", "stopped"]
        assert "policy_reloaded" not in events
        assert running.errors.read_text() == ""

    asyncio.run(exchange())


def test_a_bad_file_changes_nothing_is_told_everywhere_and_forgotten_with_a_good_one(
    tmp_path: Path,
) -> None:
    file = tmp_path / "policy.yaml"

    async def exchange() -> None:
        async with service(tmp_path, PUBLIC_ONLY) as running, running.caller() as caller:
            file.write_text(BAD)
            failed = await running.event("policy_not_reloaded", level="error")
            problem = f'{file}:5:5: unknown field "rotues": did you mean "routes"?'
            assert failed["problems"] == [problem]
            assert failed["count"] == 1
            await running.event("readiness", ready=True)
            warning = f"the policy on disk was not taken: 1 problem, first: {problem}"
            told = {"ready": True, "missing": [], "warnings": [warning]}
            assert await _ready(running) == (200, told)
            stub = health_pb2_grpc.HealthStub(caller.channel)
            health = await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
            assert health.status == SERVING
            assert await _answer(caller, "/healthz") == "allow"
            assert await _samples(running) == {"changed": 0, "unchanged": 0, "failed": 1, "last": 0}

            file.unlink()
            failed = await running.event("policy_not_reloaded")
            assert failed["problems"] == [f"{file}: cannot be read: No such file or directory"]
            assert await _answer(caller, "/healthz") == "allow"

            file.write_text(PUBLIC_ONLY)
            await running.event("policy_unchanged", level="info")
            await running.event("readiness", warnings=[])
            assert await _ready(running) == (200, {"ready": True, "missing": [], "warnings": []})
            assert await _samples(running) == {"changed": 0, "unchanged": 1, "failed": 2, "last": 1}

            file.write_text(WITH_MORE)
            await running.event("policy_reloaded", **ADDED)

    asyncio.run(exchange())


def test_a_policy_without_routes_is_taken_and_warned_of(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with service(tmp_path, PUBLIC_ONLY) as running, running.caller() as caller:
            (tmp_path / "policy.yaml").write_text("version: 1\n")
            await running.event("policy_without_routes", level="warning")
            assert await _answer(caller, "/healthz") == "no_route"

    asyncio.run(exchange())


def _world(name: str, jwks_file: str) -> str:
    return f"""\
version: 1
issuers:
  - {{name: logto, issuer: {ISSUER}, jwks_file: {jwks_file}}}
resources:
  - name: {name}
    audience: https://shopping.api
    routes:
      - {{path: /public, methods: {{GET: public}}}}
      - {{path: /products, methods: {{GET: []}}}}
forward:
  headers: {{x-{name}: sub}}
  strip: []
"""


class _Steady:
    """Checks one after the other, of which each must be answered from one of the two worlds.

    The token is good in world `a` alone: its keys are not those of world `b`.
    """

    def __init__(self, caller: Caller, token: str) -> None:
        self._caller = caller
        self._token = token
        self.world = ""
        self.answers = 0

    async def run(self) -> None:
        while True:
            response = await self._caller.check(check_request(token=self._token))
            self.world = response.dynamic_metadata.fields["resource"].string_value
            assert (reason(response) or "allow") == {"a": "allow", "b": "unknown_key"}[self.world]
            response = await self._caller.check(check_request("/public", token=self._token))
            name = response.dynamic_metadata.fields["resource"].string_value
            assert {f"x-{name}"} <= removed(response) <= {f"x-{name}", f"x_{name}"}
            self.answers += 2


async def _read_the_log(running: Service) -> None:
    """Keep the log from filling up."""
    while True:
        await running.event("check")


def test_in_a_storm_of_good_and_bad_files_every_answer_is_of_onepolicy_of(tmp_path: Path) -> None:
    in_a, in_b = SigningKeys("ES384"), SigningKeys("ES384")
    (tmp_path / "a.json").write_text(json.dumps(in_a.jwk_set()))
    (tmp_path / "b.json").write_text(json.dumps(in_b.jwk_set()))
    worlds = {"a": _world("a", "a.json"), "b": _world("b", "b.json")}
    texts = (worlds["b"], BAD, worlds["a"])
    replacements = (_in_place, _renamed_over, _removed_first)
    file = tmp_path / "policy.yaml"

    async def exchange() -> None:
        async with service(tmp_path, worlds["a"]) as running, running.caller() as caller:
            steady = _Steady(caller, _token(in_a))
            checks = asyncio.create_task(steady.run())
            log = asyncio.create_task(_read_the_log(running))
            for number in range(300):
                replacements[number % 3](file, texts[number % 7 % 3])
                await asyncio.sleep(0.005)
            for world in "ba":
                file.write_text(worlds[world])
                await eventually(lambda: checks.done() or steady.world == world)  # noqa: B023
            checks.cancel()
            log.cancel()
            for task in (checks, log):
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            assert steady.answers > 100
            counted = await _samples(running)
            assert counted.pop("last") == 1
            assert counted["changed"] >= 2
            assert sum(counted.values()) < 150  # of 302 writes

    asyncio.run(exchange())


def _logto(jwks_uri: str) -> str:
    return f"name: logto, issuer: {ISSUER}, jwks_uri: {jwks_uri}"


def _partner(jwks_uri: str) -> str:
    return f"name: partner, issuer: {PARTNER}, jwks_uri: {jwks_uri}"


def test_an_issuer_that_did_not_change_keeps_its_keys_and_a_new_one_brings_its_own(
    tmp_path: Path,
) -> None:
    file = tmp_path / "policy.yaml"

    async def exchange() -> None:
        ours, theirs = SigningKeys("ES384"), SigningKeys("ES384")
        async with issuer(ours) as logto, issuer(theirs) as partner:
            one = policy_of(_logto(logto.jwks_uri))
            both = policy_of(_logto(logto.jwks_uri), _partner(partner.jwks_uri))
            async with service(tmp_path, one) as running, running.caller() as caller:
                await running.event("readiness", ready=True)
                for round_ in (1, 2):
                    partner.gate.clear()
                    asked = asyncio.create_task(partner.was_asked())
                    file.write_text(both)
                    await asked  # the old policy decides until the keys are there
                    token = _token(theirs, PARTNER)
                    assert await _answer(caller, "/products", token) == "unknown_issuer"
                    assert await _answer(caller, "/products", _token(ours)) == "allow"
                    assert (await _ready(running))[0] == 200
                    partner.gate.set()
                    await running.event("policy_reloaded", issuers_added_names=["partner"])
                    assert await _answer(caller, "/products", token) == "allow"
                    assert partner.fetches == round_
                    file.write_text(one)
                    await running.event("policy_reloaded", issuers_removed_names=["partner"])
                    assert await _answer(caller, "/products", token) == "unknown_issuer"
                assert logto.fetches == 1
                assert await _answer(caller, "/products", _token(ours)) == "allow"

    asyncio.run(exchange())


def test_the_keys_of_an_issuer_that_moved_are_those_of_the_new_place(tmp_path: Path) -> None:
    async def exchange() -> None:
        old, new = SigningKeys("ES384"), SigningKeys("ES384")
        async with issuer(old) as before, issuer(new) as after:
            policy = policy_of(_logto(before.jwks_uri))
            async with service(tmp_path, policy) as running, running.caller() as caller:
                await running.event("readiness", ready=True)
                (tmp_path / "policy.yaml").write_text(policy_of(_logto(after.jwks_uri)))
                await running.event("policy_reloaded", issuers_changed_names=["logto"])
                assert await _answer(caller, "/products", _token(new)) == "allow"
                assert await _answer(caller, "/products", _token(old)) == "unknown_key"
                assert before.fetches == 1

    asyncio.run(exchange())


def test_a_new_issuer_that_is_down_holds_nothing_else_up(tmp_path: Path) -> None:
    async def exchange() -> None:
        keys, theirs = SigningKeys("ES384"), SigningKeys("ES384")
        with bound_socket() as nobody:
            nowhere = f"http://127.0.0.1:{nobody.getsockname()[1]}/jwks"
            async with issuer(keys) as logto:
                one = policy_of(_logto(logto.jwks_uri))
                more = "      - {path: /more, methods: {GET: public}}\n"
                both = policy_of(_logto(logto.jwks_uri), _partner(nowhere), more=more)
                async with service(tmp_path, one) as running, running.caller() as caller:
                    await running.event("readiness", ready=True)
                    (tmp_path / "policy.yaml").write_text(both)
                    await running.event("policy_reloaded", **ADDED)
                    await running.event("readiness", ready=False)
                    assert (await _ready(running))[1]["missing"] == ["keys of issuer partner"]
                    assert await _answer(caller, "/more") == "allow"
                    assert await _answer(caller, "/products", _token(keys)) == "allow"
                    token = _token(theirs, PARTNER)
                    assert await _answer(caller, "/products", token) == "keys_unavailable"
                    (tmp_path / "policy.yaml").write_text(one)
                    await running.event("readiness", ready=True)

    asyncio.run(exchange())


def test_a_key_file_is_watched_too_wherever_it_is(tmp_path: Path) -> None:
    async def exchange() -> None:
        old, new = SigningKeys("ES384"), SigningKeys("ES384")
        directory = tmp_path / "keys"
        directory.mkdir()
        (directory / "jwks.json").write_text(json.dumps(old.jwk_set()))
        named = policy_of(f"name: logto, issuer: {ISSUER}, jwks_file: keys/jwks.json")
        async with service(tmp_path, PUBLIC_ONLY) as running, running.caller() as caller:
            (tmp_path / "policy.yaml").write_text(named)
            await running.event("policy_reloaded", issuers_added_names=["logto"])
            assert await _answer(caller, "/products", _token(old)) == "allow"
            (directory / "jwks.json").write_text(json.dumps(new.jwk_set()))
            await running.event(
                "policy_reloaded", issuers_changed_names=["logto"], routes_changed=0
            )
            assert await _answer(caller, "/products", _token(new)) == "allow"
            assert await _answer(caller, "/products", _token(old)) == "unknown_key"
            (directory / "jwks.json").write_text("{}")
            failed = await running.event("policy_not_reloaded")
            assert "keys/jwks.json: the key set has no array of keys" in str(failed["problems"])
            assert await _answer(caller, "/products", _token(new)) == "allow"

    asyncio.run(exchange())
