"""Requests as a test writes them: `GET https://shop.example.com/products?page=2`.

The path goes to the policy as it is written, since a path that is not in order may be the point.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from authz_service.core.request import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER_NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)  # RFC 9110, section 5.1

_LINE: Final = re.compile(
    r"(?P<method>[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s+"
    r"(?:https?://(?P<authority>[^/?#\s]*))?(?P<target>(?:[/?#].*)?)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class RequestLine:
    """A method and a URL. *authority* is None where the URL starts with its path."""

    method: str
    authority: str | None
    target: str
    text: str

    @classmethod
    def parse(cls, text: str) -> RequestLine:
        """Read `METHOD URL` or `METHOD /path`. Raises ValueError for anything else."""
        line = _LINE.fullmatch(text.strip())
        if line is None or (line["authority"] is None and not line["target"].startswith("/")):
            message = "write a method and a URL: GET /products, or GET https://host/products"
            raise ValueError(message)
        target = line["target"]
        target = target if target.startswith("/") else f"/{target}"
        return cls(line["method"], line["authority"], target, text.strip())

    def request(
        self, *, host: str, headers: Mapping[str, list[str]], token: str | None
    ) -> HttpRequest:
        """The request, with *token* as its bearer token unless *headers* say otherwise.

        *host* is that of a URL which has none.
        """
        fields = [(name, value) for name, values in headers.items() for value in values]
        if token is not None and "authorization" not in headers:
            fields.append(("authorization", f"Bearer {token}"))
        authority = host if self.authority is None else self.authority
        return HttpRequest(self.method, authority, self.target, tuple(fields))
