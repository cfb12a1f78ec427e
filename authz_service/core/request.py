"""The request as it is judged: a host and a path that can be read in one way only.

An ambiguous host or path is refused here, never repaired: a repair is a guess of how the upstream
will read it, and the upstream may guess otherwise.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What Envoy said of a request, not yet judged.

    *authority* is the `Host` field or `:authority`, *target* the `:path` with its query.
    *headers* holds every field line as Envoy gave it, names in lower case, in no useful order.
    """

    method: str
    authority: str
    target: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def header_values(self, name: str) -> list[str]:
        """Every value that the request has under *name*, which is in lower case."""
        return [value for key, value in self.headers if key == name]


_HOSTS_REMEMBERED: Final = 256
_MAX_AUTHORITY: Final = 255 + len(":65535")  # RFC 1035, section 2.3.4, and a port

_HOST: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\.?(?::[0-9]{1,5})?", re.ASCII
)
_IPV6_HOST: Final = re.compile(r"\[(?P<address>[0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Host:
    """A host name or address in its normal form: lower case, no port, no trailing dot."""

    name: str

    @classmethod
    @lru_cache(_HOSTS_REMEMBERED)  # a service has few, and each comes again and again
    def parse(cls, authority: str) -> Host:
        """Read the `uri-host [":" port]` of RFC 9110, section 7.2.

        Raises AccessDenied (bad_host) for userinfo, a list, an empty label, a zone, nothing.
        """
        if len(authority) > _MAX_AUTHORITY:
            raise AccessDenied(DenyReason.BAD_HOST)
        if match := _HOST.fullmatch(authority):
            return cls(match["name"].lower())
        if match := _IPV6_HOST.fullmatch(authority):
            try:
                return cls(f"[{ipaddress.IPv6Address(match['address']).compressed}]")
            except ValueError:
                pass
        raise AccessDenied(DenyReason.BAD_HOST)


# Visible ASCII but for "\" and "#": what a client may write in a path, as far as we go along.
# RFC 3986 allows less; Envoy lets more pass, and upstreams differ in what they make of it.
_RAW_PATH: Final = re.compile(r"/[!-~]*", re.ASCII)
_MAX_PATH: Final = 8 * 1024  # characters; each segment costs time before anything is known
_NO_SEGMENT: Final = frozenset({"", ".", ".."})
_RAW_REFUSED: Final = re.compile(r"[\\#]")
# Paths as nearly all are: with neither escapes nor parameters, and nothing to refuse.
_PLAIN_PATH: Final = re.compile(
    r"""(?=/)(?:/(?!\.\.?(?:[/?]|\Z))[!"$&-.0-:<->@-\[\]-~]++)*+/?+(?=\?|\Z)""", re.ASCII
)
_MALFORMED_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class RequestPath:
    """A path, split at `/` first and then percent-decoded once, segment by segment.

    *segments* leave out one trailing slash and any `;` parameters.
    Whether `%2F` in a segment or `;` parameters are acceptable is for the matched resource to say,
    so they are noted here and refused there.
    """

    segments: tuple[str, ...]
    has_encoded_slash: bool = False
    has_parameters: bool = False

    @classmethod
    def parse(cls, target: str) -> RequestPath:
        """Read *target* up to the first `?`.

        Raises AccessDenied (ambiguous_path) for all that an upstream could read differently.
        """
        plain = _PLAIN_PATH.match(target, 0, _MAX_PATH + 1)  # of a longer one no more is looked at
        if plain is not None and plain.end() <= _MAX_PATH:
            return cls(_split(plain[0]))
        return cls._parse_unusual(target.partition("?")[0])

    @classmethod
    def _parse_unusual(cls, raw_path: str) -> RequestPath:
        if (
            len(raw_path) > _MAX_PATH
            or not _RAW_PATH.fullmatch(raw_path)
            or _RAW_REFUSED.search(raw_path)
            or _MALFORMED_ESCAPE.search(raw_path)
        ):
            raise AccessDenied(DenyReason.AMBIGUOUS_PATH)
        segments = tuple(map(_parse_segment, _split(raw_path)))
        return cls(
            segments,
            has_encoded_slash=any("/" in segment for segment in segments),
            has_parameters=";" in raw_path,
        )


def _split(raw_path: str) -> tuple[str, ...]:
    """Split at `/`: `/products/` is `/products`, and `/` has no segments."""
    return tuple(raw_path[1:].removesuffix("/").split("/")) if raw_path != "/" else ()


def _parse_segment(raw: str) -> str:
    """The decoded segment without its `;` parameters, which must hide nothing either."""
    name, _, parameters = raw.partition(";")
    segment = _percent_decode(name)
    if not is_unambiguous_segment(segment) or not _is_plain(_percent_decode(parameters), "/"):
        raise AccessDenied(DenyReason.AMBIGUOUS_PATH)
    return segment


def _percent_decode(raw: str) -> str:
    if "%" not in raw:
        return raw
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise AccessDenied(DenyReason.AMBIGUOUS_PATH) from None


def is_unambiguous_segment(segment: str) -> bool:
    """Whether no upstream can take the decoded *segment* for anything but this one segment.

    A `%` might be decoded a second time, a backslash taken for `/`, a control character cut short.
    An encoded `/` or `;` may be data, but to a server that decodes before it splits, what is around
    it must not be dots or nothing.
    """
    return _is_plain(segment) and all(
        part.partition(";")[0] not in _NO_SEGMENT for part in segment.split("/")
    )


def _is_plain(decoded: str, also_refused: str = "") -> bool:
    return not any(character in decoded for character in "%\\" + also_refused) and (
        decoded.isprintable() or not has_control_character(decoded)
    )


def has_control_character(text: str) -> bool:
    """Whether *text* holds a character of Unicode's category Cc: C0, DEL or C1."""
    return any(unicodedata.category(character) == "Cc" for character in text)
