"""Whether the service is ready, and if not, what is missing and why."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_service.keys.status import KeySetStatus


@dataclass(frozen=True, slots=True)
class Readiness:
    """Ready is a service that is not stopping and has a key set for each issuer that is required.

    *warnings* are for people: what is wrong and keeps nobody from being served. *issuers* tell how
    each issuer's keys are; what changes there from one moment to the next is no other readiness.
    """

    stopping: bool
    issuers_without_keys: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    issuers: tuple[KeySetStatus, ...] = field(default=(), compare=False)

    @classmethod
    def of(
        cls, statuses: Sequence[KeySetStatus], *, stopping: bool, warnings: Sequence[str] = ()
    ) -> Readiness:
        """Judge by the *statuses* of all issuers; what is not required is a warning."""
        without = [status for status in statuses if not status.keys]
        optional = (
            f"no keys of issuer {status.issuer}, which is not required"
            for status in without
            if not status.required
        )
        return cls(
            stopping,
            tuple(status.issuer for status in without if status.required),
            (*warnings, *optional),
            tuple(statuses),
        )

    @property
    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return not self.stopping and not self.issuers_without_keys

    def as_fields(self) -> dict[str, object]:
        """For a log line: what is missing, and what is amiss."""
        missing = [f"keys of issuer {name}" for name in self.issuers_without_keys]
        if self.stopping:
            missing.append("the service is stopping")
        return {"ready": self.ready, "missing": missing, "warnings": list(self.warnings)}

    def as_json(self) -> dict[str, object]:
        """The body of `/readyz`: that, and of each issuer since when and why it has no keys."""
        return self.as_fields() | {
            "issuers": {status.issuer: _told(status) for status in self.issuers}
        }


def _told(status: KeySetStatus) -> dict[str, object]:
    return {
        "required": status.required,
        "keys": status.keys,
        "age": _seconds(status.age),
        "stale_in": _seconds(status.stale_in),
        "without_keys_for": _seconds(status.without_keys_for),
        "problem": status.problem,
        "next_fetch_in": _seconds(status.next_fetch_in),
    }


def _seconds(exactly: float | None) -> float | None:
    return None if exactly is None else round(exactly, 1)
