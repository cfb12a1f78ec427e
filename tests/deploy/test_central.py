"""The service for a whole cluster: what its manifests promise each other, and what it needs."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import grpc.aio
import pytest
import yaml
from cel_expr_python import cel

from tests.deploy.kustomized import (
    DEPLOY,
    K8S,
    Manifest,
    namespace_of,
    of_kind,
    put_together,
    the,
    written,
)
from tests.edge.rig import Caller, reason
from tests.edge.shop import check_request
from tests.server.processes import environment, service
from tests.support.certificates import authority, dns, uri

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.support.certificates import Leaf

CENTRAL: Final = K8S / "central"
BASE: Final = CENTRAL / "base"
MUTUAL_TLS: Final = CENTRAL / "mutual-tls"
TEAMS: Final = CENTRAL / "teams"

BASE_OBJECTS: Final = written(BASE)
WORKLOAD: Final = the(BASE_OBJECTS, "Deployment", "authz-service")
POD: Final[dict[str, Any]] = WORKLOAD["spec"]["template"]["spec"]
CONTAINER: Final[dict[str, Any]] = POD["containers"][0]
TLS_PATCH: Final[list[dict[str, Any]]] = yaml.safe_load((MUTUAL_TLS / "tls.yaml").read_text())
CERTIFICATES: Final = of_kind(written(MUTUAL_TLS, CENTRAL / "edge"), "Certificate")
SERVER: Final = the(CERTIFICATES, "Certificate", "authz-service")
CLIENTS: Final = [each for each in CERTIFICATES if "client auth" in each["spec"].get("usages", [])]
VARIANTS: Final = [CENTRAL, CENTRAL / "with-teams", K8S / "node"]


def _tls_options() -> list[str]:
    return [each["value"] for each in TLS_PATCH if each["path"].endswith("/args/-")]


def _values(options: Iterable[str], name: str) -> list[str]:
    return [option.partition("=")[2] for option in options if option.startswith(f"--{name}=")]


def _value(options: Iterable[str], name: str) -> str:
    (value,) = _values(options, name)
    return value


# --- the transport --------------------------------------------------------------------------------


def test_the_base_alone_refuses_to_start(tmp_path: Path) -> None:
    """It would listen to the network, in clear text."""
    there = {
        "--policy=/etc/authz/policy": f"--policy={BASE / 'policy'}",
        "--key-cache=/var/cache/authz/keys": f"--key-cache={tmp_path / 'keys'}",
    }
    arguments = [there.get(each, each) for each in CONTAINER["args"]]
    assert arguments.count("--listen=0.0.0.0:9191") == 1
    done = subprocess.run(
        [sys.executable, "-m", "authz_service", *arguments],
        env=environment(), cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--insecure-listen" in done.stderr


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
    options = [each.replace("/etc/authz/tls", str(tmp_path)) for each in _tls_options()]

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
    assert _values(_tls_options(), "tls-client-san") == named != []
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
    paths = [_value(_tls_options(), name) for name in ("tls-cert", "tls-key", "tls-client-ca")]
    assert paths == [f"{mount['mountPath']}/{name}" for name in ("tls.crt", "tls.key", "ca.crt")]


def _admits(policy: Manifest, **variables: object) -> bool:
    """Evaluate the conditions of a ValidatingAdmissionPolicy."""
    environment = cel.NewEnv(variables=dict.fromkeys(variables, cel.Type.DYN))

    def holds(expression: str) -> bool:
        return bool(environment.compile(expression).eval(data=variables).value())

    spec = policy["spec"]
    if not all(holds(each["expression"]) for each in spec.get("matchConditions", [])):
        return True
    return all(holds(each["expression"]) for each in spec["validations"])


@pytest.mark.parametrize(
    ("namespace", "issuer", "extra", "admitted"),
    [
        ("authz", "authz-service-ca", {}, True),
        ("edge", "authz-service-ca", {"isCA": False}, True),
        ("edge", "authz-service-ca", {"isCA": True}, False),
        ("shop", "authz-service-ca", {}, False),
        ("shop", "another", {"isCA": True}, True),
    ],
)
def test_only_the_server_and_the_callers_get_certificates_of_the_ca(
    namespace: str, issuer: str, extra: dict[str, bool], *, admitted: bool
) -> None:
    policy = the(written(MUTUAL_TLS), "ValidatingAdmissionPolicy", "authz-service-ca")
    request = {"spec": {"issuerRef": {"name": issuer}, **extra}}
    assert _admits(policy, object=request, request={"namespace": namespace}) is admitted


def test_each_namespace_with_a_certificate_is_one_that_may_have_it_and_may_call() -> None:
    policy = the(written(MUTUAL_TLS), "ValidatingAdmissionPolicy", "authz-service-ca")
    request = {"spec": {"issuerRef": {"name": "authz-service-ca"}}}
    rule = the(BASE_OBJECTS, "NetworkPolicy", "authz-service")["spec"]["ingress"][0]
    label = rule["from"][0]["namespaceSelector"]["matchLabels"]
    for each in (SERVER, *CLIENTS):
        assert _admits(policy, object=request, request={"namespace": namespace_of(each)})
    for each in CLIENTS:
        namespace = the(written(CENTRAL / "edge"), "Namespace", namespace_of(each))
        assert namespace["metadata"]["labels"] == label


def test_both_policies_are_bound_and_deny() -> None:
    for directory in (MUTUAL_TLS, CENTRAL / "team-policies"):
        objects = written(directory)
        (policy,) = of_kind(objects, "ValidatingAdmissionPolicy")
        (binding,) = of_kind(objects, "ValidatingAdmissionPolicyBinding")
        assert binding["spec"]["policyName"] == policy["metadata"]["name"]
        assert binding["spec"]["validationActions"] == ["Deny"]
        assert policy["spec"]["failurePolicy"] == "Fail"


# --- the pod --------------------------------------------------------------------------------------


def test_a_pod_has_the_time_that_its_stop_takes() -> None:
    wait = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]
    cut_off = float(_value(CONTAINER["args"], "grace")) + 1
    assert POD["terminationGracePeriodSeconds"] > wait + cut_off


def test_a_release_that_cannot_start_takes_nothing_away() -> None:
    assert WORKLOAD["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "replicas" not in WORKLOAD["spec"]
    assert CONTAINER["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert CONTAINER["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert CONTAINER["startupProbe"]["httpGet"]["path"] == "/livez"


def test_what_stays_up_is_what_is_there() -> None:
    labels = WORKLOAD["spec"]["selector"]["matchLabels"]
    autoscaler = the(BASE_OBJECTS, "HorizontalPodAutoscaler", "authz-service")["spec"]
    budget = the(BASE_OBJECTS, "PodDisruptionBudget", "authz-service")["spec"]
    assert autoscaler["scaleTargetRef"]["name"] == WORKLOAD["metadata"]["name"]
    assert autoscaler["metrics"][0]["containerResource"]["container"] == CONTAINER["name"]
    assert autoscaler["minReplicas"] > budget["maxUnavailable"] > 0
    policies = of_kind(BASE_OBJECTS, "NetworkPolicy")
    chosen = [each["spec"]["podSelector"].get("matchLabels") for each in policies]
    assert [budget["selector"]["matchLabels"], *filter(None, chosen)] == [labels, labels]
    for each in of_kind(BASE_OBJECTS, "Service"):
        assert each["spec"]["selector"] == labels


def test_nothing_in_the_namespace_talks_to_anybody_unless_it_says_so() -> None:
    spec = the(BASE_OBJECTS, "NetworkPolicy", "default-deny")["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


# --- the policies of teams ------------------------------------------------------------------------


def _collector() -> dict[str, Any]:
    patch = yaml.safe_load((CENTRAL / "team-policies" / "collector.yaml").read_text())
    (container,) = patch["spec"]["template"]["spec"]["initContainers"]
    assert isinstance(container, dict)
    return container


def _collectors_settings() -> dict[str, str]:
    return {each["name"]: each["value"] for each in _collector()["env"]}


def test_one_policy_of_a_team_is_in_both_examples() -> None:
    copy = (TEAMS / "shop" / "policy" / "shop.yaml").read_text()
    assert copy == (BASE / "policy" / "shop.yaml").read_text()


def test_the_collector_may_list_and_watch_config_maps_and_nothing_else() -> None:
    objects = written(CENTRAL)
    assert of_kind(objects, "ClusterRoleBinding") == []
    assert of_kind(objects, "Role") == []
    (role,) = of_kind(objects, "ClusterRole")
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}
    ]


def test_the_collector_may_read_in_the_namespaces_that_it_reads() -> None:
    bindings = of_kind([*put_together(CENTRAL / "with-teams"), *put_together(TEAMS)], "RoleBinding")
    for each in bindings:
        assert each["roleRef"]["name"] == "authz-service-policies"
        assert each["subjects"] == [
            {"kind": "ServiceAccount", "name": "authz-service", "namespace": "authz"}
        ]
    read = _collectors_settings()["NAMESPACE"].split(",")
    assert sorted(namespace_of(each) for each in bindings) == sorted(read)


def test_the_token_is_for_the_collector_alone() -> None:
    assert POD["automountServiceAccountToken"] is False
    account = the(BASE_OBJECTS, "ServiceAccount", "authz-service")
    assert account["automountServiceAccountToken"] is False
    deployment = the(put_together(CENTRAL / "with-teams"), "Deployment", "authz-service")
    spec = deployment["spec"]["template"]["spec"]
    holders = {
        container["name"]
        for container in (*spec["containers"], *spec["initContainers"])
        for mount in container["volumeMounts"]
        if mount["name"] == "kubernetes-api"
    }
    assert holders == {"collect-policies"}


def test_the_collector_writes_what_the_service_only_reads() -> None:
    deployment = the(put_together(CENTRAL / "with-teams"), "Deployment", "authz-service")
    spec = deployment["spec"]["template"]["spec"]
    (volume,) = [each for each in spec["volumes"] if each["name"] == "authz-policy"]
    assert volume == {"name": "authz-policy", "emptyDir": {"sizeLimit": "16Mi"}}
    service_container, collector = spec["containers"][0], spec["initContainers"][0]
    (reads,) = [
        each for each in service_container["volumeMounts"] if each["name"] == volume["name"]
    ]
    (writes,) = [each for each in collector["volumeMounts"] if each["name"] == volume["name"]]
    assert reads["readOnly"] is True
    assert writes["mountPath"] == _collectors_settings()["FOLDER"]
    assert reads["mountPath"] == _value(service_container["args"], "policy")


def test_no_config_map_can_say_where_its_files_go() -> None:
    """A name of an annotation begins with a letter or a digit."""
    name = _collectors_settings()["FOLDER_ANNOTATION"]
    assert not re.match(r"[A-Za-z0-9]", name)


def test_what_the_collector_collects_is_a_policy(tmp_path: Path) -> None:
    settings = _collectors_settings()
    for each in of_kind([*put_together(CENTRAL / "with-teams"), *put_together(TEAMS)], "ConfigMap"):
        metadata = each["metadata"]
        if metadata.get("labels", {}).get(settings["LABEL"]) != settings["LABEL_VALUE"]:
            continue
        for key, text in each["data"].items():
            name = f"namespace_{metadata['namespace']}.configmap_{metadata['name']}.{key}"
            (tmp_path / name).write_text(text)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "namespace_authz.configmap_authz-policy.issuers.yaml",
        "namespace_billing.configmap_authz-team-policy.billing.yaml",
        "namespace_shop.configmap_authz-team-policy.shop.yaml",
    ]
    assert _command("lint", "--strict", str(tmp_path)) == 0


def test_the_policies_of_the_examples_have_no_mistakes() -> None:
    assert _command("lint", "--strict", str(BASE / "policy")) == 0
    teams = [str(path) for path in TEAMS.glob("*/policy")]
    assert len(teams) == 2
    assert _command("lint", "--strict", str(BASE / "policy" / "issuers.yaml"), *teams) == 0
    assert _command("test", str(TEAMS)) == 0


def _command(*arguments: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "authz_service", *arguments],
        env=environment(), capture_output=True, check=False,
    ).returncode  # fmt: skip


@pytest.mark.parametrize(
    ("config_map", "admitted"),
    [
        ({"data": {"shop.yaml": "", "more.yml": "", "most.json": ""}}, True),
        ({}, True),
        ({"data": {"shop.yaml.url": "http://169.254.169.254/"}}, False),
        ({"data": {"shop.yaml": "", "yaml": ""}}, False),
        ({"binaryData": {"shop.yaml": ""}}, False),
    ],
)
def test_a_config_map_of_policies_has_nothing_that_the_collector_would_fetch(
    config_map: dict[str, Any], *, admitted: bool
) -> None:
    directory = CENTRAL / "team-policies"
    policy = the(written(directory), "ValidatingAdmissionPolicy", "authz-service-policies")
    assert _admits(policy, object=config_map) is admitted
    settings = _collectors_settings()
    chosen = policy["spec"]["matchConstraints"]["objectSelector"]["matchLabels"]
    assert chosen == {settings["LABEL"]: settings["LABEL_VALUE"]}


# --- the variants ---------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda path: path.name)
def test_every_variant_has_one_workload_with_mutual_tls(variant: Path) -> None:
    objects = put_together(variant)
    (workload,) = [each for kind in ("Deployment", "DaemonSet") for each in of_kind(objects, kind)]
    spec = workload["spec"]["template"]["spec"]
    container = spec["containers"][0]
    assert container["args"][: len(CONTAINER["args"])] == CONTAINER["args"]
    assert set(_tls_options()) < set(container["args"])
    assert "--insecure-listen" not in container["args"]
    volumes = {each["name"] for each in spec["volumes"]}
    for each in (*spec["containers"], *spec.get("initContainers", [])):
        assert {mount["name"] for mount in each["volumeMounts"]} <= volumes


def test_on_nodes_an_envoy_asks_the_instance_of_its_node() -> None:
    objects = put_together(K8S / "node")
    for kind in ("Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget"):
        assert of_kind(objects, kind) == []
    (found,) = of_kind(objects, "Service")
    assert found["metadata"]["name"] == "authz-service"
    assert found["spec"]["internalTrafficPolicy"] == "Local"
    assert "clusterIP" not in found["spec"]


def test_on_nodes_a_new_instance_is_there_before_the_old_one_and_its_connections_end() -> None:
    spec = the(put_together(K8S / "node"), "DaemonSet", "authz-service")["spec"]
    assert spec["updateStrategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert not spec.keys() & {"strategy", "replicas"}
    arguments = spec["template"]["spec"]["containers"][0]["args"]
    age, grace = (float(_value(arguments, name)) for name in ("max-connection-age", "grace"))
    assert age < grace / 2  # docs/limits.md


# --- monitoring -----------------------------------------------------------------------------------


def test_the_operator_gets_the_alerts_that_prometheus_gets() -> None:
    """To renew it: `python deploy/monitoring/generate.py`."""
    monitoring = DEPLOY / "monitoring"
    rule = yaml.safe_load((monitoring / "prometheus-rule.yaml").read_text())
    assert rule["kind"] == "PrometheusRule"
    assert rule["spec"] == yaml.safe_load((monitoring / "alerts.yaml").read_text())
    script = [sys.executable, str(monitoring / "generate.py"), "--check"]
    assert subprocess.run(script, check=False).returncode == 0


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda path: path.name)
def test_each_pod_is_scraped_once_by_a_job_that_the_alerts_know(variant: Path) -> None:
    objects = put_together(variant)
    (monitor,) = of_kind(objects, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (scraped,) = [
        each for each in of_kind(objects, "Service") if wanted <= each["metadata"]["labels"].items()
    ]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in scraped["spec"]["ports"]}
    assert namespace_of(monitor) == namespace_of(scraped)
    rule = the(objects, "PrometheusRule", "authz-service")
    alerts = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    (down,) = [each["expr"] for each in alerts if each["alert"] == "AuthzInstanceDown"]
    (jobs,) = re.findall(r'job=~"(.*?)"', down)
    assert re.fullmatch(jobs, scraped["metadata"]["name"])
    assert of_kind(objects, "ConfigMap") != []


def test_grafana_finds_the_dashboard() -> None:
    dashboard = the(put_together(CENTRAL), "ConfigMap", "authz-service-dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    text = (DEPLOY / "monitoring" / "dashboard.json").read_text()
    assert dashboard["data"] == {"dashboard.json": text}
