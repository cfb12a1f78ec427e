"""What docs/transport.md says is so. That its snippets work, tests/e2e/test_transport.py shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import pytest

from authz_service.cli.serve import command
from authz_service.cli.serving import transport
from authz_service.server.limits import HANDSHAKE
from authz_service.server.listen import is_loopback, parse_address
from authz_service.server.tls.identity import MIN_RSA_BITS
from authz_service.server.unix_socket import MAX_PATH_BYTES, SocketAccess
from authz_service.telemetry.metrics import Metrics, Sources

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final = (ROOT / "docs" / "transport.md").read_text("utf-8")


def _flags(decorated: click.Command) -> Iterator[str]:
    for parameter in decorated.params:
        yield from (name for name in parameter.opts if name.startswith("--"))


def test_every_option_is_there_and_in_serve() -> None:
    own = set(_flags(click.command(transport.options(lambda: None))))
    assert own <= set(_flags(command))
    assert [flag for flag in own if f"`{flag}" not in DOCUMENT] == []


def test_every_address_of_the_first_table_is_what_its_row_says() -> None:
    rows = re.findall(r"^\| (.*?) \| .*? \| (.*?) \|$", DOCUMENT, re.MULTILINE)[2:6]
    assert len(rows) == 4
    for cell, needs in rows:
        for text in re.findall(r"`(\S+?)`", cell):
            address = parse_address(text)
            host = getattr(address, "host", "::1").replace("localhost", "::1")
            assert is_loopback(host) == (needs == "nothing")


def test_the_numbers_are_the_true_ones() -> None:
    assert f"A path has {MAX_PATH_BYTES}" in " ".join(DOCUMENT.split())
    assert f"RSA of {MIN_RSA_BITS} bits" in DOCUMENT
    assert f"--socket-mode 0{SocketAccess().mode:o}" in DOCUMENT
    assert HANDSHAKE == 10
    assert "for ten seconds" in DOCUMENT


@pytest.mark.parametrize(
    "event", ["tls_reloaded", "tls_not_reloaded", "tls_key_open_to_others", "caller_not_trusted"]
)
def test_the_events_are_those_that_are_logged(event: str) -> None:
    sources = (ROOT / "authz_service" / "server" / "tls").glob("*.py")
    assert any(f'"{event}"' in source.read_text("utf-8") for source in sources)
    assert f"`{event}`" in DOCUMENT


def test_the_metric_is_there() -> None:
    metrics = Metrics(Sources(certificate_validity=lambda: (4.0, 17.0)))
    assert "\nauthz_tls_certificate_not_after_seconds 17.0\n" in metrics.exposition().decode()
    assert "`authz_tls_certificate_not_after_seconds`" in DOCUMENT
