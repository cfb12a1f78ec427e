"""The files for Istio fit together, judge every request, and let none pass unanswered."""

from __future__ import annotations

import asyncio
import itertools
import re
import shutil
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from authz_service.demo import tokens
from authz_service.demo.world import API
from tests.deploy.generated import (
    by_istio,
    judges_every_request,
    merged,
    of_our_own,
    refuses_without_an_answer,
    world_with,
)
from tests.deploy.kustomized import K8S, Manifest, of_kind, put_together, the, written

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.generated import Generated

ISTIO: Final = K8S / "istio"
ENVOY: Final = yaml.safe_load((K8S.parents[1] / "envoy" / "envoy.yaml").read_text("utf-8"))
MESH: Final = yaml.safe_load((ISTIO / "mesh-config.yaml").read_text("utf-8"))["meshConfig"]
ASKED: Final = {
    each["name"]: each["envoyExtAuthzGrpc"]
    for each in MESH["extensionProviders"]
    if "envoyExtAuthzGrpc" in each
}
EVERYTHING: Final = written(ISTIO)
FILTERS: Final = of_kind(written(ISTIO / "envoy-filter"), "EnvoyFilter")
CERTIFICATE: Final = of_kind(written(ISTIO / "peer-certificate"), "EnvoyFilter")
CUSTOM: Final = [
    each
    for each in of_kind(EVERYTHING, "AuthorizationPolicy")
    if each["spec"]["action"] == "CUSTOM"
]
PLACES: Final = sorted(
    file.parent.relative_to(ISTIO).as_posix()
    for file in (ISTIO / "policies").rglob("kustomization.yaml")
)


def _manager(config: dict[str, Any]) -> dict[str, Any]:
    [listener] = config["static_resources"]["listeners"]
    manager: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


def test_there_is_a_policy_for_each_place() -> None:
    assert len(CUSTOM) == len(PLACES) == 7


def test_a_policy_names_a_provider_of_the_mesh_configuration() -> None:
    assert {each["spec"]["provider"]["name"] for each in CUSTOM} <= ASKED.keys()
    [patch] = yaml.safe_load((ISTIO / "sidecar/example/kustomization.yaml").read_text())["patches"]
    assert yaml.safe_load(patch["patch"])[0]["value"] in ASKED


def test_no_name_of_a_provider_begins_with_another() -> None:
    # Istio tells the policies of several providers by the beginning of their names.
    for one, other in itertools.permutations(ASKED, 2):
        assert not one.startswith(other)


def test_a_provider_refuses_where_there_is_no_answer_and_waits_for_none_for_long() -> None:
    for settings in ASKED.values():
        assert settings.keys() == {"service", "port", "timeout", "failOpen", "statusOnError"}
        assert settings["failOpen"] is False
        assert settings["timeout"] == "2s"
        assert settings["statusOnError"] == "503"
    assert "failure_mode_allow" not in yaml.safe_dump(FILTERS)


def test_the_central_provider_is_the_central_service() -> None:
    settings = ASKED["authz-service-central"]
    service = the(written(K8S / "central/base/services.yaml"), "Service", "authz-service")
    metadata = service["metadata"]
    host = f"{metadata['name']}.{metadata['namespace']}.svc.cluster.local"
    assert settings["service"] == f"{metadata['namespace']}/{host}"
    assert settings["port"] in {port["port"] for port in service["spec"]["ports"]}
    rule = the(EVERYTHING, "DestinationRule", "authz-service")
    assert rule["spec"]["host"] == host


def test_the_provider_beside_each_workload_is_the_sidecar_on_loopback() -> None:
    settings = ASKED["authz-service-sidecar"]
    entry = the(EVERYTHING, "ServiceEntry", "authz-service-sidecar")
    [host] = entry["spec"]["hosts"]
    assert settings["service"] == f"{entry['metadata']['namespace']}/{host}"
    [port] = entry["spec"]["ports"]
    assert (settings["port"], port["protocol"]) == (port["number"], "GRPC")
    [endpoint] = entry["spec"]["endpoints"]
    assert f"--listen={endpoint['address']}:{port['number']}" in _sidecar()["args"]
    assert the(EVERYTHING, "DestinationRule", "authz-service-sidecar")["spec"]["host"] == host


def _sidecar(directory: str = "istio/sidecar/component/sidecar.yaml") -> dict[str, Any]:
    [patch] = [each for each in yaml.safe_load_all((K8S / directory).read_text()) if each]
    containers = patch["spec"]["template"]["spec"]["initContainers"]
    [found] = [each for each in containers if each["name"] == "authz-service"]
    assert isinstance(found, dict)
    return found


