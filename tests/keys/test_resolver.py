"""Host names are looked up beside the event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from authz_service.keys.fetch import FetchError, HttpFetcher
from authz_service.keys.resolver import Address, BackgroundResolver
from tests.support.event_loops import eventually, in_event_loop
from tests.support.hostile_issuer import JWKS, fake_issuer, publishes
from tests.support.keys import signing_key

if TYPE_CHECKING:
    from collections.abc import Callable


class Lookups:
    """Counts lookups, each of which finds *found*, or hangs where that is nothing."""

    def __init__(self, *found: tuple[Any, ...]) -> None:
        self.count = 0
        self.found = list(found)

    async def __call__(self, _work: Callable[..., Any], /, *_: object, **__: object) -> Any:  # noqa: ANN401
        self.count += 1
        if not self.found:
            await asyncio.Event().wait()
        return self.found


@in_event_loop
async def test_a_name_of_this_machine_is_found_and_connected_to() -> None:
    async with fake_issuer({JWKS: publishes(signing_key())}) as issuer, HttpFetcher() as fetcher:
        url = issuer.jwks_uri.replace("127.0.0.1", "localhost")
        fetched = await fetcher.get(url, within=20)
        assert fetched.document


@in_event_loop
async def test_addresses_are_told_as_they_can_be_connected_to() -> None:
    lookups = Lookups(
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 443, 0, 0)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 443, 0, 2)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%eth0", 443, 0, 2)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (10, b"without IPv6")),
    )
    resolver = BackgroundResolver(lookups)
    assert await resolver.resolve("auth.example.com", 443) == [
        Address(socket.AF_INET, "192.0.2.1", 443),
        Address(socket.AF_INET6, "2001:db8::1", 443),
        Address(socket.AF_INET6, "fe80::1%2", 443),
        Address(socket.AF_INET6, "fe80::1%eth0", 443),
    ]
    await resolver.close()


@pytest.mark.parametrize(
    ("literal", "family"), [("192.0.2.1", socket.AF_INET), ("2001:db8::1", socket.AF_INET6)]
)
@in_event_loop
async def test_an_address_is_not_looked_up(literal: str, family: int) -> None:
    lookups = Lookups()
    found = await BackgroundResolver(lookups).resolve(literal, 8443)
    assert found == [Address(family, literal, 8443)]
    assert lookups.count == 0


@in_event_loop
async def test_those_who_ask_for_the_same_name_share_a_lookup_and_what_it_finds() -> None:
    found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443))
    lookups = Lookups(found)
    resolver = BackgroundResolver(lookups)
    both = await asyncio.gather(*(resolver.resolve("auth.example.com", 443) for _ in range(2)))
    assert both == [[Address(socket.AF_INET, "192.0.2.1", 443)]] * 2
    assert lookups.count == 1
    await resolver.resolve("auth.example.com", 443)
    assert lookups.count == 2  # nothing is remembered


@in_event_loop
async def test_a_lookup_that_fails_when_nobody_waits_any_more_is_no_event() -> None:
    fails = asyncio.Event()

    async def fail_later(_work: Callable[..., Any], /, *_: object, **__: object) -> Any:  # noqa: ANN401
        await fails.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "words of a resolver")

    resolver = BackgroundResolver(fail_later)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await resolver.resolve("auth.example.com", 443)
    fails.set()
    await eventually(lambda: not resolver._under_way)


@in_event_loop
async def test_a_lookup_that_hangs_is_not_asked_for_again_by_the_next_fetch() -> None:
    lookups = Lookups()
    async with HttpFetcher(lookups) as fetcher:
        for _ in range(3):
            with pytest.raises(FetchError, match="while looking up the host name"):
                await fetcher.get("https://auth.example.com/jwks", within=0.02)
    await asyncio.sleep(0)
    assert lookups.count == 1
