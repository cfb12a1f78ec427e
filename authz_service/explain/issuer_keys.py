"""The keys of the one issuer that a token names: the policy's, or fetched from the issuer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authz_service.core.errors import IssuerError
from authz_service.core.policy import RemoteKeys
from authz_service.explain.judged import KeyOrigin, KeysUsed
from authz_service.keys.fetch import HttpFetcher
from authz_service.keys.source import KeySource

if TYPE_CHECKING:
    from authz_service.core.policy import Issuer
    from authz_service.keys.fetch import Fetched, Fetcher

_TOLD: Final = ("expected", "named", "fault", "keys", "at_most")


async def keys_of(issuer: Issuer, fetcher: Fetcher | None = None) -> KeysUsed:
    """Take *issuer*'s keys from the policy, or fetch them once where it publishes them.

    What kept them from being fetched is in the result: the service would refuse for it.
    """
    if not isinstance(issuer.keys, RemoteKeys):
        return KeysUsed(issuer.name, KeyOrigin.POLICY, "jwks_file", issuer.keys)
    if fetcher is not None:
        return await _fetched(issuer, issuer.keys, fetcher)
    async with HttpFetcher() as opened:
        return await _fetched(issuer, issuer.keys, opened)


async def _fetched(issuer: Issuer, settings: RemoteKeys, fetcher: Fetcher) -> KeysUsed:
    identifier = issuer.identifiers[0]
    noting = _NotingFetcher(fetcher, identifier)
    try:
        current = await KeySource(identifier, settings, noting).fetch()
    except IssuerError as error:
        where = str(error.fields.get("url", noting.last))
        return KeysUsed(issuer.name, KeyOrigin.LIVE, where, None, _fault(error))
    return KeysUsed(issuer.name, KeyOrigin.LIVE, noting.last, current.key_set)


class _NotingFetcher:
    """Remembers where was asked *last*."""

    def __init__(self, fetcher: Fetcher, at_first: str) -> None:
        self._fetcher = fetcher
        self.last = at_first

    async def get(self, url: str, *, within: float, etag: str | None = None) -> Fetched:
        """Get *url*; see Fetcher."""
        self.last = url
        return await self._fetcher.get(url, within=within, etag=etag)


def _fault(error: IssuerError) -> str:
    """What the service would give as the problem, and what a mistake in the policy is found by."""
    fields = [f"{name} {error.fields[name]}" for name in _TOLD if name in error.fields]
    return ", ".join([error.problem, *fields])
