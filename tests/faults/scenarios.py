"""Every fault of the table, in its order."""

from __future__ import annotations

from typing import Final

from tests.faults import (
    disk_faults,
    issuer_faults,
    key_cache_faults,
    policy_faults,
    process_faults,
    wire_faults,
)

FAULTS: Final = (
    *issuer_faults.FAULTS,
    *policy_faults.FAULTS,
    *process_faults.FAULTS,
    *wire_faults.FAULTS,
    *disk_faults.FAULTS,
    *key_cache_faults.FAULTS,
)
