"""What a container gives to `authz-service serve`, read by the command itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import click

from authz_service.cli.main import main
from authz_service.cli.serve import command
from authz_service.server.listen import TcpAddress, UnixAddress
from tests.deploy.manifests.model import at
from tests.support.signals import signals_as_before

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authz_service.server.listen import Address
    from tests.deploy.manifests.model import Container, Pod

PROGRAM: Final = "authz-service"

_OF_THE_IMAGE: Final = {"AUTHZ_POLICY": "/etc/authz/policy"}
_TERMINATION_SECONDS: Final = 30  # where a pod does not say
_VARIABLES: Final = {parameter.envvar for parameter in command.params}
_PORT_NAMES: Final = {"listen": "grpc", "admin": "admin"}
_DIRECTORIES_OF_FILES: Final = {
    "tls_cert": "/etc/authz/tls", "tls_key": "/etc/authz/tls", "tls_client_ca": "/etc/authz/tls",
}  # fmt: skip


def serves(container: Container) -> bool:
    """Whether it runs `authz-service serve`, which is what the image does unless told otherwise."""
    words = [*(container.tree.get("command") or [PROGRAM]), *(container.tree.get("args") or [])]
    return container.program == PROGRAM and words[:2] in ([PROGRAM], [PROGRAM, "serve"])


def settings(container: Container) -> Mapping[str, Any]:
    """Read arguments and variables as the command does. Raises click.ClickException."""
    environment = _OF_THE_IMAGE | container.environment
    arguments = list(container.tree.get("args") or ["serve"])[1:]
    here = mock.patch.dict(os.environ, environment, clear=True)
    # The directories of a pod are not here; `_paths` looks whether they are there.
    there = mock.patch.object(Path, "is_dir", return_value=True)
    with here, there:
        return parsed("serve", arguments).params


def parsed(name: str, arguments: list[str]) -> click.Context:
    """Have a command read its arguments. Raises click.ClickException.

    As part of the whole: for itself it would have no `-h`, from then on.
    """
    whole = click.Context(main, **main.context_settings)
    with signals_as_before():
        subcommand = main.get_command(whole, name)
    assert subcommand is not None, f"there is no command {name}"
    return subcommand.make_context(name, arguments, parent=whole)


def listens_at(container: Container) -> Address | None:
    """Where it answers Envoy, if that can be read."""
    try:
        address: Address = settings(container)["listen"]
    except click.ClickException:
        return None
    return address


def usage(pod: Pod) -> Iterator[str]:
    """Every option and variable exists, and what it says can be."""
    for container in filter(serves, pod.running):
        for name in container.environment.keys() - _VARIABLES:
            if name.startswith("AUTHZ_"):
                yield f"{container}: there is no variable {name}"
        try:
            given = settings(container)
        except click.ClickException as error:
            yield f"{container}: {error.format_message()}"
            continue
        for wrong in (*_listening(container, given), *_paths(container, given)):
            yield f"{container}: {wrong}"
        yield from _grace(container, given)


def _listening(container: Container, given: Mapping[str, Any]) -> Iterator[str]:
    """Its ports are those of the container; no one else reaches the gRPC port without TLS."""
    for option, name in _PORT_NAMES.items():
        address = given[option]
        declared = {port.get("name"): port["containerPort"] for port in container.ports}
        reachable = isinstance(address, TcpAddress) and not _is_loopback(address)
        if reachable and declared.get(name) != address.port:
            yield f"listens at {address}, and has no port {name} of that number"
        if not reachable and name in declared:
            yield f"has a port {name}, and --{option} is {address}"
    listen = given["listen"]
    is_open = isinstance(listen, TcpAddress) and not _is_loopback(listen)
    if is_open and given["tls_client_ca"] is None and not given["insecure_listen"]:
        yield f"listens at {listen} and does not ask callers for a certificate"


def _is_loopback(address: TcpAddress) -> bool:
    return address.host in {"127.0.0.1", "::1", "localhost"}


def _paths(container: Container, given: Mapping[str, Any]) -> Iterator[str]:
    """Where it reads and writes, something is mounted; and everywhere under the same path."""
    for path in given["policy"]:
        if container.mount_of(str(path)) is None:
            yield f"--policy {path} is in no volume"
    for option, directory in _DIRECTORIES_OF_FILES.items():
        path = given[option]
        if path is not None and path.parent != Path(directory):
            yield f"{path} is not in {directory}"
        if path is not None and container.mount_of(str(path)) is None:
            yield f"{path} is in no volume"
    listen = given["listen"]
    places = [listen.path.parent] if isinstance(listen, UnixAddress) else []
    for path in filter(None, [*places, given["key_cache"]]):
        mount = container.mount_of(str(path))
        if mount is None or mount.get("readOnly"):
            yield f"{path} cannot be written to"


def _grace(container: Container, given: Mapping[str, Any]) -> Iterator[str]:
    """The pod's end is longer than --grace and the longest preStop together."""
    pod = container.pod
    sleeps = [at(each.tree, "lifecycle", "preStop", "sleep", "seconds") for each in pod.running]
    needed = given["grace"] + max(filter(None, sleeps), default=0)
    there = pod.spec.get("terminationGracePeriodSeconds", _TERMINATION_SECONDS)
    if there <= needed:
        yield f"{pod}: terminationGracePeriodSeconds {there} is not longer than {needed:g}"
