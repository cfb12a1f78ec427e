"""One issuer's key set over the network: where it is, and whether it has changed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from authz_service.core.errors import IssuerError
from authz_service.core.jwks import KeySet, parse_jwk_set
from authz_service.keys.discovery import discover_jwks_uri
from authz_service.keys.fetch import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.core.policy import RemoteKeys
    from authz_service.keys.fetch import Fetcher

_METADATA_LIFETIME: Final = 3600.0
_PARSED_AT_ONCE: Final = 4096  # bytes: a usual key set, whose keys are made in a millisecond


@dataclass(frozen=True, slots=True)
class CurrentKeys:
    """The issuer's keys as of now, and for how many seconds it says they are, if it does.

    They are what *document* says, which was fetched from *jwks_uri*.
    """

    key_set: KeySet
    max_age: float | None
    document: bytes = field(repr=False)
    jwks_uri: str


@dataclass(frozen=True, slots=True)
class _KnownKeys:
    """What the last answer held, and the ETag to ask with whether it has changed."""

    document: bytes = field(repr=False)
    key_set: KeySet
    etag: str | None


class KeySource:
    """Fetches one issuer's keys, remembering what makes the next time cheaper."""

    def __init__(
        self,
        identifier: str,
        settings: RemoteKeys,
        fetcher: Fetcher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is fetched yet. *identifier* is the issuer's, *clock* gives seconds."""
        self._identifier = identifier
        self._settings = settings
        self._fetcher = fetcher
        self._clock = clock
        self._jwks_uri: str | None = None
        self._discovered_at: float | None = None
        self._known: _KnownKeys | None = None

    async def fetch(self) -> CurrentKeys:
        """Get the key set, through the issuer's metadata where the policy does not say where it is.

        Raises IssuerError; what was fetched before stays good for the caller.
        """
        uri = await self._locate()
        known = self._known
        try:
            fetched = await self._fetcher.get(
                uri, within=self._settings.refresh.timeout, etag=known.etag if known else None
            )
            if fetched.document is None and known is not None:
                return CurrentKeys(known.key_set, fetched.max_age, known.document, uri)
            document = fetched.document or b""
            key_set = await _parsed(document)
        except IssuerError:
            self._discovered_at = None  # the key set may have moved
            self._known = None  # it may have been the condition that was not understood
            raise
        self._known = _KnownKeys(document, key_set, fetched.etag)
        return CurrentKeys(key_set, fetched.max_age, document, uri)

    @property
    def found_at(self) -> str | None:
        """Where metadata said that the keys are, if it was asked."""
        return self._jwks_uri

    def remember(self, jwks_uri: str) -> None:
        """Take *jwks_uri* for where metadata said that the keys are, at some time before.

        Where metadata can be had, what it says now is what counts; see `_locate`.
        """
        if self._jwks_uri is None:
            self._jwks_uri = jwks_uri

    async def _locate(self) -> str:
        """Where the key set is: as the policy says, or as the metadata did within the last hour.

        Where no metadata can be had any more, the key set may still be where it was; metadata that
        says something else than it should is another matter (RFC 8414, section 3.3).
        """
        if self._settings.jwks_uri is not None:
            return self._settings.jwks_uri
        now = self._clock()
        known = self._jwks_uri
        if (
            known
            and self._discovered_at is not None
            and now < self._discovered_at + _METADATA_LIFETIME
        ):
            return known
        try:
            uri = await discover_jwks_uri(
                self._fetcher,
                self._identifier,
                allow_http=self._settings.allow_http,
                within=self._settings.refresh.timeout,
            )
        except FetchError:
            if self._jwks_uri is None:
                raise
            uri = self._jwks_uri
        if uri != known:
            self._known = None  # an ETag means something at its own URI only
        self._jwks_uri, self._discovered_at = uri, now
        return uri


async def _parsed(document: bytes) -> KeySet:
    """Read a JWK Set; a large one beside the event loop, which it would keep for too long.

    A megabyte of junk takes a fifth of a second. Raises IssuerError.
    """
    if len(document) <= _PARSED_AT_ONCE:
        return parse_jwk_set(document)
    return await asyncio.to_thread(parse_jwk_set, document)
