"""`authz-service schema`."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import click

from authz_service.cli.examples import examples
from authz_service.policy.json_schema import policy_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.policy.json_schema.field_types import JsonSchema

_KINDS: Final[Mapping[str, Callable[[], JsonSchema]]] = MappingProxyType({"policy": policy_schema})


@click.command("schema", epilog=examples(
    "authz-service schema > policy.schema.json",
    "authz-service schema policy",
))  # fmt: skip
@click.argument("kind", type=click.Choice([*_KINDS]), default="policy")
def command(kind: str) -> None:
    """Print the JSON Schema of a kind of file: of the policy, unless KIND says otherwise.

    An editor with YAML support then completes and checks the files whose first line names it:

    # yaml-language-server: $schema=policy.schema.json
    """
    click.echo(json.dumps(_KINDS[kind](), indent=2))
