"""Policies that are collected from the namespaces of teams, and what the collector may do."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.deploy.admission import admits, asked_for
from tests.deploy.central import BASE, BASE_OBJECTS, CENTRAL, POD, TEAM_POLICIES, TEAMS, value
from tests.deploy.kustomized import namespace_of, of_kind, put_together, the, written
from tests.server.processes import environment

if TYPE_CHECKING:
    from pathlib import Path


def _collector() -> dict[str, Any]:
    patch = yaml.safe_load((TEAM_POLICIES / "collector.yaml").read_text())
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
    role = the(objects, "ClusterRole", "authz-service-policies")
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
    assert reads["mountPath"] == value(service_container["args"], "policy")


def test_no_config_map_can_say_where_its_files_go() -> None:
    """A name of an annotation begins with a letter or a digit."""
    name = _collectors_settings()["FOLDER_ANNOTATION"]
    assert not re.match(r"[A-Za-z0-9]", name)


def test_pods_that_have_the_policy_mounted_keep_it_while_they_are_replaced() -> None:
    """Nothing is written over the ConfigMap of the base, which they read without a restart."""

    def config_maps(directory: Path) -> set[str]:
        return {each["metadata"]["name"] for each in of_kind(put_together(directory), "ConfigMap")}

    mounted = next(each for each in POD["volumes"] if each["name"] == "authz-policy")["configMap"]
    assert mounted["name"] in config_maps(CENTRAL)
    assert mounted["name"] not in config_maps(CENTRAL / "with-teams")


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
        "namespace_authz.configmap_authz-platform-policy.issuers.yaml",
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


def test_to_write_policies_takes_a_right_of_its_own_that_the_collector_lacks() -> None:
    """They decide for every host; to edit a namespace is not enough."""
    objects = written(TEAM_POLICIES)
    policy = the(objects, "ValidatingAdmissionPolicy", "authz-service-policies")
    [(group, resource, verb)] = asked_for(policy)
    role = the(objects, "ClusterRole", "authz-service-policy-writer")
    assert role["rules"] == [{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]
    assert group not in {"", "apps"}
    bound = {each["roleRef"]["name"] for each in of_kind(written(CENTRAL), "RoleBinding")}
    assert role["metadata"]["name"] not in bound


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
    policy = the(written(TEAM_POLICIES), "ValidatingAdmissionPolicy", "authz-service-policies")
    assert admits(policy, asked_for(policy), object=config_map) is admitted
    assert not admits(policy, object=config_map)
    settings = _collectors_settings()
    chosen = policy["spec"]["matchConstraints"]["objectSelector"]["matchLabels"]
    assert chosen == {settings["LABEL"]: settings["LABEL_VALUE"]}
