"""Whether the service is ready, and if not, what is missing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Readiness:
    """Ready is a service that is not stopping and has a key set for each issuer of its policy.

    *warnings* are for people: what is wrong and keeps nobody from being served.
    """

    stopping: bool
    issuers_without_keys: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return not self.stopping and not self.issuers_without_keys

    def as_json(self) -> dict[str, object]:
        """The body of `/readyz`."""
        missing = [f"keys of issuer {name}" for name in self.issuers_without_keys]
        if self.stopping:
            missing.append("the service is stopping")
        return {"ready": self.ready, "missing": missing, "warnings": list(self.warnings)}
