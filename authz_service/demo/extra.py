"""What has to be installed for the demo, and for nothing that serves."""

from __future__ import annotations

from typing import Final

DEMO_EXTRA: Final = "the extra named demo (in a checkout: pip install '.[demo]')"
