"""A drafted policy as YAML, as a person would write it.

Every value that comes from outside is written by the YAML emitter or is checked to be plain; in a
comment, what cannot be printed is escaped, so nothing can end the line.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import yaml

from authz_service.core.hosts import ANY_HOST
from authz_service.core.urls import split_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from authz_service.openapi.draft import Draft, DraftResource, DraftRoute
    from authz_service.openapi.security import Access

_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*(?::[A-Za-z0-9_./-]+)*", re.ASCII)
_PLAIN_PATH: Final = re.compile(r"/(?:[A-Za-z0-9_.~/-]|\{[A-Za-z_][A-Za-z0-9_]*\})*", re.ASCII)
_NOT_STRINGS: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Words:
    """What a policy says that its operations do not. *remarks* open the file.

    Each issuer and the audience come with a remark, empty where there is nothing to check.
    """

    name: str
    issuers: tuple[tuple[str, str], ...]
    audience: tuple[str, str]
    preset: str | None = None
    remarks: tuple[str, ...] = ()


def policy_text(draft: Draft, words: Words) -> str:
    """Write *draft* as a policy file."""
    return "\n".join(_lines(draft, words)) + "\n"


def scalar(text: str) -> str:
    """A string value: plain where no reader takes it for anything else, quoted otherwise."""
    escaped = text.replace("${", "$${")  # the loader replaces what ${ begins
    if _PLAIN.fullmatch(escaped) and escaped.lower() not in _NOT_STRINGS:
        return escaped
    dumped: str = yaml.dump(escaped, default_style='"', width=math.inf)
    return dumped.removesuffix("\n")


def comment(text: str) -> str:
    """A comment that ends where its line ends, whatever *text* holds."""
    text = text[:300]
    if not text.isprintable():
        text = "".join(
            character if character.isprintable() else character.encode("unicode_escape").decode()
            for character in text
        )
    return f"# {text[:300]}"


def _lines(draft: Draft, words: Words) -> Iterator[str]:
    yield from (comment(remark) for remark in words.remarks)
    yield "version: 1"
    if words.issuers:
        yield from ("", "issuers:")
        yield from _issuers(words)
    yield ""
    if not draft.resources:
        yield "resources: []"
        return
    yield "resources:"
    for number, resource in enumerate(draft.resources, 1):
        name = words.name if number == 1 else f"{words.name}-{number}"
        yield from _resource(resource, name, words)


def _issuers(words: Words) -> Iterator[str]:
    names: set[str] = set()
    for number, (issuer, remark) in enumerate(words.issuers, 1):
        yield from _remarked(f"  - issuer: {scalar(issuer)}", remark)
        parts = split_url(issuer)
        default = (parts.hostname if parts else None) or issuer
        if default in names:  # two issuers at one host
            yield f"    name: {scalar(f'{default}-{number}')}"
        names.add(default)
        if words.preset is not None:
            yield f"    preset: {scalar(words.preset)}"


def _resource(resource: DraftResource, name: str, words: Words) -> Iterator[str]:
    audience, remark = words.audience
    yield f"  - name: {scalar(name)}"
    yield from _remarked(f"    audience: {scalar(audience)}", remark)
    if resource.hosts != (ANY_HOST,):
        hosts = [scalar(str(host)) for host in resource.hosts]
        yield from _list("    hosts: ", hosts)
    yield "    routes:"
    for route in resource.routes:
        yield from _route(route, tuple(issuer for issuer, _remark in words.issuers))


def _list(start: str, items: Sequence[str]) -> Iterator[str]:
    line = f"{start}[{', '.join(items)}]"
    if len(line) <= _WIDTH:
        yield line
        return
    yield start.rstrip()
    indent = " " * (len(start) - len(start.lstrip()) + 2)
    yield from (f"{indent}- {item}" for item in items)


def _route(route: DraftRoute, issuers: tuple[str, ...]) -> Iterator[str]:
    path = route.pattern if _PLAIN_PATH.fullmatch(route.pattern) else scalar(route.pattern)
    yield from (f"      {comment(remark)}" for remark in route.remarks)
    yield f"      - path: {path}"
    let_in = [(method, needed) for method, needed in route.methods if not needed.denied]
    remarks = [remark for _method, needed in route.methods for remark in needed.remarks]
    if len(let_in) == len(route.methods) == 1:
        (method, needed) = let_in[0]
        line = f"        methods: {{{method}: {_access(needed, issuers)}}}"
        if len(line) <= _WIDTH and len(remarks) <= 1:
            yield from _remarked(line, *remarks)
            return
    if not let_in:
        lines = [f"{method}: {each}" for method, needed in route.methods for each in needed.remarks]
        yield from (f"        {comment(line)}" for line in lines)
        yield "        methods: {}"
        return
    yield "        methods:"
    for method, needed in route.methods:
        if needed.denied:
            yield from (f"          {comment(f'{method}: {each}')}" for each in needed.remarks)
        else:
            yield from _remarked(f"          {method}: {_access(needed, issuers)}", *needed.remarks)


def _access(needed: Access, issuers: tuple[str, ...]) -> str:
    if needed.public:
        return "public"
    fields: list[str] = []
    if needed.optional:
        fields.append("optional: true")
    limited = needed.issuers is not None and not set(issuers) <= needed.issuers
    if needed.scopes or not (needed.any_scope or needed.optional or limited):
        fields.append(f"scopes: {_flow(needed.scopes)}")
    if needed.any_scope:
        fields.append(f"any_scope: {_flow(needed.any_scope)}")
    if limited:
        allowed = [issuer for issuer in issuers if issuer in (needed.issuers or ())]
        value = scalar(allowed[0]) if len(allowed) == 1 else f"{{any_of: {_flow(allowed)}}}"
        fields.append(f"claims: {{iss: {value}}}")
    if fields == [f"scopes: {_flow(needed.scopes)}"]:
        return _flow(needed.scopes)
    return "{" + ", ".join(fields) + "}"


def _flow(items: Iterable[str]) -> str:
    return "[" + ", ".join(scalar(item) for item in items) + "]"


def _remarked(line: str, *remarks: str) -> Iterator[str]:
    """*line* with one short remark behind it, or with all of them before it."""
    comments = [comment(remark) for remark in remarks if remark]
    if len(comments) == 1 and len(line) + 1 + len(comments[0]) <= _WIDTH:
        yield f"{line} {comments[0]}"
        return
    indent = " " * (len(line) - len(line.lstrip()))
    yield from (f"{indent}{each}" for each in comments)
    yield line
