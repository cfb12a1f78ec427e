"""Each file in envoy/ is one that Envoy takes, and envoy.yaml but for what it is about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from authz_service.demo.envoy import validate
from tests.deploy.envoys import FOLDER, MODEL, VARIANTS, local, parsed
from tests.support.certificates import authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PUBLIC: Final = "static_resources/listeners/public"
_MANAGER: Final = (
    f"{_PUBLIC}/filter_chains/0/filters/envoy.filters.network.http_connection_manager/typed_config"
)
_EXT_AUTHZ: Final = f"{_MANAGER}/http_filters/envoy.filters.http.ext_authz/typed_config"
_LOG: Final = f"{_MANAGER}/access_log/envoy.access_loggers.stdout"
_FORMAT: Final = f"{_LOG}/typed_config/log_format"
_AUTHZ: Final = "static_resources/clusters/authz-service"
_ENDPOINT: Final = f"{_AUTHZ}/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address"
_HTTP2: Final = (
    f"{_AUTHZ}/typed_extension_protocol_options"
    "/envoy.extensions.upstreams.http.v3.HttpProtocolOptions/explicit_http_config"
    "/http2_protocol_options"
)
_IN_A_POD: Final = {
    f"{_PUBLIC}/address/socket_address/address",
    "static_resources/listeners/probe",
}

MAY_DIFFER: Final = {
    "unix-socket.yaml": {
        *_IN_A_POD,
        f"{_ENDPOINT}/socket_address",
        f"{_ENDPOINT}/pipe",
    },
    "central-mutual-tls/envoy.yaml": {
        "node",
        *_IN_A_POD,
        f"{_EXT_AUTHZ}/grpc_service/retry_policy",
        f"{_AUTHZ}/type",
        f"{_AUTHZ}/lb_policy",
        f"{_AUTHZ}/connect_timeout",
        f"{_AUTHZ}/transport_socket",
        f"{_AUTHZ}/health_checks",
        f"{_AUTHZ}/outlier_detection",
        f"{_AUTHZ}/common_lb_config",
        f"{_AUTHZ}/circuit_breakers",
        f"{_HTTP2}/connection_keepalive",
        f"{_ENDPOINT}/socket_address/address",
    },
    "per-route.yaml": {
        f"{_MANAGER}/strip_trailing_host_dot",
        f"{_MANAGER}/route_config/ignore_port_in_host_matching",
        f"{_MANAGER}/route_config/typed_per_filter_config",
        f"{_MANAGER}/route_config/virtual_hosts/shop",
    },
    "decision-log.yaml": {
        "layered_runtime",
        f"{_EXT_AUTHZ}/emit_filter_state_stats",
        f"{_LOG}/filter",
        f"{_FORMAT}/omit_empty_values",
        *(
            f"{_FORMAT}/json_format/{field}"
            for field in (
                "flags", "check_us", "scope", "expires_at",
            )
        ),
    },
}  # fmt: skip
"""Where a variant is not envoy.yaml."""


def _name(file: Path) -> str:
    return file.relative_to(FOLDER).as_posix()


EACH: Final = pytest.mark.parametrize("file", [MODEL, *VARIANTS], ids=_name)
EACH_VARIANT: Final = pytest.mark.parametrize("file", VARIANTS, ids=_name)


def _keyed(node: Any) -> dict[str, Any]:  # noqa: ANN401 - parsed YAML
    """Give what is in a mapping or a list, in a list by name where all have one."""
    if isinstance(node, dict):
        return node
    by_name = {
        str(item["name"]): item for item in node if isinstance(item, dict) and "name" in item
    }
    if len(by_name) == len(node):
        return by_name
    return {str(index): item for index, item in enumerate(node)}


def _order(node: Any) -> list[str]:  # noqa: ANN401 - parsed YAML
    return list(_keyed(node)) if isinstance(node, list) else []


def differences(ours: Any, model: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - YAML
    """Name the places at which *ours* is not *model*."""
    if not (isinstance(ours, dict | list) and type(ours) is type(model)):
        if ours != model:
            yield path
        return
    mine, theirs = _keyed(ours), _keyed(model)
    if [name for name in _order(ours) if name in theirs] != _order(model):
        yield f"{path} (order)"
    for name in sorted(mine.keys() | theirs.keys()):
        place = f"{path}/{name}".removeprefix("/")
        if name not in mine or name not in theirs:
            yield place
        else:
            yield from differences(mine[name], theirs[name], place)


@EACH
def test_envoy_takes_it_without_a_warning(file: Path, tmp_path: Path) -> None:
    authority().envoy().write(tmp_path, authority().pem)
    if "/etc/envoy/" in file.read_text("utf-8"):
        file = local(file, tmp_path)  # the files have to be there
    assert validate(file) == f"configuration '{file}' OK\n"


@EACH_VARIANT
def test_it_is_the_model_but_for_what_it_is_about(file: Path) -> None:
    assert set(differences(parsed(file), parsed(MODEL))) == MAY_DIFFER[_name(file)]


def test_a_difference_is_found_wherever_it_is() -> None:
    model = {"a": [{"name": "x", "v": [1, 2]}, {"name": "y"}], "b": {"c": True}}
    changed = {
        "a": [{"name": "y"}, {"name": "x", "v": [1, 3]}, {"name": "z"}],
        "b": {"c": 1, "d": 0},
    }
    assert set(differences(changed, model)) == {"a (order)", "a/x/v/1", "a/z", "b/d"}
    assert set(differences(model, model)) == set()
    assert set(differences({"b": None}, {"b": {"c": True}})) == {"b"}


@EACH_VARIANT
def test_it_sends_the_reader_to_the_model_and_says_how_to_check_it(file: Path) -> None:
    comments = file.read_text("utf-8").partition("\nadmin:")[0]
    assert re.search(r"as in (\.\./)?envoy\.yaml", comments)
    assert f"envoy --mode validate -c {file.name}" in comments


@EACH
def test_the_admin_port_is_on_loopback(file: Path) -> None:
    assert parsed(file)["admin"]["address"]["socket_address"] == {
        "address": "127.0.0.1", "port_value": 9901,
    }  # fmt: skip


def test_the_probe_is_the_same_wherever_there_is_one() -> None:
    probes = [
        listener
        for file in VARIANTS
        for listener in parsed(file)["static_resources"]["listeners"]
        if listener["name"] == "probe"
    ]
    assert len(probes) == 2
    assert probes[0] == probes[1]


def test_what_is_named_in_comments_is_there() -> None:
    for file in VARIANTS:
        for name in re.findall(r"\b([a-z-]+\.(?:yaml|md))\b", file.read_text("utf-8")):
            places = (file.parent, FOLDER, FOLDER.parent / "docs")
            assert any((place / name).exists() for place in places), name