def test_the_sidecar_is_that_of_a_pod_without_a_mesh_but_for_where_it_listens() -> None:
    def without_transport(container: dict[str, Any]) -> dict[str, Any]:
        listens = re.compile(r"--(listen|socket-mode)=")
        mounts = [each for each in container["volumeMounts"] if each["mountPath"] != "/run/authz"]
        args = [each for each in container["args"] if not listens.match(each)]
        return container | {"args": args, "volumeMounts": mounts, "lifecycle": None}

    alone = _sidecar("sidecar/component/sidecars.yaml")
    # Its probes go by way of istio-proxy, which may start only when it has started.
    del alone["startupProbe"]
    assert without_transport(_sidecar()) == without_transport(alone)


@pytest.mark.parametrize("name", ["policy.yaml", "policy_test.yaml"])
def test_the_sample_policy_is_that_of_a_pod_without_a_mesh(name: str) -> None:
    here, there = ISTIO / "sidecar/example/policy", K8S / "sidecar/policy"
    assert (here / name).read_text("utf-8") == (there / name).read_text("utf-8")


def test_a_policy_judges_everything() -> None:
    # What no rule matches reaches the API unjudged.
    for each in CUSTOM:
        assert each["spec"]["rules"] == [{}]


def test_a_policy_is_for_what_there_is() -> None:
    gateways = {
        (each["metadata"]["namespace"], each["metadata"]["name"], each["spec"]["gatewayClassName"])
        for each in of_kind(written(ISTIO / "example"), "Gateway")
    }
    for each in CUSTOM:
        for target in each["spec"].get("targetRefs", ()):
            if target["kind"] == "Gateway":
                named = (each["metadata"]["namespace"], target["name"])
                assert named in {gateway[:2] for gateway in gateways}
            else:
                assert target["kind"] == "GatewayClass"
                assert target["name"] in {gateway[2] for gateway in gateways}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_added_to_a_policy_holds_where_the_policy_holds(place: str, tmp_path: Path) -> None:
    copy = tmp_path / "istio"
    shutil.copytree(ISTIO, copy)
    file = copy / place / "kustomization.yaml"
    told = file.read_text("utf-8")
    [to_here] = re.findall(r"^  - (\S+)/envoy-filter$", told, re.MULTILINE)
    own = f"  - {to_here}/envoy-filter\n"
    file.write_text(told.replace(own, f"{own}  - {to_here}/peer-certificate\n"), "utf-8")
    filters = {
        each["metadata"]["name"]: each
        for each in of_kind(put_together(copy / place), "EnvoyFilter")
    }
    [added] = [name for name in filters if "peer-certificate" in name]
    assert _scope(filters[added]) == _scope(filters[added.replace("peer-certificate", "check")])


@pytest.mark.parametrize("place", PLACES)
def test_the_filters_hold_exactly_where_the_policy_holds(place: str) -> None:
    applied = put_together(ISTIO / place)
    policies = [each for each in applied if each.get("spec", {}).get("action") == "CUSTOM"]
    filters = of_kind(applied, "EnvoyFilter")
    assert len(filters) == len(FILTERS) * len(policies)
    assert {_scope(each) for each in filters} == {_scope(each) for each in policies}


def _scope(manifest: Manifest) -> str:
    spec = manifest["spec"]
    labels = (spec.get("selector") or {}).get("matchLabels")
    labels = labels or (spec.get("workloadSelector") or {}).get("labels")
    return repr((manifest["metadata"]["namespace"], labels, spec.get("targetRefs")))


def test_who_may_reach_the_api_may_also_ask() -> None:
    [callers] = of_kind(written(ISTIO / "central/common/callers.yaml"), "AuthorizationPolicy")
    asking = set(callers["spec"]["rules"][0]["from"][0]["source"]["serviceAccounts"])
    for each in of_kind(EVERYTHING, "AuthorizationPolicy"):
        if each["metadata"]["name"].startswith("only-from-"):
            [rule] = each["spec"]["rules"]
            assert each["spec"]["action"] == "ALLOW"
            assert rule.keys() == {"from"}
            assert set(rule["from"][0]["source"]["serviceAccounts"]) < asking


def test_the_mesh_lets_nobody_ask_but_over_mutual_tls() -> None:
    authentication = the(EVERYTHING, "PeerAuthentication", "authz-service")["spec"]
    assert authentication["mtls"] == {"mode": "STRICT"}
    assert authentication["portLevelMtls"].keys() == {"9192"}
    for directory in ("sidecars", "ambient"):
        deployment = the(put_together(ISTIO / "central" / directory), "Deployment", "authz-service")
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        assert "--insecure-listen" in container["args"]


