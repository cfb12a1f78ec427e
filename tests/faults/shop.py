"""The policy under load: two issuers, and a route whose scope can be changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from authz_service.policy.duration import spell_duration
from tests.faults.traffic import AUDIENCE

READ: Final = "read:products"
"""The scope that tokens have."""

WRITE: Final = "write:products"
"""A scope that they have not."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a fault may want otherwise; times in seconds, of the issuer that faults are about.

    They are short, so that what they bring about fits into the time of a fault.
    """

    changing: str = READ
    interval: float = 0.3
    cooldown: float = 0.2
    timeout: float = 1.0
    max_stale: float = 3600.0


def policy(logto: str, partner: str, settings: Settings) -> str:
    """Write the policy; *logto* and *partner* are issuers, the latter without metadata."""
    names = ("interval", "cooldown", "timeout", "max_stale")
    refresh = ", ".join(f"{name}: {spell_duration(getattr(settings, name))}" for name in names)
    return f"""\
version: 1
issuers:
  - name: logto
    issuer: {logto}
    refresh: {{{refresh}}}
  - name: partner
    issuer: {partner}
    jwks_uri: {partner}/jwks
    refresh: {{interval: 1s, cooldown: 1s}}
resources:
  - name: shopping
    audience: {AUDIENCE}
    routes:
      - path: /healthz
        methods: {{GET: public}}
      - path: /products
        methods: {{GET: [{READ}]}}
      - path: /changing
        methods: {{GET: [{settings.changing}]}}
"""
