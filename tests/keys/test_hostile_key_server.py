"""What a key server can do to us: cost one GET at a time, and nothing else.

A real server on a loopback port misbehaves; every request to it is counted. The cooldown is zero,
so that a nudge always starts a fetch, and the interval so long that nothing else does.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gzip
import json
import time
import zlib
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.jwks import MAX_KEYS
from authz_service.core.policy import RemoteKeys
from authz_service.core.refresh import RefreshSettings
from authz_service.keys import Refresher
from authz_service.keys.fetch import MAX_DOCUMENT_BYTES, HttpFetcher
from tests.support.event_loops import FakeClock, eventually, in_event_loop
from tests.support.hostile_issuer import (
    JWKS,
    OAUTH_METADATA,
    OPENID_METADATA,
    FakeIssuer,
    Gate,
    fake_issuer,
    hangs,
    has,
    publishes,
    response,
    says,
    sends_endlessly,
)
from tests.support.keys import jwk_set, rsa_jwk, signing_key
from tests.support.policies import LOGTO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from authz_service.core.policy import Issuer
    from tests.support.hostile_issuer import Behaviour, Exchange

NAME: Final = "logto"
NUDGED_ONLY: Final = RefreshSettings(interval=3600.0, cooldown=0.0, timeout=20.0, max_stale=86400.0)
OUT_OF_TIME: Final = 0.5  # seconds that a fetch may take where it is to run out of them
GOOD: Final = publishes(signing_key(kid="good"))
BETTER: Final = publishes(signing_key(kid="better"))


class Refreshed:
    """A refresher of one issuer's keys, with hands on both ends."""

    def __init__(self, issuer: FakeIssuer, refresher: Refresher) -> None:
        self.issuer = issuer
        self.refresher = refresher

    @property
    def kids(self) -> list[str | None] | None:
        """The key ids at the moment, None where there is no key set."""
        key_set = self.refresher.key_sets.get(NAME)
        return [key.kid for key in key_set.keys] if key_set is not None else None

    @property
    def paths(self) -> list[str]:
        """What the issuer was asked for, in order."""
        return [request.path for request in self.issuer.requests]

    async def fetch(self) -> None:
        """Have the keys fetched once, or as often as that takes against our will."""
        fetch = self.refresher.nudge(NAME)
        assert fetch is not None
        await asyncio.shield(fetch)


def entry(issuer: FakeIssuer, refresh: RefreshSettings, *, discover: bool = False) -> Issuer:
    """Give *issuer* as a policy has it."""
    settings = RemoteKeys(None if discover else issuer.jwks_uri, refresh=refresh)
    return dataclasses.replace(LOGTO, identifiers=(issuer.origin,), keys=settings)


@contextlib.asynccontextmanager
async def refreshed(
    behaviours: Mapping[str, Behaviour],
    *,
    timeout: float = NUDGED_ONLY.timeout,  # noqa: ASYNC109 - of each fetch
    discover: bool = False,
) -> AsyncIterator[Refreshed]:
    """Start to refresh the keys of a server that behaves like that; nothing is fetched yet."""
    refresh = dataclasses.replace(NUDGED_ONLY, timeout=timeout)
    async with fake_issuer(behaviours) as issuer, HttpFetcher() as fetcher:
        refresher = Refresher([entry(issuer, refresh, discover=discover)], fetcher)
        refresher.start()
        try:
            yield Refreshed(issuer, refresher)
        finally:
            await refresher.stop()


async def resets_at_once(exchange: Exchange) -> None:
    exchange.reset()


async def resets_in_the_middle(exchange: Exchange) -> None:
    await exchange.send(response(b'{"keys": [', length=4096), last=False)
    exchange.reset()


async def drips(exchange: Exchange) -> None:
    await exchange.drip(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 4096, every=0.01)


async def drips_keys(exchange: Exchange) -> None:
    await exchange.send(response(b"", length=4096), last=False)
    await exchange.drip(b'{"keys": [' + b" " * 4096, every=0.01)


async def redirects_to_itself(exchange: Exchange) -> None:
    here = f"http://{exchange.request.field('host')}{exchange.request.path}"
    await exchange.send(response(b"", f"Location: {here}", status="302 Found"))