def test_no_check_is_checked() -> None:
    [exception] = of_kind(written(ISTIO / "central/sidecars"), "EnvoyFilter")
    [patch] = exception["spec"]["configPatches"]
    assert patch["patch"] == {"operation": "REMOVE"}
    [check] = [each for each in FILTERS if each["metadata"]["name"] == "authz-service-check"]
    [merge] = check["spec"]["configPatches"]
    assert patch["match"]["listener"] == merge["match"]["listener"]
    pods = the(written(K8S / "central/base"), "Deployment", "authz-service")["spec"]["selector"]
    assert exception["spec"]["workloadSelector"]["labels"] == pods["matchLabels"]


def test_the_headers_that_requests_lose_are_those_of_envoys_own_file() -> None:
    wanted = _manager(ENVOY)["route_config"]["request_headers_to_remove"]
    for context in ("SIDECAR_INBOUND", "GATEWAY"):
        assert _generated(context=context).route_config["request_headers_to_remove"] == wanted


def test_the_access_log_says_what_that_of_envoys_own_file_says() -> None:
    [log] = [each for each in MESH["extensionProviders"] if "envoyFileAccessLog" in each]
    [own] = _manager(ENVOY)["access_log"]
    labels = log["envoyFileAccessLog"]["logFormat"]["labels"]
    ours = own["typed_config"]["log_format"]["json_format"]
    assert labels.items() <= ours.items()
    assert {"decision", "reason", "mode", "route"} < labels.keys()
    [telemetry] = of_kind(EVERYTHING, "Telemetry")
    [named] = telemetry["spec"]["accessLogging"][0]["providers"]
    assert named["name"] == log["name"]


def _provider(name: str = "authz-service-central") -> dict[str, Any]:
    [found] = [each for each in MESH["extensionProviders"] if each["name"] == name]
    assert isinstance(found, dict)
    return found


def _generated(name: str = "authz-service-central", context: str = "SIDECAR_INBOUND") -> Generated:
    return by_istio(_provider(name), FILTERS, context)


def test_no_filter_says_what_istio_does_not_hear() -> None:
    # To protobuf, `false` is the same as nothing said: it takes no `true` away.
    for each in (*FILTERS, *CERTIFICATE):
        assert ": false" not in yaml.safe_dump(each)
    assert merged({"normalize_path": True}, {"normalize_path": False}) == {"normalize_path": True}


def test_the_filter_says_what_that_of_envoys_own_file_says() -> None:
    assert _generated().protection == of_our_own(_manager(ENVOY)).protection


@pytest.mark.parametrize(
    ("provider", "context"),
    [("authz-service-sidecar", "SIDECAR_INBOUND"), ("authz-service-central", "GATEWAY")],
)
def test_envoy_judges_every_request_as_istio_configures_it(provider: str, context: str) -> None:
    async def story() -> None:
        async with world_with(_generated(provider, context)) as world:
            token = await tokens.granted(world.issuer, resource=API, scope="read:products")
            bearer = (("authorization", f"Bearer {token}"),)
            await judges_every_request(world, bearer)
            await refuses_without_an_answer(world, bearer)

    asyncio.run(story())


def test_a_check_with_the_certificate_of_the_client_is_otherwise_as_without() -> None:
    extra = by_istio(_provider(), [*FILTERS, *CERTIFICATE], "SIDECAR_INBOUND").check
    assert extra == _generated().check | {"include_peer_certificate": True}


def test_envoy_judges_every_request_with_the_certificate_of_the_client_in_the_check() -> None:
    async def story() -> None:
        generated = by_istio(_provider(), [*FILTERS, *CERTIFICATE], "SIDECAR_INBOUND")
        async with world_with(generated) as world:
            token = await tokens.granted(world.issuer, resource=API, scope="read:products")
            await judges_every_request(world, (("authorization", f"Bearer {token}"),))

    asyncio.run(story())


def test_an_ambiguous_path_is_refused_where_istio_leaves_paths_as_they_were_sent() -> None:
    mesh = yaml.safe_load((ISTIO / "paths-as-sent.yaml").read_text("utf-8"))["meshConfig"]
    assert mesh.keys() == {"pathNormalization"}
    normalization = mesh["pathNormalization"]["normalization"]

    async def story() -> None:
        generated = by_istio(_provider(), FILTERS, "SIDECAR_INBOUND", normalization)
        async with world_with(generated) as world:
            token = await tokens.granted(world.issuer, resource=API, scope="read:products")
            bearer = (("authorization", f"Bearer {token}"),)
            for path, status in (
                ("/products", 200),
                ("/admin/%2e%2e/products", 400),  # with Istio's default, a request for /products
                ("/products/%2e%2e/admin", 400),
                ("/products/..%2fadmin", 400),
                ("//products", 400),
            ):
                answer = await world.send("GET", path, bearer)
                assert (path, answer.status) == (path, status)

    asyncio.run(story())
