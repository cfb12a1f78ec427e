"""What looks like a token where something else was asked for, and is not to be repeated.

Errors end up in the logs of builds and in tickets.
"""

from __future__ import annotations

import re
from typing import Final

# RFC 7515, section 3.1. eyJ is the start of a JSON object as most write it. Otherwise, a capital
# letter tells a long header from a label of a host or the name of a file.
_JWS: Final = re.compile(
    r"(?<![\w-])eyJ[\w-]*\.[\w-]*\."
    r"|(?<![\w.-])(?=[\w-]*[A-Z])[\w-]{21,}\.[\w-]+\.[\w-]+(?![\w.-])",
    re.ASCII,
)


def looks_like_a_token(text: str) -> bool:
    """Whether *text* holds what may be a JWS or JWE in its compact form."""
    return _JWS.search(text) is not None