def redirects(location: str) -> Behaviour:
    return says(response(b"", f"Location: {location}", status="307 Temporary Redirect"))


def coded(coding: str, octets: bytes) -> Behaviour:
    return says(response(octets, f"Content-Encoding: {coding}"))


def has_status(status: str) -> Behaviour:
    body = b"" if status[:3] in {"204", "304"} else jwk_set(signing_key(kid="evil").public)
    return says(response(body, status=status))


EVIL: Final = signing_key(owner="evil", kid="evil")
EVIL_SET: Final = jwk_set(EVIL.public)
OCT: Final = {"kty": "oct", "kid": "evil", "k": "A" * 43, "alg": "HS256"}
CHUNKED: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

USELESS: Final[Mapping[str, Behaviour]] = {
    "resets at once": resets_at_once,
    "resets in the middle": resets_in_the_middle,
    "closes without a word": says(b""),
    "closes too early": says(response(EVIL_SET, length=len(EVIL_SET) + 1)),
    "closes too late": says(response(EVIL_SET, length=len(EVIL_SET) - 1)),
    "has two lengths": says(response(EVIL_SET, "Content-Length: 7")),
    "endless body": sends_endlessly(
        CHUNKED + b'd\r\n{"keys": [{},\r\n', b"10000\r\n" + b"{}, " * 16384 + b"\r\n"
    ),
    "endless head": sends_endlessly(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 500),
    "a mebibyte and a byte": has(EVIL_SET.ljust(MAX_DOCUMENT_BYTES + 1)),
    "gzip bomb": coded("gzip", gzip.compress(EVIL_SET.ljust(8 * MAX_DOCUMENT_BYTES))),
    "deflate bomb": coded("deflate", zlib.compress(EVIL_SET.ljust(8 * MAX_DOCUMENT_BYTES))),
    "nested gzip": coded("gzip", gzip.compress(gzip.compress(EVIL_SET, mtime=0))),
    "nested gzip, said so": coded("gzip, gzip", gzip.compress(gzip.compress(EVIL_SET, mtime=0))),
    "gzip cut short": coded("gzip", gzip.compress(EVIL_SET, mtime=0)[:-12]),
    "gzip with junk in it": coded("gzip", gzip.compress(EVIL_SET, mtime=0)[:20] + b"\xff" * 50),
    "gzip only by its word": coded("gzip", EVIL_SET),
    "unknown coding": coded("br", EVIL_SET),
    "redirect to itself": redirects_to_itself,
    "redirect to a key set": redirects("/elsewhere"),
    "redirect to a file": redirects("file:///etc/passwd"),
    "redirect to nowhere": redirects(""),
    "no field lines": says(b"HTTP/1.1 200 OK\r\nthis is no field line\r\n\r\n" + EVIL_SET),
    "not HTTP": says(EVIL_SET),
    "nothing": says(response(b"")),
    "HTML": says(response("<!DOCTYPE html><title>Maintenance</title>", "Content-Type: text/html")),
    "null": has(b"null"),
    "an array": has(b"[" + EVIL_SET + b"]"),
    "no keys": has(b"{}"),
    "keys that are no array": has(b'{"keys": {"kid": "evil"}}'),
    "an empty set": has(b'{"keys": []}'),
    "two sets in one": has(EVIL_SET[:-1] + b', "keys": []}'),
    "deep nesting": has(b'{"keys": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "not UTF-8": has(EVIL_SET.replace(b"evil", b"evi\xff")),
    "a byte order mark": has(b"\xef\xbb\xbf" + EVIL_SET),
    "a number without end": has(b'{"keys": [' + b"9" * 100_000 + b"]}"),
    "symmetric keys only": has(jwk_set(OCT)),
    "keys to be made only": has(jwk_set({"kty": "RSA", "kid": "evil", "generate": "RSA"})),
    "101 keys": has(jwk_set(*({**EVIL.public, "kid": str(n)} for n in range(MAX_KEYS + 1)))),
    "100,000 keys": has(jwk_set(*[{}] * 100_000)),
    "100,000 equal keys": has(b'{"keys": [' + b"1," * 100_000 + b"1]}"),
    **{
        status: has_status(status)
        for status in (
            *("201 Created", "204 No Content", "206 Partial Content", "304 Not Modified"),
            *("401 Unauthorized", "404 Not Found", "429 Slow Down", "500 Oops", "503 Busy"),
        )
    },
}
SLOW: Final[Mapping[str, Behaviour]] = {
    "hangs": hangs,
    "drips its head": drips,
    "drips its keys": drips_keys,
    "informs endlessly": sends_endlessly(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
}
HOSTILE: Final = [
    *(pytest.param(each, NUDGED_ONLY.timeout, id=name) for name, each in USELESS.items()),
    *(pytest.param(each, OUT_OF_TIME, id=name) for name, each in SLOW.items()),
]


@pytest.mark.parametrize(("hostile", "seconds"), HOSTILE)
@in_event_loop
async def test_hostility_costs_one_get_and_leaves_the_last_good_set_in_place(
    hostile: Behaviour, seconds: float
) -> None:
    async with refreshed({JWKS: GOOD, "/elsewhere": has(EVIL_SET)}, timeout=seconds) as it:
        await it.fetch()
        good = it.refresher.key_sets
        it.issuer.serve(hostile)
        await it.fetch()
        assert it.refresher.key_sets is good
        assert it.kids == ["good"]
        assert it.paths == [JWKS] * 2
        it.issuer.serve(BETTER)
        await it.fetch()
        assert it.kids == ["better"]
        assert it.paths == [JWKS] * 3


@pytest.mark.parametrize(("hostile", "seconds"), HOSTILE)
@in_event_loop
async def test_an_issuer_that_is_hostile_from_the_start_is_missing_until_it_behaves(
    hostile: Behaviour, seconds: float
) -> None:
    async with refreshed({JWKS: hostile, "/elsewhere": has(EVIL_SET)}, timeout=seconds) as it:
        await it.fetch()
        assert it.refresher.missing == (NAME,)
        assert it.refresher.key_sets == {}
        assert it.paths == [JWKS]
        it.issuer.serve(GOOD)
        await it.fetch()
        assert it.kids == ["good"]
        assert it.paths == [JWKS] * 2


@in_event_loop
async def test_a_server_that_is_down_at_the_start_is_found_once_it_is_up() -> None:
    async with fake_issuer({JWKS: GOOD}) as issuer, HttpFetcher() as fetcher:
        await issuer.stop()
        often = dataclasses.replace(NUDGED_ONLY, interval=0.02)
        refresher = Refresher([entry(issuer, often)], fetcher)
        refresher.start()
        it = Refreshed(issuer, refresher)
        await it.fetch()
        assert refresher.missing == (NAME,)
        await issuer.start()
        await eventually(lambda: it.kids == ["good"])
        await issuer.stop()
        await it.fetch()
        assert it.kids == ["good"]
        issuer.serve(BETTER)
        await issuer.start()
        await eventually(lambda: it.kids == ["better"])
        await refresher.stop()


@in_event_loop
async def test_a_hung_server_is_left_again_and_again_and_keeps_no_connection() -> None:
    async with fake_issuer({JWKS: hangs}) as issuer, HttpFetcher() as fetcher:
        often = RefreshSettings(interval=0.01, cooldown=0.0, timeout=0.02)
        refresher = Refresher([entry(issuer, often)], fetcher)
        refresher.start()
        await eventually(lambda: issuer.count() >= 10)
        assert refresher.missing == (NAME,)
        await refresher.stop()
        await eventually(lambda: issuer.under_way == 0)


# what a key set may hold


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(OCT, id="symmetric"),
        pytest.param({"kty": "RSA", "kid": "evil", "generate": "RSA", "size": 8192}, id="generate"),
        pytest.param({"kty": "EC", "kid": "evil", "generate": "EC", "crv": "P-384"}, id="make EC"),
        pytest.param({"kty": "oct", "kid": "evil", "generate": "oct", "size": 512}, id="make oct"),
        pytest.param({**EVIL.public, "y": EVIL.public["x"]}, id="off the curve"),
        pytest.param({**EVIL.public, "crv": "P-256"}, id="wrong curve"),
        pytest.param({**EVIL.public, "crv": "secp256k1"}, id="curve of ours it is not"),
        pytest.param({**EVIL.public, "x": "!"}, id="no base64url"),
        pytest.param({**EVIL.public, "x": "A" * 100_000}, id="long"),
        pytest.param({**EVIL.public, "use": "enc"}, id="for encryption"),
        pytest.param({**EVIL.public, "key_ops": ["sign"]}, id="for signing"),
        pytest.param({**EVIL.public, "alg": "HS256"}, id="for HMAC"),
        pytest.param({**EVIL.public, "alg": "none"}, id="for nothing"),
        pytest.param({**EVIL.public, "kid": 7}, id="kid that is no string"),
        pytest.param({**rsa_jwk(bits=1024), "kid": "evil"}, id="small RSA"),
        pytest.param({**rsa_jwk(bits=8200), "kid": "evil"}, id="large RSA"),
        pytest.param({**rsa_jwk(exponent=1), "kid": "evil"}, id="RSA exponent 1"),
        pytest.param({**rsa_jwk(exponent=65536), "kid": "evil"}, id="even RSA exponent"),
        pytest.param({"kty": "RSA", "kid": "evil"}, id="RSA of nothing"),
        pytest.param({}, id="empty"),
        pytest.param(None, id="null"),
        pytest.param("evil", id="string"),
        pytest.param([EVIL.public], id="array"),
    ],
)
@in_event_loop
async def test_one_bad_key_among_good_ones_is_left_out_and_costs_no_other(bad: object) -> None:
    first, last = signing_key(kid="first").public, signing_key(kid="last").public
    async with refreshed({JWKS: has(jwk_set(first, bad, last))}) as it:
        await it.fetch()
        assert it.kids == ["first", "last"]
        assert sum(it.refresher.key_sets[NAME].dropped.values()) == 1
        assert it.issuer.count() == 1


