"""What a security reviewer's tool says of the manifests and the Dockerfile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy.manifests import sources

CHECKOV: Final = Path(sys.prefix) / "checkov" / "bin" / "checkov"
DOCKERFILE: Final = sources.REPOSITORY / "Dockerfile"

SKIPPED: Final = {
    "CKV_K8S_11": "no CPU limit: throttling makes Checks late in steps of 100 ms",
    "CKV_K8S_15": "tags are pinned, and a restart must not need the registry",
    "CKV_DOCKER_7": "the tag stands in the ARG that FROM names, where it does not look",
    "CKV_K8S_43": "the digest is that of the registry where the user keeps the image",
}

# It asks its maker for severities and links unless told not to; nothing that it could ask answers.
NO_NETWORK: Final = {
    "PATH": os.environ.get("PATH", ""),
    "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
    "DOWNLOAD_EXTERNAL_MODULES": "false",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "LOG_LEVEL": "WARNING",
}
OPTIONS: Final = ("--skip-download", "--compact", "--quiet", "--output", "json")


def run(*options: str, home: Path) -> list[dict[str, Any]]:
    """Run it; gives a report for each framework that it found something of."""
    if not CHECKOV.exists():
        pytest.fail(f"there is no {CHECKOV}: `make check-deploy` installs it")
    done = subprocess.run(
        [CHECKOV, *OPTIONS, "--skip-check", ",".join(SKIPPED), *options],
        check=False,
        capture_output=True,
        text=True,
        timeout=55,
        env=NO_NETWORK | {"HOME": str(home)},
    )
    assert done.returncode in {0, 1}, done.stderr
    output = json.loads(done.stdout)
    # One report is no list, and where there is nothing to report, there is a count alone.
    reports = output if isinstance(output, list) else [output]
    return [report for report in reports if "results" in report]


def failed(reports: list[dict[str, Any]]) -> list[str]:
    """Name what failed; a file that it could not read has, too."""
    unread = sum(each["summary"]["parsing_errors"] for each in reports)
    return [f"{unread} files could not be read"] * bool(unread) + [
        f"{check['check_id']} {check['check_name']}: {check['resource']}"
        for each in reports
        for check in each["results"]["failed_checks"]
    ]


def test_no_file_has_a_secret(tmp_path: Path) -> None:
    options = ("--framework", "secrets", "--directory", str(sources.DEPLOY))
    assert failed(run(*options, home=tmp_path)) == []


@pytest.mark.skipif(sources.kustomize() is None, reason=sources.NO_KUSTOMIZE)
def test_it_has_nothing_to_say_of_what_is_applied_nor_of_the_image(tmp_path: Path) -> None:
    """One run for both, as it takes seconds to start."""
    applied = tmp_path / "applied"
    applied.mkdir()
    for directory in sources.kustomizations():
        name = sources.relative(directory).replace("/", "-")
        (applied / f"{name}.yaml").write_text(sources.rendered(directory), "utf-8")
    wanted = {"kubernetes"}
    if DOCKERFILE.exists():
        shutil.copy(DOCKERFILE, applied)
        wanted.add("dockerfile")
    reports = run("--framework", *sorted(wanted), "--directory", str(applied), home=tmp_path)
    assert {report["check_type"] for report in reports} == wanted
    assert failed(reports) == []


def test_what_it_dislikes_would_be_noticed(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    made_up = "Z7Q2M4X6P8R3T5V9"
    (bad / "pod.yaml").write_text(
        f"""\
apiVersion: v1
kind: Pod
metadata: {{name: a}}
spec:
  hostNetwork: true
  containers: [{{name: a, image: "a:1", env: [{{name: KEY, value: AKIA{made_up}}}]}}]
""",
        "utf-8",
    )
    (bad / "Dockerfile").write_text("FROM a:1\nUSER root\n", "utf-8")
    frameworks = ("--framework", "kubernetes", "dockerfile", "secrets")
    found = failed(run(*frameworks, "--directory", str(bad), home=tmp_path))
    for wanted in ("CKV_K8S_19 ", "CKV_DOCKER_8 ", "CKV_SECRET_2 "):
        assert any(each.startswith(wanted) for each in found), (wanted, found)
    assert not {each.partition(" ")[0] for each in found} & SKIPPED.keys()
