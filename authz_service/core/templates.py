"""Strings of the policy with path variables in them, such as `urn:logto:organization:{org_id}`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_VARIABLE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Template:
    """Literal text with `{name}` wherever the path variable of that name goes."""

    text: str
    variables: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read *text*. Raises ValueError for a brace that belongs to no `{name}`."""
        if "{" in (rest := _VARIABLE.sub("", text)) or "}" in rest:
            message = "a brace here must be part of a path variable such as {id}"
            raise ValueError(message)
        return cls(text, frozenset(_VARIABLE.findall(text)))

    def expand(self, variables: Mapping[str, str]) -> str:
        """Put the values of *variables* in, as they are: a value is never read as a template."""
        if not self.variables:
            return self.text
        return _VARIABLE.sub(lambda match: variables[match[1]], self.text)
