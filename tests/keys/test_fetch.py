"""One bounded GET, against servers that answer, and servers that do not play along."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

from authz_service.core.errors import IssuerError
from authz_service.keys.exchange import Exchange as HttpExchange
from authz_service.keys.fetch import MAX_DOCUMENT_BYTES, Fetched, HttpFetcher
from tests.support.event_loops import eventually, in_event_loop
from tests.support.hostile_issuer import (
    JWKS,
    Request,
    fake_issuer,
    hangs,
    has,
    response,
    says,
    sends_endlessly,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.hostile_issuer import Behaviour, Exchange, FakeIssuer

SOON: Final = 0.25  # seconds, for a fetch that must run out of time
LATER: Final = 20.0  # seconds, for one that must not
DOCUMENT: Final = b'{"keys": []}'
GZIPPED: Final = gzip.compress(DOCUMENT, mtime=0)  # the same in every process


async def get(issuer: FakeIssuer, *, within: float = LATER, etag: str | None = None) -> Fetched:
    async with HttpFetcher() as fetcher:
        return await fetcher.get(issuer.jwks_uri, within=within, etag=etag)


async def fault_of(issuer: FakeIssuer, *, within: float = LATER) -> IssuerError:
    with pytest.raises(IssuerError) as raised:
        await get(issuer, within=within)
    return raised.value


def coded(coding: str, octets: bytes) -> bytes:
    return response(octets, f"Content-Encoding: {coding}")


@in_event_loop
async def test_the_document_comes_with_its_etag_and_its_age() -> None:
    async with fake_issuer(
        {JWKS: has(DOCUMENT, etag='W/"1"', cache_control="max-age=60")}
    ) as issuer:
        assert await get(issuer) == Fetched(DOCUMENT, 'W/"1"', 60.0)
        assert issuer.count() == 1


@pytest.mark.parametrize(
    ("cache_control", "max_age"),
    [
        ("max-age=0", 0.0),
        ("public, max-age=3600", 3600.0),
        ("Public,Max-Age = 300, must-revalidate", 300.0),
        ('max-age="15"', 15.0),
        ("max-age=99999999999999999999", 9999999999.0),
        ("s-maxage=60", None),
        ("max-age=", None),
        ("max-age=-1", None),
        ("max-age=soon", None),
        ("no-store", None),
        ("", None),
    ],
)
@in_event_loop
async def test_the_age_is_what_cache_control_says(
    cache_control: str, max_age: float | None
) -> None:
    async with fake_issuer({JWKS: has(DOCUMENT, cache_control=cache_control)}) as issuer:
        assert (await get(issuer)).max_age == max_age


@in_event_loop
async def test_an_etag_makes_the_get_conditional() -> None:
    async with fake_issuer({JWKS: has(DOCUMENT, etag='"1"', cache_control="max-age=5")}) as issuer:
        assert await get(issuer, etag='"1"') == Fetched(None, '"1"', 5.0)
        assert await get(issuer, etag='"0"') == Fetched(DOCUMENT, '"1"', 5.0)
        assert [request.field("if-none-match") for request in issuer.requests] == ['"1"', '"0"']


@in_event_loop
async def test_the_request_says_no_more_than_it_must() -> None:
    async with fake_issuer({JWKS: has(DOCUMENT)}) as issuer:
        await get(issuer)
        (request,) = issuer.requests
        assert request.method == "GET"
        assert request.field("accept") == "application/json"
        assert request.field("accept-encoding") == "identity"
        assert {name for name, _ in request.fields} <= {
            *("host", "accept", "accept-encoding", "user-agent", "connection"),
        }


@in_event_loop
async def test_cookies_are_not_sent_back() -> None:
    baked = response(DOCUMENT, "Set-Cookie: id=1; Path=/", "Set-Cookie: =;;=\xff", "Set-Cookie: x")
    async with fake_issuer({JWKS: says(baked)}) as issuer, HttpFetcher() as fetcher:
        for _ in range(2):
            await fetcher.get(issuer.jwks_uri, within=LATER)
        assert [request.field("cookie") for request in issuer.requests] == [None, None]


@in_event_loop
async def test_neither_a_proxy_nor_a_netrc_is_taken_from_the_environment() -> None:
    with pytest.MonkeyPatch.context() as environment:
        async with fake_issuer({JWKS: has(DOCUMENT)}) as issuer, fake_issuer() as proxy:
            for name in ("http_proxy", "https_proxy", "all_proxy"):
                environment.setenv(name, proxy.origin)
                environment.setenv(name.upper(), proxy.origin)
            for name in ("no_proxy", "NO_PROXY"):
                environment.setenv(name, "")
            assert (await get(issuer)).document == DOCUMENT
            assert issuer.count() == 1
            assert proxy.count() == 0


@in_event_loop
async def test_a_netrc_is_not_read(tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login anna password secret\n")
    netrc.chmod(0o600)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NETRC", str(netrc))
        async with fake_issuer({JWKS: has(DOCUMENT)}) as issuer:
            await get(issuer)
            assert issuer.requests[0].field("authorization") is None


@pytest.mark.parametrize(
    "status",
    [
        *("201 Created", "204 No Content", "206 Partial Content", "304 Not Modified"),
        *("400 Bad Request", "401 Unauthorized", "404 Not Found", "500 Oops", "503 Busy", "999 ?"),
    ],
)
@in_event_loop
async def test_no_status_but_200_gives_a_document(status: str) -> None:
    body = b"" if status[:3] in {"204", "304"} else DOCUMENT
    async with fake_issuer({JWKS: says(response(body, status=status))}) as issuer:
        fault = await fault_of(issuer)
        assert fault.message == "the answer is not 200"
        assert fault.fields == {"url": issuer.jwks_uri, "status": int(status[:3])}
        assert issuer.count() == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    ["/elsewhere", JWKS, "file:///etc/passwd", "//elsewhere.example/jwks", "", "http://[", "\xff"],
)
@in_event_loop
async def test_a_redirect_is_not_followed(status: int, location: str) -> None:
    moved = response(b"", f"Location: {location}", status=f"{status} Moved")
    async with fake_issuer({JWKS: says(moved), "/elsewhere": has(DOCUMENT)}) as issuer:
        fault = await fault_of(issuer)
        assert fault.message == "the answer is a redirect, which is not followed"
        assert fault.fields == {"url": issuer.jwks_uri, "status": status}
        assert [request.path for request in issuer.requests] == [JWKS]


@pytest.mark.parametrize(
    ("coding", "octets"),
    [
        ("identity", DOCUMENT),
        ("Identity", DOCUMENT),
        ("gzip", GZIPPED),
        ("X-GZIP", GZIPPED),
        ("deflate", zlib.compress(DOCUMENT)),
    ],
)
@in_event_loop
async def test_a_content_coding_that_was_not_asked_for_is_undone_where_it_is_well_known(
    coding: str, octets: bytes
) -> None:
    async with fake_issuer({JWKS: says(coded(coding, octets))}) as issuer:
        assert (await get(issuer)).document == DOCUMENT


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "gzip, gzip", "gzip, identity", "aes128gcm", "", "\xff"]
)
@in_event_loop
async def test_any_other_content_coding_is_refused(coding: str) -> None:
    async with fake_issuer({JWKS: says(coded(coding, GZIPPED))}) as issuer:
        fault = await fault_of(issuer)
        assert fault.message == "the answer has a content coding that was not asked for"
        assert issuer.count() == 1


@pytest.mark.parametrize(
    ("coding", "octets"),
    [
        pytest.param("gzip", b"not gzip at all", id="not gzip"),
        pytest.param("gzip", DOCUMENT, id="not compressed"),
        pytest.param("gzip", GZIPPED[:10] + b"\xff" * 20, id="junk inside"),
        pytest.param("gzip", GZIPPED[:-12], id="cut short"),
        pytest.param("gzip", GZIPPED[:-8], id="without its checksum"),
        pytest.param("gzip", GZIPPED[:-8] + bytes(8), id="wrong checksum"),
        pytest.param("deflate", zlib.compress(DOCUMENT)[2:-4], id="raw deflate"),
        pytest.param("deflate", zlib.compress(DOCUMENT)[:-4] + bytes(4), id="wrong Adler-32"),
    ],
)
@in_event_loop
async def test_a_broken_content_coding_is_refused(coding: str, octets: bytes) -> None:
    async with fake_issuer({JWKS: says(coded(coding, octets))}) as issuer:
        fault = await fault_of(issuer)
        assert fault.message == "the answer's content coding is broken"
        assert issuer.count() == 1


@in_event_loop
async def test_a_coding_is_undone_once_only() -> None:
    nested = gzip.compress(GZIPPED)
    async with fake_issuer({JWKS: says(coded("gzip", nested))}) as issuer:
        once_undone = (await get(issuer)).document
        assert once_undone is not None
        assert gzip.decompress(once_undone) == DOCUMENT


@pytest.mark.parametrize(
    ("coding", "code"),
    [("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)],
)
@pytest.mark.parametrize("too_many", [0, 1])
@in_event_loop
async def test_a_document_may_have_a_mebibyte_and_no_byte_more(
    coding: str, code: Callable[[bytes], bytes], too_many: int
) -> None:
    document = b" " * (MAX_DOCUMENT_BYTES + too_many)
    async with fake_issuer({JWKS: says(coded(coding, code(document)))}) as issuer:
        if too_many:
            fault = await fault_of(issuer)
            assert fault.message == "the answer is too large"
            assert fault.fields["at_most"] == 1024 * 1024
        else:
            assert (await get(issuer)).document == document
        assert issuer.count() == 1


@pytest.mark.parametrize("code", [gzip.compress, zlib.compress])
@in_event_loop
async def test_a_bomb_is_given_up_before_it_goes_off(code: Callable[[bytes], bytes]) -> None:
    bomb = code(bytes(64 * MAX_DOCUMENT_BYTES))
    assert len(bomb) < MAX_DOCUMENT_BYTES
    async with fake_issuer({JWKS: says(coded("gzip", bomb))}) as issuer:
        assert (await fault_of(issuer)).message == "the answer is too large"


NOT_HTTP: Final = "no answer: what came is not HTTP"
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "again", "message"),
    [
        pytest.param(
            CHUNKED, b"10000\r\n" + b" " * 65536 + b"\r\n", "the answer is too large", id="chunks"
        ),
        pytest.param(
            response(b"", length=10**12), b" " * 65536, "the answer is too large", id="a length"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536, "the answer is too large", id="until the end"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 500, NOT_HTTP, id="field lines"),
        pytest.param(b"HTTP/1.1 200 OK\r\nA:", b"b" * 4096, NOT_HTTP, id="a field line"),
        pytest.param(b"HTTP/1.1 200 ", b"OK" * 4096, NOT_HTTP, id="the status line"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\n", b"A: b\r\n" * 500, NOT_HTTP, id="trailers"),
        pytest.param(CHUNKED + b"2;", b"a" * 256, NOT_HTTP, id="a chunk's extension"),
        pytest.param(b"", b"HTTP/1.1 103 Early\r\n\r\n", NOT_HTTP, id="informational answers"),
    ],
)
@in_event_loop
async def test_what_has_no_end_is_given_up_long_before_the_time_is(
    head: bytes, again: bytes, message: str
) -> None:
    async with fake_issuer({JWKS: sends_endlessly(head, again)}) as issuer:
        assert (await fault_of(issuer)).message == message
        assert issuer.count() == 1


async def drips_its_head(exchange: Exchange) -> None:
    await exchange.drip(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 4096, every=0.01)


async def drips_its_body(exchange: Exchange) -> None:
    await exchange.send(response(b"", length=4096), last=False)
    await exchange.drip(b" ", every=0.01)


async def stops_in_the_middle(exchange: Exchange) -> None:
    await exchange.send(response(DOCUMENT, length=4096), last=False)
    await hangs(exchange)


def stays_after(octets: bytes) -> Behaviour:
    async def behaviour(exchange: Exchange) -> None:
        await exchange.send(octets, last=False)
        await hangs(exchange)

    return behaviour


@pytest.mark.parametrize(
    "behaviour",
    [
        hangs,
        drips_its_head,
        drips_its_body,
        stops_in_the_middle,
        pytest.param(sends_endlessly(CHUNKED, b"1\r\n \r\n"), id="sends_chunks_of_a_byte"),
        pytest.param(stays_after(b"HTTP/1."), id="stops_in_its_first_line"),
    ],
)
@in_event_loop
async def test_the_whole_fetch_is_bounded_in_time(behaviour: Behaviour) -> None:
    async with fake_issuer({JWKS: behaviour}) as issuer:
        started = time.perf_counter()
        fault = await fault_of(issuer, within=SOON)
        assert SOON * 0.9 <= time.perf_counter() - started < LATER / 2
        assert fault.message == "no answer in time, while reading"
        assert issuer.count() == 1


@in_event_loop
async def test_a_server_that_floods_leaves_the_event_loop_to_others() -> None:
    flood = sends_endlessly(CHUNKED, b"1\r\n \r\n" * 1000)  # chunks of a byte
    async with fake_issuer({JWKS: flood}) as issuer:
        fetch = asyncio.create_task(fault_of(issuer, within=SOON))
        turns = 0
        while not fetch.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 10


async def resets_at_once(exchange: Exchange) -> None:
    exchange.reset()


async def resets_in_the_middle(exchange: Exchange) -> None:
    await exchange.send(response(DOCUMENT, length=4096), last=False)
    exchange.reset()


BROKEN: Final = {
    f"no answer: {why}"
    for why in (
        *("connection closed by the server", "connection reset"),
        *("what came is not HTTP", "what came was cut short"),
    )
}
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


def coded_twice(codings: bytes) -> bytes:
    """An answer in chunks, whose Transfer-Encoding says something else."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + codings
    return head + b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "behaviour",
    [
        resets_at_once,
        resets_in_the_middle,
        pytest.param(says(b""), id="closes_without_a_word"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\n"), id="closes_in_its_head"),
        pytest.param(says(DOCUMENT), id="no_head"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.9\r\n"), id="another_protocol"),
        pytest.param(says(b"\x15\x03\x01\x00\x02\x02\x46"), id="tls_alert"),
        pytest.param(says(b"HTTP/1.1 abc OK\r\n\r\n{}"), id="status_is_no_number"),
        pytest.param(says(b"HTTP/9.9 200 OK\r\n\r\n{}"), id="unknown_version"),
        pytest.param(says(OK + b"this is no field line\r\n\r\n{}"), id="no_colon"),
        pytest.param(says(OK + b"A B: c\r\n\r\n{}"), id="space_in_a_name"),
        pytest.param(says(OK + b"A : b\r\n\r\n{}"), id="space_after_a_name"),
        pytest.param(says(OK + b"A: b\0c\r\n\r\n{}"), id="nul_in_a_value"),
        pytest.param(says(OK + b"A: b\rc\r\n\r\n{}"), id="cr_in_a_value"),
        pytest.param(says(OK + b"A: " + b"b" * 10_000 + b"\r\n\r\n{}"), id="long_field_line"),
        pytest.param(says(OK + b"A: b\r\n" * 1000 + b"\r\n{}"), id="a_thousand_field_lines"),
        pytest.param(says(OK + b"Content-Length: 3\r\n\r\n{} "), id="two_lengths"),
        pytest.param(
            says(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"), id="both"
        ),
        pytest.param(says(response(DOCUMENT, length=-1)), id="negative_length"),
        pytest.param(says(response(DOCUMENT, length=10**30)), id="absurd_length"),
        pytest.param(says(response(DOCUMENT, length=len(DOCUMENT) + 1)), id="length_too_long"),
        pytest.param(says(response(DOCUMENT, length=len(DOCUMENT) - 1)), id="length_too_short"),
        pytest.param(says(CHUNKED + b"c\r\n" + DOCUMENT), id="no_last_chunk"),
        pytest.param(says(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"), id="chunk_size_is_no_number"),
        pytest.param(says(CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n"), id="chunk_size_with_a_sign"),
        pytest.param(says(CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n"), id="chunk_size_with_a_prefix"),
        pytest.param(says(CHUNKED + b"0_2\r\n{}\r\n0\r\n\r\n"), id="chunk_size_of_python"),
        pytest.param(says(CHUNKED + b"f" * 21 + b"\r\n{}\r\n0\r\n\r\n"), id="absurd_chunk_size"),
        pytest.param(says(CHUNKED + b"f" * 16 + b"\r\n{}\r\n0\r\n\r\n"), id="huge_chunk_size"),
        pytest.param(says(CHUNKED + b"\r\n{}\r\n0\r\n\r\n"), id="no_chunk_size"),
        pytest.param(says(CHUNKED + b"2\n{}\n0\n\n"), id="chunks_without_cr"),
        pytest.param(says(CHUNKED + b"2\r\n{}XX0\r\n\r\n"), id="junk_after_a_chunk"),
        pytest.param(says(CHUNKED + b"2\r\n{}\r\n0\r\nA b\r\n\r\n"), id="junk_in_the_trailers"),
        pytest.param(says(CHUNKED + b"2\r\n{}\r\n0\r\n\r\nmore"), id="more_after_the_last_chunk"),
        pytest.param(says(coded_twice(b"gzip, chunked")), id="transfer_coding_that_is_unknown"),
        pytest.param(says(coded_twice(b"chunked, chunked")), id="chunked_twice"),
        pytest.param(says(coded_twice(b"identity")), id="transfer_coding_of_old"),
        pytest.param(
            says(coded_twice(b"chunked\r\nTransfer-Encoding: chunked")), id="two_transfer_codings"
        ),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}"), id="signed_length"),
        pytest.param(
            says(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}"), id="list_of_lengths"
        ),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n{}"), id="empty_length"),
        pytest.param(says(b"\r\n" + response(DOCUMENT)), id="an_empty_line_first"),
        pytest.param(says(b"http/1.1" + response(DOCUMENT)[8:]), id="version_in_lower_case"),
        pytest.param(says(b"HTTP/2.0" + response(DOCUMENT)[8:]), id="another_version"),
        pytest.param(says(b"HTTP/1.1 2000 OK\r\n\r\n{}"), id="status_of_four_digits"),
        pytest.param(says(b"HTTP/1.1 099 OK\r\n\r\n{}"), id="status_below_100"),
        pytest.param(says(b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n{}"), id="upgrade"),
        pytest.param(says(OK + b"\xff: a\r\n\r\n{}"), id="name_that_is_not_ascii"),
        pytest.param(says(OK + b": a\r\n\r\n{}"), id="no_name"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n{}"), id="folded_from_the_start"),
        pytest.param(stays_after(b"SSH-2.0-OpenSSH_9.9\r\n"), id="another_protocol_that_waits"),
    ],
)
@in_event_loop
async def test_an_answer_that_is_not_http_costs_one_get_and_is_refused(
    behaviour: Behaviour,
) -> None:
    async with fake_issuer({JWKS: behaviour}) as issuer:
        fault = await fault_of(issuer)
        assert fault.message in BROKEN
        assert fault.fields == {"url": issuer.jwks_uri}
        assert issuer.count() == 1


async def a_byte_at_a_time(exchange: Exchange) -> None:
    for octet in response(DOCUMENT):
        await exchange.send(bytes([octet]), last=False)
        await asyncio.sleep(0)


HTTP_1_0: Final = b"HTTP/1.0 200 OK\r\n"


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(says(b"HTTP/1.1 200 OK\r\n\r\n" + DOCUMENT), id="until the end"),
        pytest.param(says(HTTP_1_0 + b"\r\n" + DOCUMENT), id="until the end, HTTP/1.0"),
        pytest.param(says(HTTP_1_0 + b"Content-Length: 12\r\n\r\n" + DOCUMENT), id="HTTP/1.0"),
        pytest.param(stays_after(response(DOCUMENT)), id="by its length"),
        pytest.param(
            stays_after(CHUNKED + b"c\r\n" + DOCUMENT + b"\r\n0\r\n\r\n"), id="in a chunk"
        ),
        pytest.param(
            says(CHUNKED + b"".join(b"1\r\n%c\r\n" % octet for octet in DOCUMENT) + b"0\r\n\r\n"),
            id="in chunks of a byte",
        ),
        pytest.param(
            says(CHUNKED + b"00C;a=b\r\n" + DOCUMENT + b"\r\n0;a\r\nA: b\r\n\r\n"),
            id="with extensions and trailers",
        ),
        pytest.param(
            says(b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" * 16 + response(DOCUMENT)),
            id="after informational ones",
        ),
        pytest.param(says(b"HTTP/1.1 200\r\n\r\n" + DOCUMENT), id="without a reason"),
        pytest.param(says(response(DOCUMENT, "Content-Length: 12")), id="the same length twice"),
        pytest.param(says(response(DOCUMENT, "A: \xff\x80")), id="octets in a field's value"),
        pytest.param(a_byte_at_a_time, id="a byte at a time"),
    ],
)
@in_event_loop
async def test_the_document_comes_in_each_way_that_http_has(behaviour: Behaviour) -> None:
    async with fake_issuer({JWKS: behaviour}) as issuer:
        assert (await get(issuer)).document == DOCUMENT
        assert issuer.count() == 1


@in_event_loop
async def test_field_lines_of_one_name_and_folded_ones_are_one_field() -> None:
    lines = ["Cache-Control: public", "Cache-Control: no-transform,\r\n  max-age=60"]
    async with fake_issuer({JWKS: says(response(DOCUMENT, *lines))}) as issuer:
        assert (await get(issuer)).max_age == 60.0


@in_event_loop
async def test_two_etags_are_none() -> None:
    async with fake_issuer({JWKS: says(response(DOCUMENT, 'ETag: "1"', 'ETag: "2"'))}) as issuer:
        assert (await get(issuer)).etag is None


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("https://auth.example.com/jwks", "auth.example.com", "/jwks"),
        ("https://auth.example.com", "auth.example.com", "/"),
        ("https://AUTH.example.com:443/", "auth.example.com", "/"),
        ("https://auth.example.com:8443/a", "auth.example.com:8443", "/a"),
        ("http://127.0.0.1:80/a", "127.0.0.1", "/a"),
        ("http://127.0.0.1:443/a", "127.0.0.1:443", "/a"),
        ("https://[2001:db8::1]:8443/a", "[2001:db8::1]:8443", "/a"),
        ("https://a.example/k?p=b2c_1&q=%20+x", "a.example", "/k?p=b2c_1&q=%20+x"),
        ("https://a.example?p", "a.example", "/?p"),
        ("https://a.example//evil.example/x", "a.example", "//evil.example/x"),
        ('https://a.example/{tenant}/"<a>|^`', "a.example", "/%7Btenant%7D/%22%3Ca%3E%7C%5E%60"),
    ],
)
@in_event_loop
async def test_host_and_target_are_those_of_the_url(url: str, host: str, target: str) -> None:
    reader, sent = asyncio.StreamReader(), Sent()
    reader.feed_data(response(DOCUMENT))
    await HttpExchange(reader, sent).get(urlsplit(url), [])  # type: ignore[arg-type] # as far as it goes
    head = Request.parse(sent.octets)
    assert (head.method, head.path, head.field("host")) == ("GET", target, host)
    assert head.field("connection") == "close"


class Sent:
    """Where an exchange writes to."""

    octets = b""

    def write(self, octets: bytes) -> None:
        self.octets += octets


@in_event_loop
async def test_a_server_that_is_down_gives_no_answer() -> None:
    async with fake_issuer() as issuer:
        await issuer.stop()
        assert (await fault_of(issuer)).message == "no answer: connection refused"


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://127.0.0.1/jwks", "http://", "http://[", "", "/jwks", "\0"),
        *("http://127.0.0.1:99999/", "http://127.0.0.1/a b", "http://127.0.0.1/\r\nA: b"),
        *("http://anna:secret@127.0.0.1/jwks", "http://b\N{LATIN SMALL LETTER U WITH DIAERESIS}/"),
    ],
)
@in_event_loop
async def test_what_is_no_http_url_is_not_fetched(url: str) -> None:
    async with HttpFetcher() as fetcher:
        with pytest.raises(IssuerError, match="no answer"):
            await fetcher.get(url, within=LATER)


@in_event_loop
async def test_a_cancelled_fetch_closes_its_connection() -> None:
    async with fake_issuer({JWKS: hangs}) as issuer, HttpFetcher() as fetcher:
        fetch = asyncio.create_task(fetcher.get(issuer.jwks_uri, within=LATER))
        await eventually(lambda: issuer.count() == 1)
        fetch.cancel()
        await asyncio.wait([fetch])
        assert fetch.cancelled()
        await eventually(lambda: issuer.under_way == 0)


@in_event_loop
async def test_a_hung_fetch_does_not_hold_up_another_one_at_the_same_host() -> None:
    behaviours = {"/hung": hangs, JWKS: has(DOCUMENT)}
    async with fake_issuer(behaviours) as issuer, HttpFetcher() as fetcher:
        hung = asyncio.create_task(fetcher.get(f"{issuer.origin}/hung", within=LATER))
        await eventually(lambda: issuer.count("/hung") == 1)
        try:
            async with asyncio.timeout(2.0):
                assert (await fetcher.get(issuer.jwks_uri, within=LATER)).document == DOCUMENT
        finally:
            hung.cancel()
            await asyncio.wait([hung])
