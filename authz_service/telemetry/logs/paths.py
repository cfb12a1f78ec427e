"""A request's path, as it was sent and yet fit for a log."""

from __future__ import annotations

import re
from typing import Final

_QUERY_OR_FRAGMENT: Final = re.compile(r"[?#]")
# Servlet containers put a session there: ";jsessionid=".
_PARAMETERS: Final = re.compile(r";[^/]*")
# RFC 7515, section 3.1: eyJ is the start of a JSON object in base64. Links in mails have tokens.
_TOKEN: Final = re.compile(r"eyJ[^/]*")


def shown_path(target: str) -> str:
    r"""The path of *target* in visible ASCII, without anything that may be a secret by its nature.

    Query, fragment, path parameters and whatever begins like a token are left out. What is not
    visible ASCII is written as in a Python string: `\n`, `\x80`, `\u202e`.
    """
    path = _QUERY_OR_FRAGMENT.split(target, maxsplit=1)[0]
    path = _TOKEN.sub("(token)", _PARAMETERS.sub(";", path))
    return path.encode("unicode_escape").decode("ascii").replace(" ", "\\x20")
