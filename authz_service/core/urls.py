"""Which URLs an issuer's metadata and keys may be fetched from."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

# RFC 3986, section 3.2. Python takes more for an authority than a client does that connects.
_AUTHORITY: Final = re.compile(r"(?:[^@\[\]\\]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^@:\[\]\\]+)(?::[0-9]*)?")


def split_url(url: str) -> SplitResult | None:
    """Take *url* apart, or None where it is not one that we would send in a request."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    return parts if parts.hostname and _AUTHORITY.fullmatch(parts.netloc) else None


def url_fault(url: str, *, allow_http: bool) -> str | None:
    """Why nothing may be fetched from *url*, or None where it may.

    Keys decide who gets in, so they come over TLS, or without leaving the machine, or because the
    operator has said that plain HTTP is fine here.
    """
    parts = split_url(url)
    if parts is None or parts.scheme not in {"https", "http"}:
        return "not an https:// URL"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "write a URL without user and fragment"
    if parts.scheme == "http" and not allow_http and not _is_loopback(parts.hostname or ""):
        return "http:// is for loopback: write https://, or allow_http: true"
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
