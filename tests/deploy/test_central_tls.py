"""Mutual TLS between the central service and its callers: certificates, options, who gets what."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import grpc.aio
import pytest

from tests.deploy.admission import admits
from tests.deploy.central import (
    BASE,
    BASE_OBJECTS,
    CENTRAL,
    MUTUAL_TLS,
    POD,
    TEAM_POLICIES,
    TLS_OPTIONS,
    TLS_PATCH,
    value,
    values,
)
from tests.deploy.kustomized import namespace_of, of_kind, the, written
from tests.edge.rig import Caller, reason
from tests.edge.shop import check_request
from tests.server.processes import service
from tests.support.certificates import authority, dns, uri

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.certificates import Leaf

CERTIFICATES: Final = of_kind(written(MUTUAL_TLS, CENTRAL / "edge"), "Certificate")
SERVER: Final = the(CERTIFICATES, "Certificate", "authz-service")
FOR_CLIENTS: Final = ["digital signature", "client auth"]
CLIENTS: Final = [each for each in CERTIFICATES if "client auth" in each["spec"].get("usages", [])]


def _answers(port: int, client: Leaf, server_name: str) -> str:
    """What the service on *port* answers to *client*, which wants it to be *server_name*."""

    async def ask() -> str:
        credentials = grpc.ssl_channel_credentials(authority().pem, client.key, client.certificate)
        options = (
            ("grpc.ssl_target_name_override", server_name),
            ("grpc.use_local_subchannel_pool", 1),
        )
        target = f"127.0.0.1:{port}"
        async with grpc.aio.secure_channel(target, credentials, options=options) as channel:
            response = await Caller(channel).check(check_request("/healthz"))
            return reason(response) if response.status.code else "allow"

    return asyncio.run(ask())


def test_the_certificates_and_options_let_the_callers_in_and_nobody_else(tmp_path: Path) -> None:
    """One CA signs for all of them, as the ClusterIssuer does."""
    ca = authority()
    names = SERVER["spec"]["dnsNames"]
    ca.leaf(*(dns(name) for name in names)).write(tmp_path, ca.pem)
    options = [each.replace("/etc/authz/tls", str(tmp_path)) for each in TLS_OPTIONS]

    async def exchange() -> None:
        async with service(tmp_path, "", *options, path=BASE / "policy") as running:
            port = int(running.listen.rpartition(":")[2])
            for client in CLIENTS:
                leaf = ca.leaf(*(uri(name) for name in client["spec"]["uris"]))
                for name in names:
                    assert await asyncio.to_thread(_answers, port, leaf, name) == "allow"
            for other in (
                ca.leaf(*(dns(name) for name in names)),
                ca.leaf(uri("spiffe://cluster.local/ns/edge/sa/default")),
            ):
                answer = await asyncio.to_thread(_answers, port, other, names[0])
                assert answer == "untrusted_caller"

    asyncio.run(exchange())


def test_the_certificate_has_every_name_of_the_services() -> None:
    names = {
        f"{each['metadata']['name']}.{namespace_of(each)}.svc{domain}"
        for each in of_kind(BASE_OBJECTS, "Service")
        for domain in ("", ".cluster.local")
    }
    assert len(names) == 4
    assert set(SERVER["spec"]["dnsNames"]) == names


def test_the_callers_on_the_list_are_those_that_have_a_certificate() -> None:
    named = [name for each in CLIENTS for name in each["spec"]["uris"]]
    assert values(TLS_OPTIONS, "tls-client-san") == named != []
    for each in CLIENTS:
        (name,) = each["spec"]["uris"]
        assert name.startswith(f"spiffe://cluster.local/ns/{namespace_of(each)}/sa/")
        assert not each["spec"].keys() & {"dnsNames", "commonName", "ipAddresses"}


def test_a_certificate_is_for_one_side_short_lived_and_with_a_key_of_its_own() -> None:
    for each in (SERVER, *CLIENTS):
        spec = each["spec"]
        side = "server auth" if each is SERVER else "client auth"
        assert spec["usages"] == ["digital signature", side]
        assert spec["privateKey"] == {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"}
        duration, before = int(spec["duration"][:-1]), int(spec["renewBefore"][:-1])
        assert (duration, before * 3) == (168, 168)
        assert spec["issuerRef"]["name"] == "authz-service-ca"


def test_the_key_of_the_ca_is_where_only_cert_manager_looks_and_survives_a_renewal() -> None:
    (ca,) = [each for each in CERTIFICATES if each["spec"].get("isCA")]
    assert namespace_of(ca) == "cert-manager"
    assert ca["spec"]["privateKey"]["rotationPolicy"] == "Never"
    issuer = the(written(MUTUAL_TLS), "ClusterIssuer", "authz-service-ca")
    assert issuer["spec"] == {"ca": {"secretName": ca["spec"]["secretName"]}}


def test_the_secret_is_mounted_where_the_options_look_for_it() -> None:
    mount, volume = (each["value"] for each in TLS_PATCH if not each["path"].endswith("/args/-"))
    secret = volume["secret"]
    assert mount["name"] == volume["name"]
    assert "subPath" not in mount
    assert secret == {"secretName": SERVER["spec"]["secretName"], "defaultMode": 0o440}
    assert POD["securityContext"]["fsGroup"] == POD["securityContext"]["runAsGroup"] == 65532
    paths = [value(TLS_OPTIONS, name) for name in ("tls-cert", "tls-key", "tls-client-ca")]
    assert paths == [f"{mount['mountPath']}/{name}" for name in ("tls.crt", "tls.key", "ca.crt")]


@pytest.mark.parametrize(
    ("namespace", "issuer", "extra", "admitted"),
    [
        ("authz", "authz-service-ca", {"usages": ["server auth"]}, True),
        ("authz", "authz-service-ca", {"isCA": True}, False),
        ("edge", "authz-service-ca", {"usages": FOR_CLIENTS}, True),
        ("edge", "authz-service-ca", {"usages": ["client auth"], "isCA": False}, True),
        ("edge", "authz-service-ca", {"usages": FOR_CLIENTS, "isCA": True}, False),
        ("edge", "authz-service-ca", {"usages": [*FOR_CLIENTS, "server auth"]}, False),
        ("edge", "authz-service-ca", {"usages": [*FOR_CLIENTS, "any"]}, False),
        ("edge", "authz-service-ca", {"usages": ["digital signature"]}, False),
        ("edge", "authz-service-ca", {"usages": []}, False),
        ("edge", "authz-service-ca", {}, False),
        ("shop", "authz-service-ca", {"usages": FOR_CLIENTS}, False),
        ("shop", "another", {"isCA": True}, True),
    ],
)
def test_only_the_server_and_the_callers_get_certificates_of_the_ca(
    namespace: str, issuer: str, extra: dict[str, object], *, admitted: bool
) -> None:
    """And a caller none with which it could be the server."""
    policy = the(written(MUTUAL_TLS), "ValidatingAdmissionPolicy", "authz-service-ca")
    request = {"spec": {"issuerRef": {"name": issuer}, **extra}}
    assert admits(policy, object=request, request={"namespace": namespace}) is admitted


def test_each_namespace_with_a_certificate_is_one_that_may_have_it_and_may_call() -> None:
    policy = the(written(MUTUAL_TLS), "ValidatingAdmissionPolicy", "authz-service-ca")
    rule = the(BASE_OBJECTS, "NetworkPolicy", "authz-service")["spec"]["ingress"][0]
    label = rule["from"][0]["namespaceSelector"]["matchLabels"]
    for each in (SERVER, *CLIENTS):
        spec = {name: each["spec"][name] for name in ("issuerRef", "usages")}
        assert admits(policy, object={"spec": spec}, request={"namespace": namespace_of(each)})
    for each in CLIENTS:
        namespace = the(written(CENTRAL / "edge"), "Namespace", namespace_of(each))
        assert label.items() <= namespace["metadata"]["labels"].items()


def test_both_policies_are_bound_and_deny() -> None:
    for directory in (MUTUAL_TLS, TEAM_POLICIES):
        objects = written(directory)
        (policy,) = of_kind(objects, "ValidatingAdmissionPolicy")
        (binding,) = of_kind(objects, "ValidatingAdmissionPolicyBinding")
        assert binding["spec"]["policyName"] == policy["metadata"]["name"]
        assert binding["spec"]["validationActions"] == ["Deny"]
        assert policy["spec"]["failurePolicy"] == "Fail"
