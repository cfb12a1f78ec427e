"""The options about transport: what goes together, and what is said of what does not."""

from __future__ import annotations

import grp
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz_service.cli import serve as serve_module
from authz_service.cli.main import main
from authz_service.server.settings import ServeSettings, TransportSettings
from authz_service.server.tls.callers import CallerList
from authz_service.server.tls.identity import TlsFiles
from authz_service.server.unix_socket import SocketAccess

ENVOY_ID = "spiffe://example.org/ns/edge/sa/envoy"
TLS = ("--tls-cert", "tls.crt", "--tls-key", "tls.key")
UNIX = ("--listen", "unix:/run/authz.sock")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> list[ServeSettings]:
    """What `serve` would run with."""
    seen: list[ServeSettings] = []

    async def serve(settings: ServeSettings) -> None:
        seen.append(settings)

    monkeypatch.setattr(serve_module, "_service", serve)
    return seen


def _serve(*options: str, **variables: str) -> Result:
    return CliRunner().invoke(main, ["serve", "--policy", "p.yaml", *options], env=variables)


def _transport(settings: list[ServeSettings], *options: str, **variables: str) -> TransportSettings:
    result = _serve(*options, **variables)
    assert result.exit_code == 0, result.output
    return settings[-1].transport


def test_there_is_no_tls_unless_it_is_asked_for(settings: list[ServeSettings]) -> None:
    assert _transport(settings) == TransportSettings()
    assert not TransportSettings().insecure_listen
    assert TransportSettings().socket == SocketAccess(0o660, None)


def test_every_option_arrives(settings: list[ServeSettings]) -> None:
    options = (
        *UNIX, "--insecure-listen", *TLS, "--tls-client-ca", "ca.crt",
        "--tls-client-san", ENVOY_ID, "--tls-client-san", "Envoy.example",
        "--socket-mode", "600", "--socket-group", "4711",
    )  # fmt: skip
    assert _transport(settings, *options) == TransportSettings(
        insecure_listen=True,
        tls=TlsFiles(Path("tls.crt"), Path("tls.key"), Path("ca.crt")),
        callers=CallerList(frozenset({ENVOY_ID}), frozenset({"envoy.example"})),
        socket=SocketAccess(0o600, 4711),
    )


def test_every_option_has_its_variable(settings: list[ServeSettings]) -> None:
    transport = _transport(
        settings,
        AUTHZ_LISTEN="unix:/run/authz.sock",
        AUTHZ_INSECURE_LISTEN="true",
        AUTHZ_TLS_CERT="a",
        AUTHZ_TLS_KEY="b",
        AUTHZ_TLS_CLIENT_CA="c",
        AUTHZ_TLS_CLIENT_SAN=f"{ENVOY_ID} envoy.example",
        AUTHZ_SOCKET_MODE="0666",
        AUTHZ_SOCKET_GROUP="0",
    )
    assert transport.insecure_listen
    assert transport.tls == TlsFiles(Path("a"), Path("b"), Path("c"))
    assert transport.callers == CallerList(frozenset({ENVOY_ID}), frozenset({"envoy.example"}))
    assert transport.socket == SocketAccess(0o666, 0)


def test_a_group_has_a_name(settings: list[ServeSettings]) -> None:
    group = grp.getgrgid(os.getgid())
    transport = _transport(settings, *UNIX, "--socket-group", group.gr_name)
    assert transport.socket.group == group.gr_gid


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TLS[:2], "--tls-cert and --tls-key go together"),
        (TLS[2:], "--tls-cert and --tls-key go together"),
        (("--tls-client-ca", "ca.crt"), "--tls-client-ca needs --tls-cert and --tls-key"),
        ((*TLS, "--tls-client-san", "envoy"), "--tls-client-san needs --tls-client-ca"),
        (("--tls-cert", ""), "the path is empty"),
        (("--tls-client-san", "*.example.com"), "is neither spiffe://... nor a DNS name"),
        (("--tls-client-san", "spiffe://a"), "is not the SPIFFE ID of a workload"),
        (("--socket-mode", "0660"), "are for --listen unix:/path: 127.0.0.1:9191 has neither"),
        (("--socket-group", "0"), "are for --listen unix:/path: 127.0.0.1:9191 has neither"),
        (("--listen", "unix:@a", "--socket-mode", "0660"), "unix:@a has neither"),
        (("--listen", "unix:@a", "--socket-group", "0"), "unix:@a has neither"),
        ((*UNIX, "--socket-group", "no-such-group"), "there is no group 'no-such-group' here"),
        ((*UNIX, "--socket-group", "\x1b[2J"), r"there is no group '\\x1b[2J' here"),
        ((*UNIX, "--socket-group", "4294967295"), "there is no group '4294967295' here"),
        ((*UNIX, "--socket-group", "-1"), "there is no group '-1' here"),
        (("--listen", f"unix:@{'x' * 107}"), "1 to 106 bytes"),
        (("--admin", "unix:@a"), "HOST:PORT"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_bad_usage(
    settings: list[ServeSettings], options: tuple[str, ...], message: str
) -> None:
    result = _serve(*options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert settings == []


@pytest.mark.parametrize(
    "mode", ["", "9", "660 ", "0o660", "0x1b0", "rw-rw----", "888", "1777", "00660", "66", "-660",
             "444", "0000", "\u0666\u0666\u0660"],
)  # fmt: skip
def test_a_mode_that_is_none_is_bad_usage(settings: list[ServeSettings], mode: str) -> None:
    result = _serve(*UNIX, "--socket-mode", mode)
    assert result.exit_code == 2
    assert "in octal" in result.stderr
    assert settings == []


def test_nonsense_in_a_variable_is_bad_usage(settings: list[ServeSettings]) -> None:
    variables: dict[str, Any] = {"AUTHZ_SOCKET_MODE": "rw"}
    assert _serve(*UNIX, **variables).exit_code == 2
    assert settings == []
