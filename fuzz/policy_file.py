"""`policy`: the octets of a policy file, in YAML and in JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow
from authz_service.core.request import HttpRequest
from authz_service.policy.difference import difference
from authz_service.policy.lint import lint
from authz_service.policy.lint.report import github_report
from authz_service.policy.loader import load
from authz_service.policy.presets import PRESETS
from authz_service.policy.problems import PolicyError
from fuzz import world
from fuzz.memory_files import MemoryFiles
from fuzz.target import Target
from tests.policy.folder import KEY_SET, policy_text
from tests.support.tokens import NOW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_service.policy.document import Value
    from authz_service.policy.loader import LoadedPolicy
    from authz_service.policy.problems import Position

_RECIPES: Final = Path(__file__).parents[1] / "docs" / "recipes"
_KEY_FILE: Final = Path("keys.json")
_ENVIRONMENT: Final = {"HOST": "shop.example.com", "EMPTY": ""}
_OPENS: Final = re.compile(r"public|optional|audit|allow")
_REQUESTS: Final = tuple(
    HttpRequest(method, host, target)
    for method in ("GET", "OPTIONS", "PURGE")
    for host in ("any.example", "shop.example.com")
    for target in ("/", "/orders/7", "/healthz", "/a/b/c")
)
_WORDS: Final = (
    "version: 1", "issuers:", "issuer: ", "resources:", "audience: ", "routes:", "path: ",
    "methods: ", "public", "optional: true", "mode: audit", "scopes: ", "any_scope: ", "claims: ",
    "when: ", "any_of: ", "present: true", "hosts: ", "forward: ", "headers: ", "strip: ",
    "claims_header: ", "authorization: remove", "jwks_file: keys.json", "jwks_uri: ", "refresh: ",
    "leeway: ", "preset: ", "algorithms: ", "token_types: ", "required_claims: ", "scope_claim: ",
    "encoded_slash: keep", "path_parameters: keep", "cors_preflight: allow", "${HOST}", "$${",
    "${EMPTY}", "/**", "{id}", "{rest=**}", "*.example.com", "10s", "1d", "&a", "*a", "!!str ",
    "\u2028", "\u0085", "\x1b[2J", "- ", "? ", "|\n", ">-\n", "%YAML 1.1\n---\n", "0x1F", "1e999",
    "[::1]", "<<: ", "'", '"\\ud800"', "https://", "http://localhost", "~1", "/a/b", *PRESETS,
)  # fmt: skip


def _seeds() -> Iterator[bytes]:
    yield world.POLICY.encode()
    for recipe in sorted(_RECIPES.glob("*[!t].yaml")):
        yield recipe.read_bytes()
    for preset in PRESETS:
        yield policy_text(issuer=f"preset: {preset}", top="mode: audit").encode()
    yield policy_text(issuer="jwks_file: keys.json", resource="hosts: [${HOST}]").encode()
    yield policy_text(methods="{GET: {when: 'claims.a == path.id', any_scope: [a]}}").encode()
    yield b'{"version": 1, "issuers": [{"issuer": "https://a.example"}], "resources": []}'


def _judge(octets: bytes) -> None:
    for file in (Path("policy.yaml"), Path("policy.json")):
        files = MemoryFiles({file: octets, _KEY_FILE: KEY_SET.encode()})
        try:
            loaded = load([file], environment=_ENVIRONMENT, files=files)
        except PolicyError as error:
            assert error.problems
            check_lines(map(str, error.problems))
            check_positions((problem.position for problem in error.problems), octets)
            continue
        _check_loaded(loaded, octets)


def check_lines(texts: Iterable[str]) -> None:
    """Raise unless each of *texts* is one line that a terminal only prints."""
    for text in texts:
        assert text.isprintable(), ascii(text)


def check_positions(positions: Iterable[Position], octets: bytes) -> None:
    """Raise unless each of *positions* is a place in a file that holds *octets*."""
    lines = len(re.split(rb"\r\n|\r|\n|\xc2\x85|\xe2\x80[\xa8\xa9]", octets))
    for position in positions:
        assert 0 <= position.line <= lines + 1, position  # what is missing is missed at the end
        assert 0 <= position.column <= len(octets) + 1, position


def _check_loaded(loaded: LoadedPolicy, octets: bytes) -> None:
    findings = lint(loaded)
    check_lines(github_report(findings).split("\n"))
    check_positions((finding.position for finding in findings), octets)
    assert not difference(loaded.policy, loaded.policy)
    says = [word for source in loaded.sources for word in _strings(source.document.value)]
    for request in _REQUESTS:
        decision = authorize(request, policy=loaded.policy, keys={}, now=NOW)
        if isinstance(decision, Allow):
            assert any(map(_OPENS.search, says)), f"{request}: nobody opened this"


def _strings(value: Value) -> Iterator[str]:
    """Every string in *value*, names included."""
    if isinstance(value, dict):
        yield from _strings([*value, *value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    else:
        yield str(value)


TARGET: Final = Target(_seeds, _judge, words=_WORDS)
