"""The policies that Checks are measured with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz_service.core.policy import Public, TokenRequirement
from authz_service.core.request import Host, RequestPath
from authz_service.policy import load_policy
from bench.minting import Issuer
from bench.policies import host_name, path, policy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("routes", "hosts", "issuers"), [(10, 1, 1), (30, 1, 1), (10, 3, 1), (10, 1, 4)]
)
def test_a_policy_has_as_many_of_each_as_wished(
    tmp_path: Path, routes: int, hosts: int, issuers: int
) -> None:
    trusted = [Issuer(f"issuer-{n}", "https://auth.example.com", "ES256") for n in range(issuers)]
    file = tmp_path / "policy.yaml"
    file.write_text(policy(trusted, routes=routes, hosts=hosts))
    loaded = load_policy([file], environment={})
    assert sum(1 for index in loaded.hosts.values.values() for _route in index) == routes * hosts
    found = set()
    for host in (Host(host_name(number)) for number in range(hosts)):
        public = loaded.match(host, RequestPath.parse("/healthz")).route
        assert isinstance(public.requirement_for("GET"), Public)
        for number in range(2 * routes):
            match = loaded.match(host, RequestPath.parse(path(number, routes=routes)))
            requirement = match.route.requirement_for("GET")
            assert isinstance(requirement, TokenRequirement)
            assert len(requirement.issuers) == issuers
            found.add((str(host), match.route.pattern.text))
    assert len(found) == (routes - 1) * hosts
