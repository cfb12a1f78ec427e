"""What a servicer takes on at the most."""

from __future__ import annotations

from dataclasses import dataclass, field

from authz_service.core.limits import RequestLimits


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """The most Checks at a time, the longest wait for keys (seconds), and how large a request is.

    docs/limits.md says why the defaults are what they are.
    """

    checks: int = 512
    key_wait: float = 2.0
    request: RequestLimits = field(default_factory=RequestLimits)

    @property
    def waiting_for_keys(self) -> int:
        """The most Checks that wait for keys at a time: half, so that they never keep all out."""
        return max(1, self.checks // 2)