@in_event_loop
async def test_of_a_published_private_key_only_the_public_half_is_taken_in() -> None:
    leaked = signing_key(owner="careless", kid="leaked")
    async with refreshed({JWKS: has(jwk_set(leaked.private))}) as it:
        await it.fetch()
        key = it.refresher.key_sets[NAME].select(alg="ES384", kid="leaked")
        assert not key.jwk.has_private
        assert key.thumbprint == leaked.jwk.thumbprint()


@in_event_loop
async def test_a_hundred_keys_are_not_too_many() -> None:
    many = [{**signing_key().public, "kid": str(n)} for n in range(MAX_KEYS)]
    async with refreshed({JWKS: has(jwk_set(*many))}) as it:
        await it.fetch()
        assert it.kids == [str(n) for n in range(MAX_KEYS)]


@in_event_loop
async def test_a_set_of_a_mebibyte_is_not_too_large() -> None:
    document = jwk_set(signing_key(kid="good").public).ljust(MAX_DOCUMENT_BYTES)
    async with refreshed({JWKS: coded("gzip", gzip.compress(document, mtime=0))}) as it:
        await it.fetch()
        assert it.kids == ["good"]


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b'{"keys":[' + b"{}," * 349_000 + b"{}]}", id="objects"),
        pytest.param(b'{"keys":[' + b"[]," * 349_000 + b"[]]}", id="arrays"),
        pytest.param(b'{"keys":[' + b"[[],[]]," * 130_000 + b"[]]}", id="nested arrays"),
        pytest.param(b'{"keys":[' + b"1," * 520_000 + b"1]}", id="numbers"),
        pytest.param(b'{"keys":["' + b'\\"' * 520_000 + b'"]}', id="escapes"),
        pytest.param(b'{"keys":["' + b"\\ud800" * 170_000 + b'"]}', id="lone surrogates"),
        pytest.param(b'{"keys":[' + b'"' * 1_000_000, id="quotes"),
    ],
)
@in_event_loop
async def test_no_document_keeps_the_event_loop_from_its_work_for_long(document: bytes) -> None:
    assert len(document) <= MAX_DOCUMENT_BYTES
    async with refreshed({JWKS: has(document)}) as it:
        fetch = asyncio.create_task(it.fetch())
        longest = 0.0
        while not fetch.done():
            started = time.process_time()
            await asyncio.sleep(0)
            longest = max(longest, time.process_time() - started)
        assert it.issuer.count() == 1
        assert longest < 2.0  # seconds of this process, where a quadratic parser takes minutes


