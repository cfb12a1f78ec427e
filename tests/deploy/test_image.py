"""What the Dockerfile promises to whoever runs the image, and what goes to the builder."""

from __future__ import annotations

import fnmatch
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

import click
import pytest

from authz_service.cli.serve import command as serve
from tests.deploy.manifests.commands import parsed

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = ROOT / "Dockerfile"
PAGE: Final = (ROOT / "docs" / "image.md").read_text("utf-8")
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
REQUIREMENTS: Final = ROOT / "requirements"
MAKE: Final = shutil.which("make")
PINNED: Final = re.compile(r"^([a-z0-9-]+)==([^ ]+)", re.MULTILINE)


def _instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, on one line; comments left out."""
    lines = [
        line for line in DOCKERFILE.read_text("utf-8").splitlines() if not line.startswith("#")
    ]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (name, arguments.strip())
        for name, _, arguments in (line.partition(" ") for line in joined.splitlines())
        if name
    ]


INSTRUCTIONS: Final = _instructions()
LAST_FROM: Final = max(i for i, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM")
BUILD: Final = INSTRUCTIONS[:LAST_FROM]
FINAL: Final = INSTRUCTIONS[LAST_FROM:]


def _only(name: str) -> str:
    [arguments] = [arguments for each, arguments in FINAL if each == name]
    return arguments


def _defaults() -> dict[str, str]:
    pairs = (arguments.partition("=") for name, arguments in INSTRUCTIONS if name == "ARG")
    return {name: default for name, _, default in pairs}


def _variables() -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S+)", _only("ENV")))


def _sources(instructions: list[tuple[str, str]]) -> list[str]:
    """What is copied from the directory of the checkout."""
    copies = [words.split() for name, words in instructions if name == "COPY"]
    return [source for words in copies if not words[0].startswith("--") for source in words[:-1]]


def _pins(lock: str) -> dict[str, str]:
    return dict(PINNED.findall((REQUIREMENTS / lock).read_text("utf-8")))


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "--failure-threshold", "style", DOCKERFILE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_base_is_one_version_and_both_stages_have_it() -> None:
    pinned = r"python:3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?"
    assert re.fullmatch(pinned, _defaults()["BASE"])
    assert _defaults()["RUNTIME"] == "${BASE}"
    assert [words for name, words in INSTRUCTIONS if name == "FROM"] == [
        "${BASE} AS build",
        "${RUNTIME}",
    ]


def test_the_base_has_a_python_that_the_project_is_for() -> None:
    minor = re.findall(r"python:(3\.\d+)", _defaults()["BASE"])
    assert f"Programming Language :: Python :: {minor[0]}" in PROJECT["project"]["classifiers"]


def test_nobody_is_root_and_kubernetes_can_see_it() -> None:
    assert _only("USER") == "65532:65532"
    last_root = max(i for i, (name, _) in enumerate(FINAL) if name in {"RUN", "COPY"})
    assert FINAL.index(("USER", "65532:65532")) > last_root


@pytest.mark.parametrize("name", ["ENTRYPOINT", "CMD"])
def test_no_shell_stands_between_the_engine_and_the_service(name: str) -> None:
    assert json.loads(_only(name)) == {"ENTRYPOINT": ["authz-service"], "CMD": ["serve"]}[name]


def test_the_final_stage_needs_no_shell() -> None:
    for name, words in FINAL:
        if name == "RUN":
            assert isinstance(json.loads(words), list)


def test_the_health_check_is_a_command_that_there_is() -> None:
    [program, name, *options] = json.loads(_only("HEALTHCHECK").partition("CMD ")[2])
    assert program == "authz-service"
    assert parsed(name, options).command.name == name


def test_every_variable_of_the_service_is_one_of_its_options() -> None:
    options = {each.envvar for each in serve.params if isinstance(each, click.Option)}
    ours = {name for name in _variables() if name.startswith("AUTHZ_")}
    assert ours == {"AUTHZ_POLICY"}
    assert ours <= options


def test_bytecode_is_looked_for_where_it_was_made() -> None:
    made = [words for name, words in BUILD if name == "ENV" and "PYTHONPYCACHEPREFIX" in words]
    assert made == [f"PYTHONPYCACHEPREFIX={_variables()['PYTHONPYCACHEPREFIX']}"]


def test_nothing_is_fetched_but_locked_wheels() -> None:
    assert "ADD" not in {name for name, _ in INSTRUCTIONS}
    commands = " && ".join(words for name, words in BUILD if name == "RUN").split("&&")
    installs = [each for each in commands if re.search(r"pip\b.* (install|wheel) ", each)]
    assert len(installs) == 4
    for each in installs:
        assert "--no-index" in each or "--require-hashes --only-binary :all:" in each


@pytest.mark.skipif(MAKE is None, reason="make is not here")
@pytest.mark.parametrize(("engine", "forms"), [("docker", []), ("podman", ["docker"])])
def test_make_hands_the_engine_what_the_page_says(
    engine: str, forms: list[str], tmp_path: Path
) -> None:
    program = tmp_path / engine
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', "utf-8")
    program.chmod(0o755)
    told = subprocess.run(
        [str(MAKE), "--silent", "image", f"ENGINE={program}", "BASE=base:1", "ARGS=--no-cache"],
        cwd=ROOT, env=_without_variables_of_make(), capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    options = list(itertools.pairwise(told))
    assert (told[0], told[-2:]) == ("build", ["--no-cache", "."])
    assert [form for option, form in options if option == "--format"] == forms
    assert ("--tag", f"authz-service:{PROJECT['project']['version']}") in options
    arguments = dict(word.split("=", 1) for option, word in options if option == "--build-arg")
    assert arguments.keys() <= _defaults().keys()
    assert arguments["BASE"] == "base:1"
    # A commit and not a tag, of which there can be several; nothing where there is no repository.
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", arguments.get("REVISION", ""))


def _without_variables_of_make() -> dict[str, str]:
    """What a `make` around these tests was told is not for the one in them."""
    ours = ("MAKE", "MFLAGS", "IMAGE", "TAG")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def test_the_version_is_the_packages() -> None:
    assert _defaults()["VERSION"] == PROJECT["project"]["version"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', _only("LABEL")))
    assert labels == {
        "title": PROJECT["project"]["name"],
        "description": PROJECT["project"]["description"],
        "licenses": PROJECT["project"]["license"],
        "version": "${VERSION}",
        "revision": "${REVISION}",
    }


def test_nothing_goes_to_the_builder_but_what_is_copied() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_through = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {source.replace("${REQUIREMENTS}", "*").rstrip("/") for source in _sources(BUILD)}
    for rule in let_through:
        assert [each for each in copied if fnmatch.fnmatch(rule, each)], rule
    for source in copied:
        assert [rule for rule in let_through if fnmatch.fnmatch(rule, source)], source
        assert list(ROOT.glob(source)), source


def test_the_wheel_finds_every_file_that_its_build_names() -> None:
    copied = {source.rstrip("/") for source in _sources(BUILD)}
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = PROJECT["project"]
    needed = {
        "pyproject.toml", project["readme"], *project["license-files"],
        *wheel["packages"], *wheel["force-include"],
    }  # fmt: skip
    assert needed <= copied


def test_the_image_has_the_versions_that_are_tested() -> None:
    image, run, dev = (_pins(lock) for lock in ("image.txt", "run.txt", "dev.txt"))
    assert run.items() <= image.items() <= dev.items()
    assert {name for name in image if name.startswith("opentelemetry")} == set(image) - set(run)


def test_what_the_wheel_is_built_with_is_locked() -> None:
    build = _pins("image-build.txt")
    names = {re.split(r"[<>=~!]", each)[0] for each in PROJECT["build-system"]["requires"]}
    assert names <= set(build)
    assert build.items() <= _pins("dev.txt").items()


def test_nothing_is_used_of_what_the_image_leaves_out() -> None:
    texts = [file.read_text("utf-8") for file in (ROOT / "authz_service").rglob("*.py")]
    used = {name for text in texts for name in re.findall(r"cel_expr_python[.\w]*", text)}
    assert used == {"cel_expr_python"}
    names = {
        name
        for text in texts
        for name in re.findall(r"from cel_expr_python import (.*?)(?: +#.*)?$", text, re.MULTILINE)
    }
    assert names == {"cel"}


def test_the_page_names_every_argument_of_the_build_with_its_default() -> None:
    told = dict(re.findall(r"^\| `([A-Z_]+)` \| (?:`([^`]+)`)?[^|]*\|", PAGE, re.MULTILINE))
    assert told == {name: default.strip("${}") for name, default in _defaults().items()}
