"""What the service logs, and how."""

from __future__ import annotations

from pathlib import Path

import click

from authz_service.cli.exits import refuse
from authz_service.cli.serving.setting import as_one, setting
from authz_service.policy.problems import printable
from authz_service.telemetry.logs.identity import IdentityHash, KeyFileError
from authz_service.telemetry.logs.settings import FORMATS, LEVELS, LogSettings

_KEY_FILE = "--log-identity-key-file"


def _fraction(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if not 0 <= value <= 1:  # nor is what is not a number
        raise click.BadParameter("write a number from 0 to 1, such as 0.01")
    return value


def _settings(  # noqa: PLR0913 - one for each option
    *,
    log_format: str,
    log_level: str,
    log_allows: float,
    log_identity: str,
    log_identity_key_file: Path | None,
    log_path: str,
) -> LogSettings:
    return LogSettings(
        log_format=log_format,
        level=log_level,
        allows=log_allows,
        identity_hash=_identity_hash(log_identity, log_identity_key_file),
        raw_path=log_path == "raw",
    )


def _identity_hash(log_identity: str, key_file: Path | None) -> IdentityHash | None:
    if log_identity == "plain":
        if key_file is not None:
            raise click.BadParameter("has no use without --log-identity hash", param_hint=_KEY_FILE)
        return None
    if key_file is None:
        return IdentityHash.with_random_key()
    try:
        return IdentityHash.with_key_of(key_file)
    except KeyFileError as error:
        refuse(printable(f"authz-service: {_KEY_FILE} {key_file}: {error}"))


options = as_one(
    "log", _settings,
    setting(
        "--log-format", default="json", type=click.Choice(FORMATS),
        help="One JSON object a line, or lines for people.",
    ),
    setting(
        "--log-level", default="info", type=click.Choice(LEVELS),
        help="The least grave events that are logged. Decisions are info.",
    ),
    setting(
        "--log-allows", default=1.0, metavar="FRACTION", type=float, callback=_fraction,
        help="Fraction of the allowed Checks that is logged, from 0 to 1. Refusals always are.",
    ),
    setting(
        "--log-identity", default="plain", type=click.Choice(["plain", "hash"]),
        help="Subjects and clients as the token has them, or as a keyed hash.",
    ),
    setting(
        _KEY_FILE, metavar="FILE", type=click.Path(path_type=Path),
        help="The key of the hash, 32 bytes or more. Without it, a random one for each process.",
    ),
    setting(
        "--log-path", default="template", type=click.Choice(["template", "raw"]),
        help="The path as the policy has it, or also as it was sent, without the query.",
    ),
)  # fmt: skip