# discovery


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"issuer": "https://evil.example"}, id="another issuer"),
        pytest.param({"issuer": None}, id="no issuer"),
        pytest.param({"jwks_uri": None}, id="no jwks_uri"),
        pytest.param({"jwks_uri": "file:///etc/passwd"}, id="file"),
        pytest.param({"jwks_uri": "http://keys.example/jwks"}, id="http"),
        pytest.param({"jwks_uri": "http://anna:secret@127.0.0.1/jwks"}, id="user"),
        pytest.param({"jwks_uri": "https://keys.example/jwks#1"}, id="fragment"),
        pytest.param({"jwks_uri": JWKS}, id="relative"),
    ],
)
@in_event_loop
async def test_hostile_metadata_costs_two_gets_and_no_key_is_asked_for(
    members: dict[str, object],
) -> None:
    async with refreshed({JWKS: GOOD}, discover=True) as it:
        it.issuer.describe_itself(**members)
        await it.fetch()
        assert it.refresher.missing == (NAME,)
        assert it.paths == [OPENID_METADATA, OAUTH_METADATA]
        it.issuer.describe_itself()
        await it.fetch()
        assert it.kids == ["good"]
        assert it.paths[2:] == [OPENID_METADATA, JWKS]


@pytest.mark.parametrize(("hostile", "seconds"), HOSTILE)
@in_event_loop
async def test_a_hostile_metadata_server_costs_one_get_at_each_place(
    hostile: Behaviour, seconds: float
) -> None:
    behaviours = {OPENID_METADATA: hostile, OAUTH_METADATA: hostile, JWKS: has(EVIL_SET)}
    async with refreshed(behaviours, timeout=seconds, discover=True) as it:
        await it.fetch()
        assert it.refresher.missing == (NAME,)
        assert it.paths == [OPENID_METADATA, OAUTH_METADATA]


