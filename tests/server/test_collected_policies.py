"""A directory of policies that k8s-sidecar fills from ConfigMaps of several teams."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from authz_service.demo.signing_keys import SigningKeys
from tests.edge.rig import reason
from tests.edge.shop import check_request
from tests.server.processes import environment, service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.edge.rig import Caller

ISSUERS: Final = """\
version: 1
issuers:
  - {name: logto, issuer: https://auth.example.com/oidc, jwks_file: ../jwks.json}
"""


def _team(name: str, *paths: str) -> str:
    routes = "".join(f"      - {{path: {path}, methods: {{GET: public}}}}\n" for path in paths)
    return f"""\
version: 1
resources:
  - name: {name}
    audience: https://{name}.api
    issuers: [logto]
    hosts: [{name}.example.com]
    routes:
{routes}"""


class Collector:
    """Does to its folder what k8s-sidecar does (write_data_to_file, remove_file)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def file(self, namespace: str) -> Path:
        """Its name with UNIQUE_FILENAMES, of the key `policy.yaml` of the ConfigMap `policy`."""
        return self.folder / f"namespace_{namespace}.configmap_policy.policy.yaml"

    def write(self, namespace: str, text: str) -> None:
        """Write a new or changed ConfigMap: into the file itself, which is empty at first."""
        with self.file(namespace).open("w") as file:
            file.write(text)

    def remove(self, namespace: str) -> None:
        """Take away what a ConfigMap had that is gone."""
        self.file(namespace).unlink()


def _collector(directory: Path) -> Collector:
    (directory / "jwks.json").write_text(json.dumps(SigningKeys("ES384").jwk_set()))
    collector = Collector(directory / "policy")
    collector.write("authz", ISSUERS)
    collector.write("shop", _team("shop", "/healthz"))
    return collector


async def _answer(caller: Caller, host: str, target: str = "/healthz") -> str:
    response = await caller.check(check_request(target, host=host))
    return reason(response) if response.status.code else "allow"


def test_config_maps_of_teams_come_change_and_go_without_a_restart(tmp_path: Path) -> None:
    async def exchange() -> None:
        collector = _collector(tmp_path)
        async with (
            service(tmp_path, "", path=collector.folder) as running,
            running.caller() as caller,
        ):
            assert await _answer(caller, "shop.example.com") == "allow"
            assert await _answer(caller, "billing.example.com") == "no_route"
            collector.write("billing", _team("billing", "/healthz"))
            await running.event("policy_reloaded", routes_added=1)
            assert await _answer(caller, "billing.example.com") == "allow"
            collector.write("shop", _team("shop", "/healthz", "/more"))
            await running.event("policy_reloaded", routes_added_names=["shop GET /more"])
            assert await _answer(caller, "shop.example.com", "/more") == "allow"
            collector.remove("billing")
            await running.event("policy_reloaded", routes_removed_names=["billing GET /healthz"])
            assert await _answer(caller, "billing.example.com") == "no_route"
            assert await _answer(caller, "shop.example.com") == "allow"

    asyncio.run(exchange())


def test_one_teams_mistake_keeps_what_all_have_until_it_is_mended(tmp_path: Path) -> None:
    async def exchange() -> None:
        collector = _collector(tmp_path)
        async with (
            service(tmp_path, "", path=collector.folder) as running,
            running.caller() as caller,
        ):
            # The moment between the opening of the file and its content, for as long as it takes.
            collector.write("billing", "")
            failed = await running.event("policy_not_reloaded", count=1)
            problem = f"{collector.file('billing')}:1:1: the file is empty: start with version: 1"
            assert failed["problems"] == [problem]
            # Another team's good change waits for it.
            collector.write("shop", _team("shop", "/healthz", "/more"))
            assert await running.event("policy_not_reloaded", problems=[problem])
            assert await _answer(caller, "shop.example.com", "/more") == "no_route"
            assert await _answer(caller, "shop.example.com") == "allow"
            collector.write("billing", _team("billing", "/healthz"))
            await running.event("policy_reloaded", routes_added=2)
            assert await _answer(caller, "shop.example.com", "/more") == "allow"
            assert await _answer(caller, "billing.example.com") == "allow"

    asyncio.run(exchange())


def test_a_second_team_that_claims_a_host_and_path_is_told_of_the_first(tmp_path: Path) -> None:
    async def exchange() -> None:
        collector = _collector(tmp_path)
        claim = _team("shop", "/healthz").replace("name: shop", "name: billing")
        async with (
            service(tmp_path, "", path=collector.folder) as running,
            running.caller() as caller,
        ):
            collector.write("billing", claim)
            failed = await running.event("policy_not_reloaded", count=1)
            problems = str(failed["problems"])
            files = [str(collector.file(namespace)) for namespace in ("billing", "shop")]
            assert all(file in problems for file in files)
            assert await _answer(caller, "shop.example.com") == "allow"

    asyncio.run(exchange())


def _refused_with(folder: Path) -> str:
    """Start with *folder*, and return what is told of it."""
    done = subprocess.run(
        [sys.executable, "-m", "authz_service", "serve", "--policy", str(folder)],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    return done.stderr


def test_a_start_refuses_what_a_running_service_only_does_not_take(tmp_path: Path) -> None:
    collector = _collector(tmp_path)
    collector.write("billing", "")
    (told,) = _refused_with(collector.folder).splitlines()
    assert told == f"{collector.file('billing')}:1:1: the file is empty: start with version: 1"


def test_a_start_before_anything_was_collected_is_refused(tmp_path: Path) -> None:
    told = _refused_with(Collector(tmp_path / "policy").folder)
    assert "no *.yaml, *.yml or *.json in here" in told
