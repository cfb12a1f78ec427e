"""What is applied together fits together: names, ports, labels, mounts, options, addresses.

As it is rendered, where there is something that renders; the sidecars also as they are written.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.deploy.manifests import agreement, commands, envoys, pods, sources
from tests.deploy.manifests.schemas import VERSIONS, problem
from tests.deploy.manifests.sources import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.deploy.manifests.model import Bundle, Pod, Resource

    BundleCheck = Callable[[Bundle], Iterator[str]]
    PodCheck = Callable[[Pod], Iterator[str]]

COMPLETE: Final = Path(__file__).with_name("complete.yaml").read_text("utf-8")
SIDECARS: Final = sources.DEPLOY / "k8s" / "sidecar" / "component" / "sidecars.yaml"
NEEDS_KUSTOMIZE: Final = pytest.mark.skipif(
    sources.kustomize() is None, reason=sources.NO_KUSTOMIZE
)
EACH_KUSTOMIZATION: Final = pytest.mark.parametrize(
    "directory", sources.kustomizations(), ids=sources.relative
)


POD_CHECKS: Final = (*pods.CHECKS, pods.restricted_host, commands.usage)

EXAMPLES: Final = [
    ("enforce: restricted}", "audit: restricted}", "has no label pod-security"),
    ("targetPort: http", "targetPort: htp", "no port that is named htp"),
    ("targetPort: http", "targetPort: 8080", "no port that is named 8080"),
    ("  selector: {app: api}\n", "  selector: {app: ap}\n", "Service api: selects no pod"),
    ("values: [api]", "values: [ap]", "its selector is not that of its pods"),
    ("operator: DoesNotExist", "operator: Exists", "its selector is not that of its pods"),
    ("operator: In, values: [api]", "operator: NotIn, values: [api]", "its selector is not"),
    ("podSelector: {matchLabels: {app: api}}", "podSelector: {matchLabels: {app: ap}}",
     "NetworkPolicy api: selects no pod"),
    ("[{port: 8080}, {port: grpc}]", "[{port: 8081}]", "has no port 8081"),
    ("- ports: [{port: 8080}, {port: grpc}]", "- from: []", "lets in to every port"),
    ("maxUnavailable: 1\n  selector: {matchLabels: {app: api}}",
     "maxUnavailable: 1\n  selector: {matchLabels: {app: ap}}", "Budget api: selects no pod"),
    ("kind: Deployment, name: api}", "kind: Deployment, name: ap}", "is no Deployment ap"),
    ("metadata: {name: api, namespace: a}\nspec:\n  selector:\n    match",
     "metadata: {name: api, namespace: a}\nspec:\n  replicas: 2\n  selector:\n    match",
     "which every apply would set again"),
    ("metadata: {name: api, namespace: a}\nspec:\n  podSel",
     "metadata: {name: api, namespace: b}\nspec:\n  podSel", "NetworkPolicy api: selects no"),
    ("[{port: admin}]", "[{port: metrics}]", "PodMonitor pods: there is no port metrics"),
    ("endpoints: [{port: http}]", "endpoints: [{port: admin}]", "no port admin to scrape"),
    ("configMap: {name: policy}", "configMap: {name: polic}", "is no ConfigMap polic"),
    ("secret: {secretName: tls}", "secret: {secretName: t}", "there is no Secret t"),
    ("serviceAccountName: api", "serviceAccountName: ap", "is no ServiceAccount ap"),
    ("automountServiceAccountToken: false", "automountServiceAccountToken: true",
     "automountServiceAccountToken is not false"),
    ("{name: AUTHZ_LOG_LEVEL, value: info}",
     "{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}", "there is no Secret s"),
    ("authz-service:0.1.0", "authz-service:latest", "may be any version"),
    ("authz-service:0.1.0", "authz-service", "may be any version"),
    ("authz-service:0.1.0", "authz-service:0.0.9", "authz-service is not"),
    ("envoyproxy/envoy", "registry.example.com/envoyproxy/envoy", "names a registry"),
    ("runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot is not true"),
    ("runAsUser: 65532", "runAsUser: 0", "runs as root"),
    ("RuntimeDefault", "Unconfined", "has no seccompProfile"),
    ("Escalation: false", "Escalation: true", "allowPrivilegeEscalation is not false"),
    ("Escalation: false", "Escalation: false\n            privileged: true", "is privileged"),
    ("readOnlyRootFilesystem: true", "privileged: false", "readOnlyRootFilesystem is not"),
    ("drop: [ALL]", "drop: [KILL]", "keeps capabilities"),
    ("drop: [ALL]", "drop: [ALL], add: [SYS_PTRACE]", "adds capabilities"),
    ("name: grpc, containerPort: 9191", "name: grpc, containerPort: 9191, hostPort: 1",
     "takes a port of the node"),
    ("      serviceAccountName: api", "      serviceAccountName: api\n      hostPID: true",
     "hostPID is on"),
    ("emptyDir: {sizeLimit: 1Mi}", "hostPath: {path: /run}", "volume socket is a hostPath"),
    ("      serviceAccountName: api",
     "      serviceAccountName: api\n      securityContext: {sysctls: [{name: a}]}",
     "sysctls are set"),
    ("emptyDir: {sizeLimit: 1Mi}", "emptyDir: {}", "emptyDir socket has no sizeLimit"),
    ("limits: {memory: 100Mi}", "limits: {memory: 100Mi, cpu: 1}", "and not cpu"),
    ("requests: {cpu: 100m, ", "requests: {", "requests no cpu and memory"),
    ("- {name: keys, emptyDir", "- {name: kyes, emptyDir", "there is no volume keys"),
    ("- {name: keys, emptyDir", "- {name: kyes, emptyDir", "nobody mounts the volume kyes"),
    ("/etc/authz/policy, readOnly: true}", "/etc/authz/policy, readOnly: true, subPath: p}",
     "is a subPath"),
    ("/etc/authz/policy, readOnly: true}", "/etc/authz/policy}", "is not readOnly"),
    ("{name: grpc, containerPort: 9191}", "{name: grpc, containerPort: 8080}",
     "two ports are 8080"),
    ("{name: grpc, containerPort: 9191}", "{name: http, containerPort: 9191}",
     "two ports are http"),
    ("{path: /readyz, port: admin}", "{path: /readyz, port: http}", "asks at port http"),
    ("port: 9192}}", "port: 9199}}", "asks at port 9199"),
    ("          livenessProbe: {httpGet: {path: /livez, port: admin}}\n", "",
     "authz: has no livenessProbe"),
    ("          readinessProbe: {httpGet: {path: /readyz, port: admin}}\n", "",
     "authz: has no readinessProbe"),
    ("--key-cache=", "--keycache=", "No such option"),
    ("--admin=0.0.0.0:9192", "--admin=9192", "write HOST:PORT"),
    ("AUTHZ_LOG_LEVEL", "AUTHZ_LOGLEVEL", "there is no variable AUTHZ_LOGLEVEL"),
    ("AUTHZ_LOG_LEVEL, value: info", "AUTHZ_LOG_LEVEL, value: loud", "loud"),
    ("--admin=0.0.0.0:9192", "--admin=0.0.0.0:9193", "no port admin of that number"),
    ("--admin=0.0.0.0:9192", "--admin=127.0.0.1:9192", "and --admin is 127.0.0.1:9192"),
    ("            - --tls-client-ca=/etc/authz/tls/ca.crt\n", "", "does not ask callers"),
    ("mountPath: /etc/authz/policy,", "mountPath: /etc/authz/p,", "--policy /etc/authz/policy"),
    ("--tls-cert=/etc/authz/tls/tls.crt", "--tls-cert=/tls/tls.crt", "is not in /etc/authz"),
    ("mountPath: /etc/authz/tls,", "mountPath: /etc/authz/t,", "tls.key is in no volume"),
    ("--key-cache=/var/cache/authz/keys", "--key-cache=/tmp/keys", "cannot be written to"),
    ("mountPath: /run/authz}", "mountPath: /run/authz, readOnly: true}", "cannot be written"),
    ("PeriodSeconds: 31", "PeriodSeconds: 30", "30 is not longer than 30"),
    ("address: 127.0.0.1, port_value: 9901", "address: 0.0.0.0, port_value: 9901",
     "not on loopback"),
    ("port_value: 8080", "port_value: 8081", "listens at [8081] and has the ports [8080]"),
    ("configMap: {name: envoy}", "configMap: {name: policy}", "is in no ConfigMap"),
    ("path: /run/authz/authz.sock}}}", "path: /run/authz/a.sock}}}", "nobody listens at"),
    ("path: /run/authz/authz.sock}}}", "path: /run/a.sock}}}", "a.sock is in no volume"),
    ("/run/authz, readOnly: true}", "/run/authz}", "it can put another socket"),
    ("address: api.a.svc, port_value: 80}", "address: api.b.svc, port_value: 80}",
     "there is no Service api.b.svc:80"),
    ("address: api.a.svc, port_value: 80}", "address: api.a.svc, port_value: 81}",
     "there is no Service api.a.svc:81"),
]  # fmt: skip
"""What stands there, what breaks it, and what is said of that."""


@functools.cache
def broken_by(there: str, broken: str) -> Bundle:
    assert there in COMPLETE
    return sources.parse(COMPLETE.replace(there, broken), "complete.yaml")


@functools.cache
def everywhere() -> list[Resource]:
    """What all bundles have: one may ask for a Service of another."""
    bundles = [*map(sources.bundle, sources.kustomizations()), *sources.loose_bundles()]
    return [resource for bundle in bundles for resource in bundle.resources]


def wrong_with(bundle: Bundle, known: Iterable[Resource]) -> list[str]:
    services = [resource for resource in known if resource.kind == "Service"]
    return [
        *(wrong for check in agreement.CHECKS for wrong in check(bundle)),
        *envoys.agree(bundle, services),
        *agreement.monitors(bundle, known),
        *agreement.images(container for pod in bundle.pods for container in pod.containers),
    ]


@NEEDS_KUSTOMIZE
@EACH_KUSTOMIZATION
def test_what_a_kustomization_applies_fits_together(directory: Path) -> None:
    assert wrong_with(sources.bundle(directory), everywhere()) == []


@NEEDS_KUSTOMIZE
def test_what_no_kustomization_names_fits_together() -> None:
    for bundle in sources.loose_bundles():
        assert wrong_with(bundle, everywhere()) == []


def test_the_sidecars_are_right_for_themselves() -> None:
    [patch] = sources.resources(SIDECARS)
    assert patch.pod is not None
    of_whole_pods = {pods.token}
    checks = [check for check in POD_CHECKS if check not in of_whole_pods]
    assert [wrong for check in checks for wrong in check(patch.pod)] == []


def test_every_container_is_of_a_pinned_image_and_each_image_of_one_version() -> None:
    """In the sources too, and in all of them together."""
    manifests = [*sources.files(Role.MANIFEST), *sources.files(Role.PATCH)]
    made = [each.pod for path in manifests for each in sources.resources(path)]
    containers = [container for pod in made if pod for container in pod.containers]
    assert list(agreement.images(each for each in containers if each.image)) == []


@pytest.mark.parametrize(("there", "broken", "wrong"), EXAMPLES)
def test_what_does_not_fit_would_be_noticed(there: str, broken: str, wrong: str) -> None:
    bundle = broken_by(there, broken)
    found = wrong_with(bundle, bundle.resources)
    assert any(wrong in each for each in found), found


@pytest.mark.parametrize("check", agreement.CHECKS, ids=lambda check: check.__name__)
def test_every_check_of_a_bundle_notices_something(check: BundleCheck) -> None:
    assert any([*check(broken_by(*example[:2]))] for example in EXAMPLES)


@pytest.mark.parametrize("check", POD_CHECKS, ids=lambda check: check.__name__)
def test_every_check_of_a_pod_notices_something(check: PodCheck) -> None:
    broken = (broken_by(*example[:2]) for example in EXAMPLES)
    assert any([*check(pod)] for bundle in broken for pod in bundle.pods)


def test_what_fits_is_not_complained_of() -> None:
    bundle = sources.parse(COMPLETE, "complete.yaml")
    assert wrong_with(bundle, bundle.resources) == []
    problems = [problem(each, version) for each in bundle.resources for version in VERSIONS]
    assert set(problems) == {None}


def test_a_container_that_runs_something_else_is_not_read_as_the_service() -> None:
    text = COMPLETE.replace("- serve", "- explain")
    containers = [each for pod in sources.parse(text, "a").pods for each in pod.containers]
    assert [each.name for each in containers if commands.serves(each)] == []
