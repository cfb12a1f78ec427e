"""A fetcher without a network: what it answers, and how long that takes, is up to the test."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from authz_service.keys.fetch import Fetched, FetchError


@dataclass(frozen=True)
class Asked:
    """One GET: of what, when by the loop's time, and with which conditions."""

    url: str
    at: float
    within: float
    etag: str | None


class MemoryFetcher:
    """Has an answer for each URL, or an exception; an unknown URL is not found.

    Each GET *takes* that many seconds, or until its time is up. It answers what it was given when
    the GET began.
    """

    def __init__(self, answers: dict[str, Fetched | Exception] | None = None) -> None:
        self.answers = answers or {}
        self.takes = 0.0
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._at_once = 0

    @property
    def urls(self) -> list[str]:
        """Every URL that was asked for, in order."""
        return [asked.url for asked in self.asked]

    @property
    def times(self) -> list[float]:
        """When each GET began."""
        return [asked.at for asked in self.asked]

    async def get(self, url: str, *, within: float, etag: str | None = None) -> Fetched:
        """Answer one GET; 304 where *etag* is that of the answer."""
        self.asked.append(Asked(url, asyncio.get_running_loop().time(), within, etag))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        answer = self.answers.get(url, FetchError("the answer is not 200", url=url, status=404))
        try:
            await asyncio.sleep(min(self.takes, within))
        finally:
            self._at_once -= 1
        if self.takes > within:
            raise FetchError("no answer in time", url=url)
        if isinstance(answer, Exception):
            raise answer
        if etag is not None and etag == answer.etag:
            return Fetched(None, etag, answer.max_age)
        return answer
