"""A value in a policy file, as something to go further into and to ask where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_service.policy.document import Document, ValuePath
    from authz_service.policy.problems import Position


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a document; `/` goes further in."""

    document: Document
    path: ValuePath = ()

    def __truediv__(self, step: str | int) -> Place:
        """Go to the member or item *step*."""
        return Place(self.document, (*self.path, step))

    @property
    def position(self) -> Position:
        """Where the value stands, or the nearest one around it that the file has."""
        return self.document.position(self.path)
