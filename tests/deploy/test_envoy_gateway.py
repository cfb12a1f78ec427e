"""The files for Envoy Gateway fit together, judge every request, and let none pass unanswered."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest
import yaml

from authz_service.demo import tokens
from authz_service.demo.world import API
from tests.deploy.admission import admits
from tests.deploy.generated import (
    by_envoy_gateway,
    judges_every_request,
    of_our_own,
    refuses_without_an_answer,
    world_with,
)
from tests.deploy.kustomized import K8S, Manifest, of_kind, the, written

HERE: Final = K8S / "envoy-gateway"
EVERYTHING: Final = written(HERE)
POLICIES: Final = of_kind(EVERYTHING, "SecurityPolicy")
[TRAFFIC] = of_kind(EVERYTHING, "ClientTrafficPolicy")
[PATCH] = of_kind(EVERYTHING, "EnvoyPatchPolicy")
[PROXY] = of_kind(EVERYTHING, "EnvoyProxy")
[TLS] = of_kind(EVERYTHING, "BackendTLSPolicy")
[GATEWAY] = of_kind(EVERYTHING, "Gateway")
[OF_THE_GATEWAY] = [each for each in POLICIES if each["spec"]["targetRefs"][0]["kind"] == "Gateway"]
ENVOY: Final = yaml.safe_load((K8S.parents[1] / "envoy" / "envoy.yaml").read_text("utf-8"))
[LISTENER] = ENVOY["static_resources"]["listeners"]
MANAGER: Final = LISTENER["filter_chains"][0]["filters"][0]["typed_config"]


def _place(manifest: Manifest) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return manifest["kind"], metadata["namespace"], metadata["name"]


def test_no_answer_is_a_refusal_soon() -> None:
    assert len(POLICIES) == 2
    for each in POLICIES:
        settings = each["spec"]["extAuth"]
        assert settings.keys() == {"grpc", "timeout", "failOpen", "statusOnError"}
        assert (settings["failOpen"], settings["statusOnError"]) == (False, 503)
        assert settings["timeout"] == "2s"


def test_a_route_is_checked_as_a_gateway_is() -> None:
    one, other = POLICIES
    assert one["spec"]["extAuth"] == other["spec"]["extAuth"]


def test_a_policy_is_for_what_there_is() -> None:
    there = {_place(each) for each in EVERYTHING if "namespace" in each.get("metadata", {})}
    for each in (*POLICIES, TRAFFIC):
        [target] = each["spec"]["targetRefs"]
        assert (target["kind"], each["metadata"]["namespace"], target["name"]) in there
    target = PATCH["spec"]["targetRef"]
    assert (target["kind"], PATCH["metadata"]["namespace"], target["name"]) == _place(GATEWAY)
    attached = GATEWAY["spec"]["infrastructure"]["parametersRef"]
    assert (attached["kind"], GATEWAY["metadata"]["namespace"], attached["name"]) == _place(PROXY)


def test_each_policy_may_name_the_service_and_the_service_is_there() -> None:
    service = the(written(K8S / "central/base/services.yaml"), "Service", "authz-service")
    ports = {port["port"] for port in service["spec"]["ports"]}
    granted = {
        (grant["metadata"]["namespace"], origin["namespace"], target["name"])
        for grant in of_kind(EVERYTHING, "ReferenceGrant")
        for origin in grant["spec"]["from"]
        for target in grant["spec"]["to"]
    }
    for each in POLICIES:
        [reference] = each["spec"]["extAuth"]["grpc"]["backendRefs"]
        assert ("Service", reference["namespace"], reference["name"]) == _place(service)
        assert reference["port"] in ports
        home = each["metadata"]["namespace"]
        assert (reference["namespace"], home, reference["name"]) in granted


def test_the_gateway_checks_the_certificate_of_the_service() -> None:
    validation = TLS["spec"]["validation"]
    certificates = written(K8S / "central/mutual-tls/certificate.yaml")
    [certificate] = of_kind(certificates, "Certificate")
    assert certificate["metadata"]["namespace"] == TLS["metadata"]["namespace"]
    assert validation["hostname"] in certificate["spec"]["dnsNames"]
    [authority] = validation["caCertificateRefs"]
    assert (authority["kind"], authority["name"]) == ("Secret", certificate["spec"]["secretName"])
    [target] = TLS["spec"]["targetRefs"]
    service = the(written(K8S / "central/base/services.yaml"), "Service", "authz-service")
    assert (target["kind"], target["name"]) == ("Service", service["metadata"]["name"])
    assert target["sectionName"] in {port["name"] for port in service["spec"]["ports"]}


def test_the_service_knows_the_certificate_of_the_gateway() -> None:
    [certificate] = of_kind(written(K8S / "central/edge/certificate.yaml"), "Certificate")
    reference = PROXY["spec"]["backendTLS"]["clientCertificateRef"]
    assert reference["name"] == certificate["spec"]["secretName"]
    assert PROXY["metadata"]["namespace"] == certificate["metadata"]["namespace"]
    options = (K8S / "central/mutual-tls/tls.yaml").read_text("utf-8")
    [name] = certificate["spec"]["uris"]
    assert f"--tls-client-san={name}\n" in options


def test_the_patch_is_for_the_listener_of_the_gateway() -> None:
    [listener] = GATEWAY["spec"]["listeners"]
    _, namespace, name = _place(GATEWAY)
    for each in PATCH["spec"]["jsonPatches"]:
        assert each["name"] == f"{namespace}/{name}/{listener['name']}"


def test_the_headers_that_requests_lose_are_those_of_envoys_own_file() -> None:
    removed = TRAFFIC["spec"]["headers"]["earlyRequestHeaders"]["remove"]
    assert removed == MANAGER["route_config"]["request_headers_to_remove"]


def test_the_access_log_says_what_that_of_envoys_own_file_says() -> None:
    [settings] = PROXY["spec"]["telemetry"]["accessLog"]["settings"]
    [own] = MANAGER["access_log"]
    ours = own["typed_config"]["log_format"]["json_format"]
    assert settings["format"]["json"].items() <= ours.items()
    assert {"decision", "reason", "mode", "route"} < settings["format"]["json"].keys()


def test_the_filter_says_what_that_of_envoys_own_file_says() -> None:
    generated = by_envoy_gateway(OF_THE_GATEWAY, TRAFFIC, PATCH)
    assert generated.protection == of_our_own(MANAGER).protection


@pytest.mark.parametrize(
    ("namespace", "spec", "admitted"),
    [
        ("shop", {"cors": {}}, False),
        ("shop", {"cors": {}, "mergeType": "StrategicMerge"}, True),
        ("shop", {"extAuth": {"failOpen": True}, "mergeType": "StrategicMerge"}, False),
        ("shop", {"extAuth": {}}, False),
        ("edge", {"extAuth": {}}, True),
    ],
)
def test_no_route_takes_the_check_away(
    namespace: str, spec: dict[str, Any], *, admitted: bool
) -> None:
    [policy] = of_kind(EVERYTHING, "ValidatingAdmissionPolicy")
    assert admits(policy, object={"spec": spec}, request={"namespace": namespace}) is admitted


def test_envoy_judges_every_request_as_envoy_gateway_configures_it() -> None:
    async def story() -> None:
        generated = by_envoy_gateway(OF_THE_GATEWAY, TRAFFIC, PATCH)
        async with world_with(generated) as world:
            token = await tokens.granted(world.issuer, resource=API, scope="read:products")
            bearer = (("authorization", f"Bearer {token}"),)
            await judges_every_request(world, bearer)
            await refuses_without_an_answer(world, bearer)

    asyncio.run(story())
