"""The request that is asked about, as Envoy would describe it: from a method, a URL and headers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from authz_service.core.request import HttpRequest
from authz_service.core.strict_json import NotStrictJson, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable

# RFC 3986, section 3. What is odd in the authority or the path is for the decision to say.
_URL: Final = re.compile(r"(?i:https?)://(?P<authority>[^/?#]*)(?P<rest>.*)", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)  # RFC 9110, section 5.1
_NOT_IN_A_VALUE: Final = re.compile(r"[\0\r\n]")  # RFC 9110, section 5.5

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Url:
    """The authority that a URL names, None where it is a path alone, and the request's target."""

    authority: str | None
    target: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Url:
        """Read an absolute URL, without its fragment, which is never sent, or a path as it is.

        Raises ValueError, in words that do not repeat *text*.
        """
        if text.startswith("/"):
            return cls(None, text)
        url = _URL.fullmatch(text)
        if url is None:
            message = "write https://HOST/PATH, or a path that starts with / and --host"
            raise ValueError(message)
        if "@" in url["authority"]:
            message = "write the URL without user and password: clients do not send them in it"
            raise ValueError(message)
        target = url["rest"].partition("#")[0]
        return cls(url["authority"], target if target.startswith("/") else f"/{target}")


def parse_header(text: str) -> Header:
    """Read `name: value`, the name into lower case. Raises ValueError, without repeating *text*."""
    name, colon, value = text.partition(":")
    if not colon or not _NAME.fullmatch(name):
        message = "write 'name: value'"
        raise ValueError(message)
    if _NOT_IN_A_VALUE.search(value):
        message = "a header's value is one line"
        raise ValueError(message)
    if name.lower() == "host":
        message = "the host is in the URL, or in --host"
        raise ValueError(message)
    return name.lower(), _octets(value.strip(" \t"))


def request_for(
    method: str, authority: str, target: str, headers: Iterable[Header], token: str | None = None
) -> HttpRequest:
    """Describe the request as Envoy does with `encode_raw_headers`: one character for each octet.

    *token* goes into a field of its own.
    """
    method, authority, target = _octets(method), _octets(authority), _octets(target)
    pseudo = ((":method", method), (":authority", authority), (":path", target))
    bearer = () if token is None else (("authorization", f"Bearer {token}"),)
    return HttpRequest(method, authority, target, (*pseudo, *headers, *bearer))


def _octets(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


_PASTED_BEFORE: Final = re.compile(r"(?i:(?:authorization[ \t]*:)?[ \t]*bearer[ \t]+)")


def pasted_token(octets: bytes) -> str:
    """The token in what was pasted: without the white space around it and a `Bearer` before it.

    Of an answer of a token endpoint (RFC 6749, section 5.1), its `access_token`. Whatever else it
    holds is kept, to be judged as it is. Empty where there is nothing.
    """
    text = octets.removeprefix(b"\xef\xbb\xbf").decode("latin-1").strip(" \t\r\n")
    text = _of_token_response(text) if text.startswith("{") else text
    return _PASTED_BEFORE.sub("", text, count=1) if _PASTED_BEFORE.match(text) else text


def _of_token_response(text: str) -> str:
    try:
        members = parse_object(text.encode("latin-1"))
    except NotStrictJson:
        return text
    token = members.get("access_token")
    return token if isinstance(token, str) else text