@in_event_loop
async def test_metadata_that_points_at_other_keys_is_followed_only_by_a_fetch_without_etag() -> (
    None
):
    async with refreshed({JWKS: publishes(signing_key(kid="1"), etag='"e"')}, discover=True) as it:
        it.issuer.serve(publishes(signing_key(kid="2"), etag='"e"'), at="/moved")
        it.issuer.describe_itself()
        await it.fetch()
        it.issuer.describe_itself(jwks_uri=it.issuer.origin + "/moved")
        it.issuer.serve(has_status("410 Gone"))
        await it.fetch()
        assert it.kids == ["1"]
        await it.fetch()
        assert it.kids == ["2"]
        (moved,) = it.issuer.requests_for("/moved")
        assert moved.field("if-none-match") is None


# how many requests


@in_event_loop
async def test_a_slow_server_that_is_nudged_from_all_sides_gets_one_get_at_a_time() -> None:
    async def nudge_and_wait() -> None:
        for _ in range(5):
            await it.fetch()

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.02)
        await GOOD(exchange)

    async with refreshed({JWKS: slow}) as it:
        await asyncio.gather(*(nudge_and_wait() for _ in range(50)))
        assert it.issuer.most_at_once == 1
        assert 5 <= it.issuer.count() <= 10
        assert it.kids == ["good"]


