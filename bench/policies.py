"""Policies that Checks are measured with: as many routes, hosts and issuers as wished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.check_requests import HOST
from bench.minting import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.minting import Issuer


def policy(issuers: Sequence[Issuer], *, routes: int = 10, hosts: int = 1) -> str:
    """*routes* at each of *hosts*, for the tokens of *issuers*. The first is public."""
    return (
        "version: 1\nissuers:\n"
        + "".join(
            f"  - {{name: {each.name}, issuer: '{each.identifier}', preset: logto,"
            f" algorithms: [{each.alg}]}}\n"
            for each in issuers
        )
        + "resources:\n"
        + "".join(
            f"  - name: shop-{host}\n    audience: {AUDIENCE}\n    hosts: [{host_name(host)}]\n"
            "    routes:\n      - {path: /healthz, methods: {GET: public}}\n"
            + "".join(_route(number) for number in range(routes - 1))
            for host in range(hosts)
        )
    )


def host_name(number: int) -> str:
    """The host with this number; the first is that of Checks by default."""
    return HOST if number == 0 else f"shop-{number}.example.com"


def path(number: int, *, routes: int = 10) -> str:
    """A path of one of *routes* routes, for any *number*: one after the other in turn."""
    return f"/products-{number % (routes - 1)}/{number}"


def _route(number: int) -> str:
    return (
        f"      - {{path: '/products-{number}/{{id}}',"
        " methods: {GET: [read:products], POST: [write:products]}}\n"
    )
