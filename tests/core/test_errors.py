"""What is wrong, in words that may be shown to anybody."""

from __future__ import annotations

from authz_service.core.errors import IssuerError


def test_of_what_varies_only_the_status_is_told() -> None:
    assert IssuerError("the key set has no usable key", keys=3).problem == (
        "the key set has no usable key"
    )
    fault = IssuerError("the answer is not 200", url="https://evil.example", status=503)
    assert fault.problem == "the answer is not 200 (status 503)"
