"""What docs/logs.md says is so."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from authz_service.core.decision import DenyReason
from authz_service.ext_authz.convert import to_http_request
from authz_service.server.readiness import Readiness
from authz_service.telemetry import logs
from authz_service.telemetry.logs import identity, output
from authz_service.telemetry.logs.bounds import EXTENSIONS_LENGTH, MOST, MOST_EXTENSIONS
from authz_service.telemetry.logs.bursts import BOUNDED, BURST, EVERY
from authz_service.telemetry.logs.identity import IdentityHash
from authz_service.telemetry.logs.settings import FORMATS, LEVELS, LogSettings
from tests.edge.shop import REFUSALS, check_request, mint
from tests.telemetry.logged import decide, event_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "logs.md").read_text("utf-8")
SAMPLES: Final = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
COMMANDS: Final = re.findall(r"```sh\n(.*?)\n```", PAGE, re.DOTALL)
KEY: Final = b"0123456789abcdef0123456789abcdef"

CHECK: Final = PAGE.partition("## `check`")[2].partition("\n## ")[0]
TYPES: Final = {
    "string": str, "number": float, "integer": int,
    "array of strings": list, "object of strings": dict,
}  # fmt: skip
FIELDS: Final = dict(re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", CHECK, re.MULTILINE))
COMMON: Final = ["timestamp", "level", "event"]

OTHER: Final = PAGE.partition("## Other events")[2].partition("\n## ")[0]
EVENTS: Final = {
    event: (level, set(re.findall(r"`(\w+)`", fields)))
    for event, level, fields in re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", OTHER, re.MULTILINE)
}


def _logging_calls() -> Iterator[tuple[str, str, set[str]]]:
    """Each event in the code, with its level and the fields that are named where it is logged."""
    for source in sorted((ROOT / "authz_service").rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                fields = {keyword.arg for keyword in node.keywords if keyword.arg}
                match node.func:
                    case ast.Attribute(ast.Name("_log"), level) if level in LEVELS:
                        yield str(node.args[0].value), level, fields
                    case ast.Name("log_bug"):
                        yield str(node.args[0].value), "error", {"error", "where"}


CALLS: Final = [*_logging_calls(), ("log_lost", "warning", {"lines"})]


def _all_logged_events() -> Iterator[dict[str, Any]]:
    """A `check` of each kind, with everything that can be asked for."""
    everything = LogSettings(allows=0.5, raw_path=True)
    requests = [refusal.request() for refusal in REFUSALS]
    long = mint({"sub": "x" * 300, "aud": "https://other.api"})
    for message in (*requests, check_request(token=mint()), check_request(token=long)):
        request = to_http_request(message)
        yield event_of(request, decide(request), everything, {"gateway": "edge"})


def test_every_event_is_there_at_its_level_and_no_other() -> None:
    told = {event for event, _, _ in CALLS} - {"check"}
    assert told == set(EVENTS)
    levels = {(event, level) for event, level, _ in CALLS if event != "check"}
    documented = {(event, level) for event, (level, _) in EVENTS.items()}
    assert levels == documented | {("policy_unchanged", "debug"), ("key_set_read", "warning")}


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_every_field_of_an_event_is_there(event: str) -> None:
    logged = {field for name, _, fields in CALLS if name == event for field in fields}
    assert logged <= EVENTS[event][1]


def test_the_fields_of_readiness_are_those_of_the_probe() -> None:
    assert (
        EVENTS["readiness"][1]
        >= Readiness(stopping=False, issuers_without_keys=()).as_fields().keys()
    )


def test_every_field_of_a_check_is_there_with_its_type() -> None:
    seen = set()
    for event in _all_logged_events():
        for name, value in event.items():
            if name not in COMMON:
                seen.add(name)
                assert type(value) is TYPES[FIELDS[name]], name
    assert seen == set(FIELDS) - {"mode", "needed_any_scope"}


@pytest.mark.parametrize("field", [name for name in FIELDS if name.startswith("needed_")])
def test_the_reasons_that_a_need_is_told_for_are_reasons(field: str) -> None:
    (row,) = re.findall(rf"^\| `{field}` .*$", CHECK, re.MULTILINE)
    reasons = set(re.findall(r"`(\w+)`", row)) - {field}
    assert reasons <= {reason.value for reason in DenyReason}


def test_the_samples_are_what_is_logged() -> None:
    headers = [("x-request-id", "8f7b2c1e-5d0a-4f6e-9a53-0c9d1e2f3a4b")]
    who = {"sub": "u-42", "client_id": "shop-frontend"}
    denied = check_request("/products", method="POST", token=mint(who), headers=headers)
    token = mint({**who, "organization_id": "org-1"})
    allowed = check_request("/organizations/org-1?page=2", token=token, headers=headers)
    chosen = LogSettings(allows=0.01, raw_path=True, identity_hash=IdentityHash(KEY))
    for sample, message, settings in zip(
        SAMPLES, (denied, allowed), (LogSettings(), chosen), strict=True
    ):
        request = to_http_request(message)
        event = event_of(request, decide(request), settings)
        assert list(event) == list(sample)
        assert re.fullmatch(r"2\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event["timestamp"])
        for name in ("timestamp", "duration_us"):
            del event[name], sample[name]
        assert event == sample


@pytest.mark.parametrize("command", [command for command in COMMANDS if "jq" in command])
def test_the_commands_name_fields_that_there_are(command: str) -> None:
    named = set(re.findall(r"\.(\w+)|[{ ](\w+)[,}]", command))
    fields = {name for pair in named for name in pair if name}
    assert fields
    assert fields <= {*FIELDS, *COMMON}


def test_the_command_that_hashes_an_identity_gives_what_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = [
        match[1] for command in COMMANDS if (match := re.fullmatch(r"python3 -c '(.*)'", command))
    ]
    (tmp_path / "key").write_bytes(KEY + b"\n")
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102 - it is ours
    assert capsys.readouterr().out.strip() == IdentityHash(KEY).of("u-42")


def test_the_numbers_are_those_of_the_code() -> None:
    assert [FORMATS, LEVELS] == [("json", "console"), ("debug", "info", "warning", "error")]
    assert f"The queue has {output.CAPACITY} lines" in PAGE
    assert f"{identity.MIN_KEY_BYTES} to {identity.MAX_KEY_BYTES} bytes" in PAGE
    assert f"first {identity.DIGITS} hexadecimal digits" in PAGE
    assert (logs.FINISH_WITHIN, BURST, EVERY) == (2, 10, 10)
    assert sorted([*MOST.values(), EXTENSIONS_LENGTH]) == [256, 256, 512, 1024, 1024, 1024]
    assert f"the first {MOST_EXTENSIONS} by name" in PAGE


def test_the_events_that_are_bounded_are_those_of_the_code() -> None:
    names = list(EVENTS)
    first, last = names.index("check_unreadable"), names.index("unhandled_error")
    assert set(names[first : last + 1]) == BOUNDED
    assert names[last + 1 :] == ["crashed"]
