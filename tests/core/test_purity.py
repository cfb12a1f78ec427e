"""The core is pure, imports point inward, and each kind of proof is made in one place."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

import authz_service

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE: Final = Path(authz_service.__file__).parent
SOURCES: Final = sorted(
    path for path in PACKAGE.rglob("*.py") if "_proto" not in path.relative_to(PACKAGE).parts
)
CORE_MODULES: Final = [
    f"authz_service.core.{path.stem}"
    for path in sorted((PACKAGE / "core").glob("*.py"))
    if path.stem != "__init__"
]
FORBIDDEN: Final = (
    "grpc",
    "google",
    "asyncio",
    "aiohttp",
    "structlog",
    "pydantic",
    "yaml",
    "click",
    "prometheus_client",
    "uvloop",
)

# What each folder may import besides itself. A folder that is not named is further out.
INWARD: Final = {
    "core": set[str](),
    "policy": {"core"},
    "openapi": {"core", "policy"},
    "keys": {"core"},
    "telemetry": {"core"},
    "ext_authz": {"core", "_proto"},
    "explain": {"core", "policy", "keys"},
}
ONLY_MADE_IN: Final = {
    "VerifiedPayload": "core/jws.py",
    "ValidatedClaims": "core/claims.py",
    "Allow": "core/authorize.py",
    "VerifiedToken": "core/authorize.py",
}


def modules_after_importing(*modules: str) -> set[str]:
    """Name every module that a fresh interpreter has loaded after importing *modules*."""
    program = "import sys\nfor name in sys.argv[1:]: __import__(name)\nprint(*sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *modules],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    return set(finished.stdout.split())


def imports_of(source: Path) -> Iterator[str]:
    """Name every module that *source* imports, also inside functions and for types."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: imports are absolute"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def folder_of(module: str) -> str | None:
    """Give the folder of the package that *module* is in, if it is one of ours."""
    package, _dot, rest = module.partition(".")
    return rest.partition(".")[0] if package == "authz_service" and rest else None


def called_names(source: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name


def test_there_is_something_to_look_at() -> None:
    assert PACKAGE / "core" / "authorize.py" in SOURCES
    assert "authz_service.core.authorize" in CORE_MODULES


@pytest.mark.parametrize("modules", [["authz_service.core.authorize"], CORE_MODULES])
def test_importing_the_core_loads_nothing_that_does_input_or_output(modules: list[str]) -> None:
    loaded = modules_after_importing(*modules)
    assert set(modules) <= loaded
    assert not {name for name in loaded if name.partition(".")[0] in FORBIDDEN}
    assert {folder_of(name) for name in loaded} <= {None, "core"}


@pytest.mark.parametrize("module", CORE_MODULES)
def test_no_module_of_the_core_names_one_that_does_input_or_output(module: str) -> None:
    source = PACKAGE / "core" / f"{module.rpartition('.')[2]}.py"
    impure = {
        *FORBIDDEN,
        "io",
        "logging",
        "os",
        "pathlib",
        "random",
        "secrets",
        "socket",
        "subprocess",
        "threading",
        "time",
        "datetime",
        "urllib.request",
    }
    assert not impure & set(imports_of(source))


@pytest.mark.parametrize("folder", INWARD)
def test_imports_point_inward(folder: str) -> None:
    for source in SOURCES:
        if source.is_relative_to(PACKAGE / folder):
            folders = {folder_of(name) for name in imports_of(source)}
            outward = folders - {None, folder} - INWARD[folder]
            assert not outward, f"{source.relative_to(PACKAGE)} imports from {outward}"


@pytest.mark.parametrize("kind", ONLY_MADE_IN)
def test_each_kind_of_proof_is_made_in_one_place(kind: str) -> None:
    made_in = {
        source.relative_to(PACKAGE).as_posix() for source in SOURCES if kind in called_names(source)
    }
    assert made_in == {ONLY_MADE_IN[kind]}


@pytest.mark.parametrize("kind", ONLY_MADE_IN)
def test_no_proof_goes_by_another_name(kind: str) -> None:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.alias):
                assert not (node.name == kind and node.asname), source
