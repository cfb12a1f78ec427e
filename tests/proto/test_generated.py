"""The committed authz_service/_proto is what proto/generate.py makes of the .proto files."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = Path("authz_service", "_proto")
STATUS = PACKAGE / "envoy/type/v3/http_status_pb2.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run Python in the repository."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, check=False, capture_output=True, text=True
    )


def generate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run proto/generate.py."""
    return run("proto/generate.py", *arguments)


def files(package: Path) -> set[Path]:
    """Name every file of *package*; what Python has compiled is left out."""
    return {
        path.relative_to(package)
        for path in package.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate once, into a directory that no test changes."""
    root = tmp_path_factory.mktemp("generated")
    finished = generate(root)
    assert finished.returncode == 0, finished.stderr
    return root


@pytest.fixture
def root(generated: Path, tmp_path: Path) -> Path:
    """Return a directory of freshly generated code for the test to spoil."""
    return shutil.copytree(generated, tmp_path / "root")


def test_committed_package_has_the_generated_files_and_no_others(generated: Path) -> None:
    assert files(REPOSITORY / PACKAGE) == files(generated / PACKAGE)


def test_committed_files_are_what_the_proto_files_generate(generated: Path) -> None:
    differing = [
        name
        for name in files(generated / PACKAGE)
        if (generated / PACKAGE / name).read_bytes() != (REPOSITORY / PACKAGE / name).read_bytes()
    ]

    assert differing == []


def test_every_proto_file_has_its_module_and_stub(generated: Path) -> None:
    sources = REPOSITORY / "proto"
    expected = {
        source.relative_to(sources).with_name(source.stem + suffix)
        for source in sources.rglob("*.proto")
        for suffix in ("_pb2.py", "_pb2.pyi")
    }

    assert expected
    assert expected == {name for name in files(generated / PACKAGE) if "_pb2" in name.stem}


def test_check_is_silent_when_nothing_differs(root: Path) -> None:
    finished = generate("--check", root)

    assert (finished.returncode, finished.stdout) == (0, "")


def add_a_line(file: Path) -> None:
    """Change *file* as a careless hand would."""
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")


def add_a_file(file: Path) -> None:
    """Leave something beside *file*."""
    file.with_name("stray.py").touch()


@pytest.mark.parametrize(
    ("spoil", "report"),
    [
        pytest.param(add_a_line, "differs: envoy/type/v3/http_status_pb2.py\n", id="changed"),
        pytest.param(Path.unlink, "missing: envoy/type/v3/http_status_pb2.py\n", id="missing"),
        pytest.param(add_a_file, "not generated: envoy/type/v3/stray.py\n", id="extra"),
    ],
)
def test_check_names_the_file_that_differs_and_repairs_nothing(
    root: Path, spoil: Callable[[Path], None], report: str
) -> None:
    spoil(root / STATUS)
    before = files(root)

    finished = generate("--check", root)

    assert (finished.returncode, finished.stdout) == (1, report)
    assert files(root) == before


def test_generating_again_removes_what_no_proto_file_stands_for(root: Path) -> None:
    before = files(root)
    add_a_file(root / STATUS)

    assert generate(root).returncode == 0
    assert files(root) == before


def test_a_faulty_proto_file_is_named_and_leaves_the_package_as_it_was(root: Path) -> None:
    shutil.copytree(REPOSITORY / "proto", root / "proto")
    source = root / "proto/envoy/type/v3/http_status.proto"
    source.write_text(source.read_text(encoding="utf-8") + "message {\n", encoding="utf-8")
    before = files(root / PACKAGE)

    finished = run(root / "proto/generate.py")

    assert (finished.returncode, files(root / PACKAGE)) == (2, before)
    assert "http_status.proto:" in finished.stderr


def test_generated_code_never_loads_a_top_level_package_named_envoy() -> None:
    program = (
        "import sys, authz_service._proto.envoy.service.auth.v3.external_auth_pb2\n"
        "sys.exit(any(name.partition('.')[0] == 'envoy' for name in sys.modules))"
    )

    assert run("-c", program).returncode == 0