@in_event_loop
async def test_ten_thousand_unknown_kids_in_a_burst_cost_one_get_within_a_cooldown() -> None:
    clock = FakeClock()
    refresh = RefreshSettings(interval=3600.0, cooldown=10.0, timeout=20.0)
    async with fake_issuer({JWKS: GOOD}) as issuer, HttpFetcher() as fetcher:
        refresher = Refresher([entry(issuer, refresh)], fetcher, clock=clock)
        refresher.start()
        await eventually(lambda: not refresher.missing)
        gate = Gate(BETTER)
        issuer.serve(gate)
        clock.advance(10)
        fetches = {refresher.nudge(NAME) for _ in range(5_000)}
        await eventually(lambda: issuer.count() == 2)
        fetches |= {refresher.nudge(NAME) for _ in range(5_000)}
        (fetch,) = fetches
        assert fetch is not None
        gate.opened.set()
        await fetch
        assert {refresher.nudge(NAME) for _ in range(10_000)} == {None}
        assert refresher.key_sets[NAME].select(alg="ES384", kid="better").kid == "better"
        assert issuer.count() == 2
        await refresher.stop()


@in_event_loop
async def test_a_slow_first_answer_does_not_replace_what_came_later() -> None:
    async with fake_issuer() as issuer:
        gate = Gate(publishes(signing_key(kid="old")))
        issuer.serve(gate)
        async with HttpFetcher() as fetcher:
            refresher = Refresher([entry(issuer, NUDGED_ONLY)], fetcher)
            refresher.start()
            it = Refreshed(issuer, refresher)
            await eventually(lambda: issuer.count() == 1)
            issuer.serve(publishes(signing_key(kid="new")))
            waiting = [asyncio.create_task(it.fetch()) for _ in range(10)]
            await asyncio.sleep(0)
            gate.opened.set()
            await asyncio.gather(*waiting)
            assert it.kids == ["old"]
            await it.fetch()
            assert it.kids == ["new"]
            assert issuer.count() == 2
            assert issuer.most_at_once == 1
            await refresher.stop()


@in_event_loop
async def test_a_hung_issuer_does_not_hold_up_another_one_at_the_same_host() -> None:
    async with fake_issuer({"/a": hangs, "/b": GOOD}) as server, HttpFetcher() as fetcher:
        tenants = [
            dataclasses.replace(
                LOGTO, name=name, keys=RemoteKeys(f"{server.origin}/{name}", refresh=NUDGED_ONLY)
            )
            for name in "ab"
        ]
        refresher = Refresher(tenants, fetcher)
        refresher.start()
        try:
            await eventually(lambda: refresher.missing == ("a",), within=2.0)
        finally:
            await refresher.stop()


@pytest.mark.parametrize("hostile", [hangs, drips_keys])
@in_event_loop
async def test_stop_in_the_middle_of_a_fetch_closes_the_connection_and_leaves_no_task(
    hostile: Behaviour,
) -> None:
    async with refreshed({JWKS: hostile}) as it:
        waiting = asyncio.create_task(it.fetch())
        await eventually(lambda: it.issuer.count() == 1)
        await it.refresher.stop()
        await waiting
        await eventually(lambda: it.issuer.under_way == 0)
        assert it.issuer.count() == 1


@in_event_loop
async def test_what_a_proxy_in_the_environment_would_get_is_nothing() -> None:
    with pytest.MonkeyPatch.context() as environment:
        async with fake_issuer() as proxy:
            for name in ("http_proxy", "https_proxy", "all_proxy"):
                environment.setenv(name, proxy.origin)
                environment.setenv(name.upper(), proxy.origin)
            environment.setenv("no_proxy", "")
            environment.setenv("NO_PROXY", "")
            async with refreshed({JWKS: GOOD}, discover=True) as it:
                it.issuer.describe_itself()
                await it.fetch()
                assert it.kids == ["good"]
            assert proxy.count() == 0


@in_event_loop
async def test_metadata_and_keys_are_asked_for_without_cookies_or_credentials() -> None:
    async with refreshed({}, discover=True) as it:
        cookie = "Set-Cookie: session=1; Path=/"
        metadata = {"issuer": it.issuer.origin, "jwks_uri": it.issuer.jwks_uri}
        it.issuer.serve(says(response(json.dumps(metadata), cookie)), at=OPENID_METADATA)
        it.issuer.serve(says(response(jwk_set(signing_key(kid="good").public), cookie)))
        await it.fetch()
        await it.fetch()
        assert it.kids == ["good"]
        names = {name for request in it.issuer.requests for name, _ in request.fields}
        assert not names & {"cookie", "authorization", "proxy-authorization", "referer"}
