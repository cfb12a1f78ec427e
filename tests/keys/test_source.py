"""One issuer's keys: what is remembered from one fetch to the next, and what is not."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.errors import IssuerError
from authz_service.core.jwks import parse_jwk_set
from authz_service.core.policy import RemoteKeys
from authz_service.core.refresh import RefreshSettings
from authz_service.keys import source as source_module
from authz_service.keys.fetch import Fetched, FetchError, HttpFetcher
from authz_service.keys.source import KeySource
from tests.support.event_loops import FakeClock, in_event_loop, in_virtual_time
from tests.support.hostile_issuer import JWKS, fake_issuer, publishes, response, says
from tests.support.keys import jwk_set, signing_key
from tests.support.memory_fetcher import MemoryFetcher

if TYPE_CHECKING:
    from authz_service.core.jwks import KeySet

IDENTIFIER: Final = "https://auth.example.com"
METADATA_URL: Final = "https://auth.example.com/.well-known/openid-configuration"
OTHER_METADATA_URL: Final = "https://auth.example.com/.well-known/oauth-authorization-server"
HERE: Final = "https://auth.example.com/jwks"
THERE: Final = "https://keys.example.com/jwks"
AN_HOUR: Final = 3600.0
UNAVAILABLE: Final = FetchError("the answer is not 200", status=503)


def keys(*kids: str, etag: str | None = None, max_age: float | None = None) -> Fetched:
    """Give the answer that publishes keys with *kids*."""
    document = jwk_set(*(signing_key(kid=kid).public for kid in kids))
    return Fetched(document, etag, max_age)


def metadata(jwks_uri: str) -> Fetched:
    return Fetched(json.dumps({"issuer": IDENTIFIER, "jwks_uri": jwks_uri}).encode())


def kids_of(key_set: KeySet) -> list[str | None]:
    return [key.kid for key in key_set.keys]


class Source(KeySource):
    """A source together with what it fetches from and the clock that it reads."""

    def __init__(self, jwks_uri: str | None = HERE, *, timeout: float = 5.0) -> None:
        self.fetcher = MemoryFetcher()
        self.clock = FakeClock()
        settings = RemoteKeys(jwks_uri, refresh=RefreshSettings(timeout=timeout))
        super().__init__(IDENTIFIER, settings, self.fetcher, self.clock)

    def answers(self, answer: Fetched | Exception, *, at: str = HERE) -> None:
        """Have *at* answer so from now on."""
        self.fetcher.answers[at] = answer

    async def kids(self) -> list[str | None]:
        """Fetch, for the key ids."""
        return kids_of((await self.fetch()).key_set)

    async def fails(self) -> None:
        """Fetch, in vain."""
        with pytest.raises(IssuerError):
            await self.fetch()

    @property
    def etags(self) -> list[str | None]:
        """The condition of every GET so far."""
        return [asked.etag for asked in self.fetcher.asked]


@in_virtual_time
async def test_a_configured_jwks_uri_is_fetched_without_asking_for_metadata() -> None:
    source = Source(timeout=7.0)
    source.answers(keys("1", "2"))
    assert await source.kids() == ["1", "2"]
    assert source.fetcher.urls == [HERE]
    assert source.fetcher.asked[0].within == 7.0


@pytest.mark.parametrize("max_age", [None, 0.0, 1.0, 60.0, 10.0**9])
@in_virtual_time
async def test_the_stated_age_is_handed_on_also_when_nothing_has_changed(
    max_age: float | None,
) -> None:
    source = Source()
    source.answers(keys("1", etag='"1"', max_age=max_age))
    assert [(await source.fetch()).max_age for _ in range(2)] == [max_age, max_age]
    assert source.etags == [None, '"1"']


@in_virtual_time
async def test_an_answer_that_nothing_has_changed_gives_the_very_set_that_was_there() -> None:
    source = Source()
    source.answers(keys("1", etag='"1"'))
    first = await source.fetch()
    assert (await source.fetch()).key_set is first.key_set


@in_virtual_time
async def test_a_changed_set_comes_with_an_etag_of_its_own() -> None:
    source = Source()
    source.answers(keys("1", etag='"1"'))
    assert await source.kids() == ["1"]
    source.answers(keys("2", etag='"2"'))
    assert await source.kids() == ["2"]
    source.answers(keys("3"))
    assert await source.kids() == ["3"]
    assert await source.kids() == ["3"]
    assert source.etags == [None, '"1"', '"2"', None]


@pytest.mark.parametrize(
    "useless",
    [
        pytest.param(UNAVAILABLE, id="no answer"),
        pytest.param(Fetched(b"", etag='"bad"'), id="empty"),
        pytest.param(Fetched(b"<html>", etag='"bad"'), id="html"),
        pytest.param(Fetched(b'{"keys": []}', etag='"bad"'), id="empty set"),
    ],
)
@in_virtual_time
async def test_the_etag_of_an_answer_that_was_no_key_set_is_never_used(
    useless: Fetched | IssuerError,
) -> None:
    source = Source()
    source.answers(keys("1", etag='"1"'))
    await source.fetch()
    source.answers(useless)
    await source.fails()
    source.answers(keys("2", etag='"2"'))
    assert await source.kids() == ["2"]
    assert '"bad"' not in source.etags


@in_virtual_time
async def test_not_modified_without_a_condition_is_no_key_set() -> None:
    source = Source()
    source.answers(Fetched(None))
    await source.fails()


@in_virtual_time
async def test_metadata_is_asked_for_once_an_hour() -> None:
    source = Source(jwks_uri=None)
    source.answers(metadata(HERE), at=METADATA_URL)
    source.answers(keys("1"))
    await source.fetch()
    source.clock.advance(AN_HOUR - 1)
    await source.fetch()
    assert source.fetcher.urls == [METADATA_URL, HERE, HERE]
    source.clock.advance(1)
    await source.fetch()
    assert source.fetcher.urls[3:] == [METADATA_URL, HERE]


@in_virtual_time
async def test_a_key_set_is_still_fetched_where_no_metadata_can_be_had_any_more() -> None:
    source = Source(jwks_uri=None)
    source.answers(metadata(HERE), at=METADATA_URL)
    source.answers(keys("1"))
    await source.fetch()
    source.clock.advance(AN_HOUR)
    source.answers(UNAVAILABLE, at=METADATA_URL)
    source.answers(keys("2"))
    assert await source.kids() == ["2"]
    asked = len(source.fetcher.urls)
    await source.fetch()
    assert source.fetcher.urls[asked:] == [HERE]  # and the metadata is left alone for an hour


@in_virtual_time
async def test_metadata_that_names_another_issuer_ends_the_use_of_what_it_said_before() -> None:
    source = Source(jwks_uri=None)
    source.answers(metadata(HERE), at=METADATA_URL)
    source.answers(keys("1"))
    await source.fetch()
    source.clock.advance(AN_HOUR)
    other = {"issuer": "https://other.example", "jwks_uri": HERE}
    source.answers(Fetched(json.dumps(other).encode()), at=METADATA_URL)
    await source.fails()


@in_virtual_time
async def test_an_etag_outlives_new_metadata_that_says_the_same() -> None:
    source = Source(jwks_uri=None)
    source.answers(metadata(HERE), at=METADATA_URL)
    source.answers(keys("1", etag='"1"'))
    await source.fetch()
    source.clock.advance(AN_HOUR)
    await source.fetch()
    assert source.etags == [None, None, None, '"1"']


@in_virtual_time
async def test_an_etag_is_not_used_at_another_uri() -> None:
    source = Source(jwks_uri=None)
    for uri, kid in ((HERE, "here"), (THERE, "there")):
        source.answers(keys(kid, etag='"1"'), at=uri)
    for uri, kid in ((HERE, "here"), (THERE, "there"), (HERE, "here")):
        source.answers(metadata(uri), at=METADATA_URL)
        assert await source.kids() == [kid]
        source.clock.advance(AN_HOUR)
    assert source.etags == [None] * 6


@pytest.mark.parametrize("useless", [UNAVAILABLE, Fetched(b"<html>"), Fetched(b'{"keys": []}')])
@in_virtual_time
async def test_a_key_set_that_has_moved_is_looked_for_after_the_first_failure(
    useless: Fetched | IssuerError,
) -> None:
    source = Source(jwks_uri=None)
    source.answers(metadata(HERE), at=METADATA_URL)
    source.answers(keys("1"))
    await source.fetch()
    source.answers(useless)
    source.answers(metadata(THERE), at=METADATA_URL)
    source.answers(keys("2"), at=THERE)
    await source.fails()
    assert await source.kids() == ["2"]
    assert source.fetcher.urls == [METADATA_URL, HERE, HERE, METADATA_URL, THERE]


@in_virtual_time
async def test_without_usable_metadata_no_key_set_is_asked_for() -> None:
    source = Source(jwks_uri=None)
    source.answers(metadata("file:///etc/passwd"), at=METADATA_URL)
    await source.fails()
    await source.fails()
    assert source.fetcher.urls == [METADATA_URL, OTHER_METADATA_URL] * 2


@in_virtual_time
async def test_a_jwks_uri_that_the_policy_names_is_never_looked_for_elsewhere() -> None:
    source = Source()
    source.answers(metadata(THERE), at=METADATA_URL)
    source.answers(UNAVAILABLE)
    await source.fails()
    source.clock.advance(AN_HOUR)
    await source.fails()
    assert source.fetcher.urls == [HERE, HERE]


@in_event_loop
async def test_a_conditional_get_over_http_keeps_the_set() -> None:
    honest = publishes(signing_key(), etag='W/"1"', cache_control="max-age=0")
    async with fake_issuer({JWKS: honest}) as issuer, HttpFetcher() as fetcher:
        source = KeySource(IDENTIFIER, RemoteKeys(issuer.jwks_uri), fetcher)
        first, second = await source.fetch(), await source.fetch()
        assert second == first
        assert second.key_set is first.key_set
        assert [request.field("if-none-match") for request in issuer.requests] == [None, 'W/"1"']


@in_event_loop
async def test_a_server_that_says_not_modified_unasked_is_not_believed() -> None:
    async with fake_issuer({JWKS: publishes(signing_key())}) as issuer, HttpFetcher() as fetcher:
        source = KeySource(IDENTIFIER, RemoteKeys(issuer.jwks_uri), fetcher)
        await source.fetch()
        issuer.serve(says(response(b"", status="304 Not Modified")))
        with pytest.raises(IssuerError, match="the answer is not 200"):
            await source.fetch()


@pytest.mark.parametrize(
    "etag", ["\x01", '"a\tb"', '"\xff"', '"é"', "", " ", '"' + "e" * 8000 + '"', "*"]
)
@in_event_loop
async def test_no_etag_of_a_server_stands_in_the_way_of_the_next_fetch(etag: str) -> None:
    def published(kid: str) -> bytes:
        return response(jwk_set(signing_key(kid=kid).public), f"ETag: {etag}")

    async with fake_issuer({JWKS: says(published("1"))}) as issuer, HttpFetcher() as fetcher:
        source = KeySource(IDENTIFIER, RemoteKeys(issuer.jwks_uri), fetcher)
        assert kids_of((await source.fetch()).key_set) == ["1"]
        issuer.serve(says(published("2")))
        assert kids_of((await source.fetch()).key_set) == ["2"]
        assert issuer.count() == 2


@pytest.mark.parametrize(("padding", "beside"), [(0, False), (100_000, True)])
@in_event_loop
async def test_only_a_large_set_is_read_beside_the_event_loop(
    padding: int, *, beside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def parse(document: bytes) -> KeySet:
        threads.append(threading.current_thread())
        return parse_jwk_set(document)

    monkeypatch.setattr(source_module, "parse_jwk_set", parse)
    source = Source()
    source.answers(Fetched(jwk_set(signing_key(kid="1").public) + b" " * padding))
    assert await source.kids() == ["1"]
    assert [thread is not threading.main_thread() for thread in threads] == [beside]


@in_event_loop
async def test_a_large_document_that_is_no_key_set_is_the_issuers_fault() -> None:
    source = Source()
    source.answers(Fetched(b"[" * 100_000))
    with pytest.raises(IssuerError, match="the key set is not a JSON object"):
        await source.fetch()


@in_virtual_time
async def test_where_keys_were_found_before_counts_only_where_metadata_cannot_be_had() -> None:
    source = Source(jwks_uri=None)
    source.answers(keys("here"))
    source.answers(keys("there"), at=THERE)
    await source.fails()
    source.remember(THERE)
    assert await source.kids() == ["there"]
    source.answers(metadata(HERE), at=METADATA_URL)
    source.clock.advance(AN_HOUR)
    assert await source.kids() == ["here"]
    source.remember(THERE)
    source.clock.advance(AN_HOUR)
    source.answers(UNAVAILABLE, at=METADATA_URL)
    assert await source.kids() == ["here"]
