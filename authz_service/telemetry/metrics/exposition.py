"""The formats in which a scrape is answered, and the answer in parts.

To write out thousands of series takes tens of milliseconds, and no Check is answered meanwhile. So
whoever scrapes gets one small part after the other, and lets others work in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client.core import Metric


@dataclass(frozen=True, slots=True)
class Format:
    """How families are written; *ending* is what comes once, after all of them."""

    content_type: str
    write: Callable[[Collector], bytes]
    ending: bytes = b""

    def parts(self, families: Iterable[Metric]) -> Iterator[bytes]:
        """Write *families*, each for itself. Those of one name that follow each other are one."""
        before = None
        for family in families:
            part = self.write(_Only(family)).removesuffix(self.ending)
            yield _samples_alone(part) if family.name == before else part
            before = family.name
        yield self.ending


TEXT: Final = Format("text/plain; version=0.0.4; charset=utf-8", generate_latest)
"""What every version of Prometheus reads."""

OPENMETRICS: Final = Format(
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
    openmetrics.generate_latest,
    b"# EOF\n",
)


def format_for(accept: str) -> Format:
    """OpenMetrics where *accept*, a field of that name, has it; else the text format."""
    types = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    return OPENMETRICS if "application/openmetrics-text" in types else TEXT


class _Only(Collector):
    """One family."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        return (self._family,)


def _samples_alone(part: bytes) -> bytes:
    """Leave out `HELP` and `TYPE`, which were there already."""
    while part.startswith(b"#"):
        part = part.partition(b"\n")[2]
    return part
