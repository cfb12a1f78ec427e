"""One bounded GET, against servers that answer, and servers that do not play along."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.errors import IssuerError
from authz_service.keys.fetch import MAX_DOCUMENT_BYTES, Fetched, HttpFetcher
from tests.support.event_loops import eventually, in_event_loop
from tests.support.hostile_issuer import (
    JWKS,
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


@pytest.mark.parametrize(
    "behaviour",
    [
        hangs,
        drips_its_head,
        drips_its_body,
        stops_in_the_middle,
        pytest.param(
            sends_endlessly(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), id="informs_endlessly"
        ),
        pytest.param(sends_endlessly(CHUNKED + b"2;", b"a" * 256), id="endless_chunk_extension"),
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
    flood = sends_endlessly(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)
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


@in_event_loop
async def test_a_server_that_is_down_gives_no_answer() -> None:
    async with fake_issuer() as issuer:
        await issuer.stop()
        assert (await fault_of(issuer)).message == "no answer: connection refused"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/jwks", "http://", "http://[", "", "/jwks", "\0"]
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
