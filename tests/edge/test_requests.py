"""The two ways in which Envoy describes a request lead to one decision."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from tests.edge.rig import Observer, answer, ask, overwritten, reason, removed, servicer
from tests.edge.shop import HOST, REFUSALS, Refusal, check_request, mint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Line = tuple[str, bytes]


def _lines(request: CheckRequest) -> list[Line]:
    headers = request.attributes.request.http.headers
    return [(name, value.encode()) for name, value in headers.items()]


def _without_headers(request: CheckRequest) -> CheckRequest:
    copy = CheckRequest()
    copy.CopyFrom(request)
    copy.attributes.request.http.headers.clear()
    return copy


def _raw(request: CheckRequest, lines: Iterable[Line] | None = None) -> CheckRequest:
    """*request* as with `encode_raw_headers`: each line with its octets, and no map."""
    copy = _without_headers(request)
    for name, octets in _lines(request) if lines is None else lines:
        copy.attributes.request.http.header_map.headers.add(key=name, raw_value=octets)
    return copy


def _listed(request: CheckRequest) -> CheckRequest:
    """*request* with a list of headers whose values are text."""
    copy = _without_headers(request)
    for name, octets in _lines(request):
        copy.attributes.request.http.header_map.headers.add(key=name, value=octets.decode())
    return copy


def _listed_in_both_fields(request: CheckRequest) -> CheckRequest:
    copy = _without_headers(request)
    for name, octets in _lines(request):
        copy.attributes.request.http.header_map.headers.add(
            key=name, value=octets.decode(), raw_value=octets
        )
    return copy


def _told_in_both_ways(request: CheckRequest) -> CheckRequest:
    copy = _raw(request)
    copy.attributes.request.http.headers.update(request.attributes.request.http.headers)
    return copy


def _in_upper_case(request: CheckRequest) -> CheckRequest:
    copy = _without_headers(request)
    for name, octets in _lines(request):
        copy.attributes.request.http.headers[name.upper()] = octets.decode()
    return copy


def _raw_in_upper_case(request: CheckRequest) -> CheckRequest:
    return _raw(request, [(name.upper(), octets) for name, octets in _lines(request)])


FORMS: Final = (
    _raw,
    _listed,
    _listed_in_both_fields,
    _told_in_both_ways,
    _in_upper_case,
    _raw_in_upper_case,
)
EACH_FORM: Final = pytest.mark.parametrize("form", FORMS)


def _allowed_request() -> CheckRequest:
    return check_request(token=mint(), headers=[("x-auth-subject", "forged"), ("cookie", "a=b")])


@EACH_FORM
def test_every_form_of_a_request_is_allowed_alike(
    form: Callable[[CheckRequest], CheckRequest],
) -> None:
    request = _allowed_request()
    cooked, other = ask(request, form(request))
    assert cooked.status.code == 0
    assert other.dynamic_metadata == cooked.dynamic_metadata
    assert overwritten(other) == overwritten(cooked)
    assert removed(other) == removed(cooked)


@EACH_FORM
@pytest.mark.parametrize("refusal", REFUSALS, ids=[refusal.reason for refusal in REFUSALS])
def test_every_form_of_a_request_is_refused_alike(
    form: Callable[[CheckRequest], CheckRequest], refusal: Refusal
) -> None:
    response = answer(form(refusal.request()))
    assert reason(response) == refusal.reason.value


@EACH_FORM
def test_an_authorization_field_without_a_value_is_no_token(
    form: Callable[[CheckRequest], CheckRequest],
) -> None:
    response = answer(form(check_request(headers=[("authorization", "")])))
    assert reason(response) == "missing_token"


@pytest.mark.parametrize("octet", [0x80, 0xC3, 0xE9, 0xFF])
def test_a_raw_octet_above_ascii_in_the_path_is_refused(octet: int) -> None:
    """Envoy writes `!` for it where it does not send raw headers, and the upstream gets it raw."""
    path = b"/me/" + bytes([octet])
    request = check_request("/me/!", token=mint())
    assert answer(request).status.code == 0
    lines = [(name, path if name == ":path" else value) for name, value in _lines(request)]
    response = answer(_raw(request, lines))
    assert reason(response) == "ambiguous_path"
    assert response.denied_response.status.code == 400


def test_the_raw_path_decides_also_where_the_map_tells_of_a_harmless_one() -> None:
    """What the upstream gets is the raw one."""
    request = check_request("/me/!", token=mint())
    lines = [(name, b"/me/\xff" if name == ":path" else value) for name, value in _lines(request)]
    both = _raw(request, lines)
    both.attributes.request.http.headers.update(request.attributes.request.http.headers)
    assert reason(answer(both)) == "ambiguous_path"


def test_the_raw_host_decides() -> None:
    request = check_request(token=mint())
    lines = [
        (name, b"shop.example.com\xff" if name == ":authority" else value)
        for name, value in _lines(request)
    ]
    assert reason(answer(_raw(request, lines))) == "bad_host"


def test_the_raw_value_of_a_line_decides_over_its_text() -> None:
    request = _without_headers(check_request())
    request.attributes.request.http.header_map.headers.add(
        key="authorization", value=f"Bearer {mint()}", raw_value=b"Bearer forged"
    )
    assert reason(answer(request)) == "malformed_token"


def test_two_authorization_lines_are_refused() -> None:
    line = ("authorization", f"Bearer {mint()}".encode())
    request = check_request()
    response = answer(_raw(request, [*_lines(request), line, line]))
    assert reason(response) == "malformed_credentials"


def test_two_authorization_lines_that_differ_in_case_are_refused() -> None:
    token = f"Bearer {mint()}".encode()
    request = check_request()
    lines = [*_lines(request), ("authorization", token), ("Authorization", token)]
    assert reason(answer(_raw(request, lines))) == "malformed_credentials"


def test_two_ways_of_telling_that_name_two_tokens_are_refused() -> None:
    request = check_request(token=mint())
    other = f"Bearer {mint({'sub': 'other'})}".encode()
    both = _raw(request, [("authorization", other)])
    both.attributes.request.http.headers.update(request.attributes.request.http.headers)
    assert reason(answer(both)) == "malformed_credentials"


@pytest.mark.parametrize("second", ["Bearer {}", "Basic dXNlcjpwYXNz", "bearer", "x", ""])
def test_authorization_lines_that_envoy_joined_are_refused(second: str) -> None:
    token = mint()
    headers = [("authorization", f"Bearer {token}"), ("authorization", second.format(token))]
    response = answer(check_request(headers=headers))
    assert reason(response) == "malformed_credentials"
    assert response.denied_response.status.code == 400


@pytest.mark.parametrize("name", ["authorization ", "authorization\x00", "\uff41uthorization"])
def test_a_name_that_only_looks_like_authorization_is_another(name: str) -> None:
    assert reason(answer(check_request(headers=[(name, f"Bearer {mint()}")]))) == "missing_token"


def test_octets_above_ascii_in_the_token_are_refused() -> None:
    request = check_request()
    line = ("authorization", b"Bearer " + mint().encode() + b"\xc3\xa9")
    response = answer(_raw(request, [*_lines(request), line]))
    assert reason(response) == "malformed_credentials"


def test_the_path_of_the_message_counts_where_no_pseudo_header_is_sent() -> None:
    """Envoy may be set to send some of the headers only (`allowed_headers`)."""
    request = _without_headers(check_request("/healthz"))
    assert answer(request).status.code == 0


def test_an_empty_pseudo_header_is_refused_and_not_replaced_by_the_message() -> None:
    request = check_request("/healthz")
    lines = [(name, b"" if name == ":path" else value) for name, value in _lines(request)]
    assert reason(answer(_raw(request, lines))) == "ambiguous_path"


@pytest.mark.parametrize("host", [HOST, HOST.upper(), f"{HOST}.", f"{HOST}:8443"])
def test_every_spelling_of_the_host_is_understood(host: str) -> None:
    assert answer(check_request("/healthz", host=host)).status.code == 0


def test_what_envoys_configuration_adds_is_told_to_the_log_and_changes_nothing() -> None:
    told = {"gateway": "edge", "x-auth-subject": "mallory"}
    for request in (check_request(token=mint()), check_request()):
        plain, observer = answer(request), Observer()
        request.attributes.context_extensions.update(told)
        assert answer(request, served=partial(servicer, observe=observer)) == plain
        (check,) = observer.checks
        assert check.context_extensions == told
