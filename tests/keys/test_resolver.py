"""Host names are looked up beside the event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from authz_service.keys.fetch import FetchError, HttpFetcher
from authz_service.keys.resolver import BackgroundResolver
from tests.support.event_loops import in_event_loop
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
    found = await BackgroundResolver(lookups).resolve("auth.example.com", 443)
    assert [(each["host"], each["family"]) for each in found] == [
        ("192.0.2.1", socket.AF_INET),
        ("2001:db8::1", socket.AF_INET6),
        ("fe80::1%2", socket.AF_INET6),
        ("fe80::1%eth0", socket.AF_INET6),
    ]
    assert {each["port"] for each in found} == {443}


@in_event_loop
async def test_a_lookup_that_hangs_is_not_asked_for_again_by_the_next_fetch() -> None:
    lookups = Lookups()
    async with HttpFetcher(lookups) as fetcher:
        for _ in range(3):
            with pytest.raises(FetchError, match="while looking up the host name"):
                await fetcher.get("https://auth.example.com/jwks", within=0.02)
    await asyncio.sleep(0)
    assert lookups.count == 1
