"""What the service logs, and how."""

from __future__ import annotations

import click

from authz_service.cli.serving.setting import setting, together
from authz_service.telemetry import logs

options = together(
    setting("--log-format", default="json", type=click.Choice(logs.FORMATS)),
    setting("--log-level", default="info", type=click.Choice(logs.LEVELS)),
)
