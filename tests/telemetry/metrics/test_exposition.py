"""Both formats, and both in parts."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as text_families

from authz_service.core.decision import Deny, DenyReason
from authz_service.telemetry.metrics import OPENMETRICS, TEXT, Metrics, format_for
from authz_service.telemetry.metrics import checks as checks_module
from tests.support.measured import with_everything

# What Prometheus 3 sends, in its order.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    "accept",
    [PROMETHEUS, "application/openmetrics-text", "text/plain, Application/OpenMetrics-Text;q=1"],
)
def test_who_reads_openmetrics_gets_it(accept: str) -> None:
    assert format_for(accept) is OPENMETRICS


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "x/application/openmetrics-text"])
def test_everybody_else_gets_text(accept: str) -> None:
    assert format_for(accept) is TEXT


def _many(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """Make metrics with a family that comes in several parts."""
    monkeypatch.setattr(checks_module, "_SERIES_AT_ONCE", 4)
    metrics = with_everything()
    for reason in DenyReason:
        metrics.count(Deny(reason), 0.001)
    return metrics


def test_both_formats_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = _many(monkeypatch)
    text = b"".join(metrics.parts(TEXT)).decode()
    openmetrics = b"".join(metrics.parts(OPENMETRICS)).decode()
    assert "# EOF" not in text
    assert openmetrics.count("# EOF\n") == 1
    assert openmetrics.endswith("\n# EOF\n")
    stable = [
        {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in read(written)
            for sample in family.samples
            if sample.name.startswith("authz_")
        }
        for read, written in ((text_families, text), (openmetrics_families, openmetrics))
    ]
    assert stable[0] == stable[1]
    assert len(stable[0]) > len(DenyReason)


def test_every_part_but_the_last_is_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = list(_many(monkeypatch).parts(OPENMETRICS))
    assert len(parts) > 10
    assert all(part.endswith(b"\n") for part in parts)
    assert parts[-1] == b"# EOF\n"
