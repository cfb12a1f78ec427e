"""Octets that are no CheckRequest, or one that no Envoy would send: refused, never an error."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
from authz_service.core.limits import MAX_HEADERS
from tests.edge.rig import answer, ask, overwritten, reason
from tests.edge.shop import check_request, mint

if TYPE_CHECKING:
    from structlog.typing import EventDict

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse

PUBLIC: Final = check_request("/healthz").SerializeToString(deterministic=True)


def _assert_denies_or_is_public(response: CheckResponse) -> None:
    if response.status.code == 0:
        assert response.dynamic_metadata.fields["route"].string_value == "/healthz"
        assert not overwritten(response)


@pytest.mark.parametrize(
    "message",
    [
        CheckRequest(),
        CheckRequest(attributes={}),
        CheckRequest(attributes={"request": {}}),
        CheckRequest(attributes={"request": {"http": {}}}),
        CheckRequest(attributes={"request": {"http": {"header_map": {"headers": [{}]}}}}),
    ],
    ids=["nothing", "no_request", "no_http", "empty_http", "an_empty_header"],
)
def test_a_check_of_nothing_is_refused(message: CheckRequest) -> None:
    response = answer(message)
    assert (response.status.code, response.denied_response.status.code) == (3, 400)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x00",
        b"\xff" * 20,
        b"\x0a",  # attributes without a length
        b"\x0a\xff\xff\xff\xff\x7f",  # two gigabytes are promised
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length beyond 64 bits
        b"\x0b" * 10_000,  # groups in groups
        b"\x0a\x04\x22\x02\x12\xff",  # http ends early
        b"\x0a\x06\x22\x04\x12\x02\x12\xff",  # method ends early
        b"\x0a\x07\x22\x05\x12\x03\x12\x01\xff",  # a method that is not UTF-8
    ],
)
def test_octets_that_are_no_check_request_are_refused_and_logged(
    octets: bytes, log_events: list[EventDict]
) -> None:
    """No Envoy sends such, so this is for the operator: what speaks there is not Envoy."""
    response = answer(octets)
    assert (response.status.code, response.denied_response.status.code) == (13, 500)
    assert reason(response) == "internal_error"
    assert [(event["event"], event["log_level"]) for event in log_events] == [
        ("check_unreadable", "error")
    ]


@pytest.mark.parametrize(
    "octets",
    [
        b"\x08\x01",  # attributes as a number
        b"\x0b\x0c",  # attributes as a group
        b"\x09" + b"\xff" * 8,  # attributes as eight octets
        b"\x0d" + b"\xff" * 4,  # attributes as four
        b"\x0a\x02\x20\x01",  # request as a number
    ],
)
def test_a_field_of_another_wire_type_is_as_good_as_none(octets: bytes) -> None:
    response = answer(octets)
    assert (response.status.code, response.denied_response.status.code) == (3, 400)


def test_every_truncation_of_a_valid_message_is_answered() -> None:
    assert answer(PUBLIC).status.code == 0
    for response in ask(*(PUBLIC[:length] for length in range(len(PUBLIC)))):
        _assert_denies_or_is_public(response)


def test_a_deep_message_is_refused(log_events: list[EventDict]) -> None:
    octets = b""
    for _ in range(300):
        octets = b"\x0a" + _varint(len(octets)) + octets
    assert answer(octets).status.code != 0
    assert len(log_events) <= 1


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def test_fields_that_this_service_does_not_know_change_nothing() -> None:
    unknown = b"\xfa\x7f\x03abc" + b"\xf8\x7f\x2a"
    plain, more = ask(PUBLIC, PUBLIC + unknown)
    assert plain == more


@pytest.mark.parametrize("size", [100_000, 3_000_000])
def test_a_huge_field_is_refused_by_an_answer_and_not_by_a_grpc_error(size: int) -> None:
    """A client that may send a large body or header must not reach `failure_mode_allow`."""
    response = answer(check_request("/products", headers=[("x-filler", "a" * size)]))
    assert reason(response) == "missing_token"


def test_a_huge_path_is_refused() -> None:
    assert reason(answer(check_request("/" + "a/" * 50_000))) == "ambiguous_path"
    assert reason(answer(check_request("/" + "a/" * 4_000))) == "no_route"


def test_many_headers_are_no_trouble() -> None:
    headers = [(f"x-auth-{number}", "forged") for number in range(MAX_HEADERS - 10)]
    response = answer(check_request("/healthz", headers=headers))
    assert {name for name, _value in headers} <= set(response.ok_response.headers_to_remove)


@settings(deadline=None, max_examples=150)
@given(octets=st.binary(max_size=400))
def test_whatever_octets_arrive_they_get_an_answer(octets: bytes) -> None:
    _assert_denies_or_is_public(answer(octets))


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_a_valid_message_with_changed_octets_earns_no_more_than_before(seed: int) -> None:
    _assert_all_deny_or_are_public(_damaged(PUBLIC, seed))


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_a_damaged_message_with_a_useless_token_is_never_allowed(seed: int) -> None:
    octets = check_request(token=mint({"exp": 1})).SerializeToString(deterministic=True)
    _assert_all_deny_or_are_public(_damaged(octets, seed))


def _assert_all_deny_or_are_public(messages: list[bytes]) -> None:
    for response in ask(*messages):
        _assert_denies_or_is_public(response)


def _damaged(octets: bytes, seed: int) -> list[bytes]:
    """Twenty messages in which one to three octets are others, gone or doubled."""
    chance = random.Random(seed)  # noqa: S311 - for variety
    damaged = []
    for _ in range(20):
        message = bytearray(octets)
        for _ in range(chance.randint(1, 3)):
            position = chance.randrange(len(message))
            message[position : position + 1] = chance.choice(
                [b"", bytes([chance.randrange(256)]), message[position : position + 1] * 2]
            )
        damaged.append(bytes(message))
    return damaged
