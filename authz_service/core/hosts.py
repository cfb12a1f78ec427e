"""Host patterns, and the choice of one for a request, as Envoy chooses a virtual host."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from authz_service.core.errors import AccessDenied
from authz_service.core.request import Host

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HostPattern:
    """A host, or with *wildcard* every host at any depth below it; `*` is every host."""

    name: str
    wildcard: bool = False

    @classmethod
    def parse(cls, text: str) -> HostPattern:
        """Read `shop.example.com`, `*.example.com` or `*`.

        Raises ValueError, saying what to write instead where that is known.
        """
        if text == "*":
            return ANY_HOST
        name = text.removeprefix("*.")
        try:
            host = Host.parse(name)
        except AccessDenied:
            raise ValueError("a host is a name, *.name, an address or *") from None
        if name != text and name.startswith("["):
            raise ValueError("there is nothing below an address: write it without *.")
        if host.name != name:
            wildcard = "*." if name != text else ""
            raise ValueError(f"write {wildcard}{host.name}: no port, no upper case, no last dot")
        return cls(host.name, wildcard=name != text)

    def __str__(self) -> str:
        """The pattern as the policy spells it."""
        if not self.wildcard:
            return self.name
        return f"*.{self.name}" if self.name else "*"


ANY_HOST = HostPattern("", wildcard=True)


@dataclass(frozen=True, slots=True)
class HostIndex(Generic[T]):
    """One value for each host pattern."""

    values: Mapping[HostPattern, T]
    _exact: Mapping[str, T] = field(init=False, repr=False, compare=False)
    _below: Mapping[str, T] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Spell once what every host is looked up in: by its name, and by what it is below."""
        exact = {host.name: value for host, value in self.values.items() if not host.wildcard}
        below = {host.name: value for host, value in self.values.items() if host.wildcard}
        object.__setattr__(self, "_exact", exact)
        object.__setattr__(self, "_below", below)

    def find(self, host: Host) -> T | None:
        """The value of the exact host, else of the longest wildcard, else of any host, else None.

        The choice is final: what it does not hold is not looked for under another pattern.
        """
        exact = self._exact.get(host.name)
        if exact is not None:
            return exact
        suffix = host.name
        while suffix:
            suffix = suffix.partition(".")[2]
            value = self._below.get(suffix)
            if value is not None:
                return value
        return None
