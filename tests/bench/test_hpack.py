"""Header blocks, by the examples of RFC 7541."""

from __future__ import annotations

import pytest

from bench.hpack import HeaderBlocks, integer, without_size_updates

EXAMPLE = (
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "www.example.com"),
)


@pytest.mark.parametrize(
    ("value", "prefix", "kind", "octets"),
    [
        (10, 5, 0, "0a"),  # appendix C.1.1
        (1337, 5, 0, "1f9a0a"),  # appendix C.1.2
        (42, 8, 0, "2a"),  # appendix C.1.3
        (30, 5, 0, "1e"),
        (31, 5, 0, "1f00"),
        (62, 7, 0x80, "be"),
    ],
)
def test_an_integer_takes_as_many_octets_as_it_needs(
    value: int, prefix: int, kind: int, octets: str
) -> None:
    assert integer(value, prefix, kind).hex() == octets


def test_the_first_block_writes_out_what_it_puts_into_the_table() -> None:
    # Appendix C.3.1.
    expected = "828684410f7777772e6578616d706c652e636f6d"
    assert HeaderBlocks(EXAMPLE).first({}).hex() == expected


def test_later_blocks_name_the_entries_alone() -> None:
    blocks = HeaderBlocks((*EXAMPLE, ("custom-key", "custom-value")))
    # Appendices C.3.2 and C.3.3: the newest entry is 62, the one before it 63.
    assert blocks.later({}).hex() == "828684bfbe"


def test_a_field_with_a_name_of_its_own_is_written_out_once() -> None:
    # Appendix C.2.1.
    block = HeaderBlocks([("custom-key", "custom-header")]).first({})
    assert block.hex() == "400a637573746f6d2d6b65790d637573746f6d2d686561646572"


def test_what_varies_is_written_out_each_time_and_enters_no_table() -> None:
    blocks = HeaderBlocks([(":path", None), (":authority", "www.example.com")])
    # Appendix C.2.2.
    path = "040c2f73616d706c652f70617468"
    assert blocks.first({":path": "/sample/path"}).hex().startswith(path)
    assert blocks.later({":path": "/sample/path"}).hex() == path + "be"


def test_a_long_value_has_a_length_of_several_octets() -> None:
    block = HeaderBlocks([("authorization", None)]).later({"authorization": "a" * 300})
    assert block == bytes.fromhex("0f087fad01") + b"a" * 300


def test_fields_that_would_push_each_other_out_are_refused() -> None:
    with pytest.raises(ValueError, match="dynamic table"):
        HeaderBlocks([("x-1", "a" * 3000), ("x-2", "a" * 2000)])


@pytest.mark.parametrize("updates", ["", "20", "3fe11f", "203fe11f"])
def test_changes_of_the_tables_size_are_passed_over(updates: str) -> None:
    # Appendix C has none: 0, 4096, and both (section 4.2).
    assert without_size_updates(bytes.fromhex(updates + "88c1")) == bytes.fromhex("88c1")
