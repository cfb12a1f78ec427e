"""Tokens and what they are judged by, in this process."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from authz_service.core.conditions import RequestAttributes
from authz_service.core.jwks import parse_jwk_set
from authz_service.core.policy import TokenRequirement
from authz_service.core.request import Host, HttpRequest, RequestPath
from authz_service.policy import load_policy
from bench.check_requests import HOST
from bench.minting import Issuer
from bench.policies import path, policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Policy
    from bench.scale import Scale

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Judged:
    """*tokens* of *issuer* that are good for the paths of *policy*, by its *keys*."""

    issuer: Issuer
    tokens: Sequence[str]
    policy: Policy
    keys: Mapping[str, KeySet]

    @classmethod
    def of(cls, alg: str, number: int, scale: Scale) -> Judged:
        """*number* tokens, all different, signed with *alg*."""
        issuer = Issuer("issuer", "https://auth.example.com", alg)
        file = scale.directory / f"{alg}.yaml"
        file.write_text(policy([issuer]), encoding="utf-8")
        keys = {issuer.name: parse_jwk_set(issuer.jwk_set)}
        return cls(issuer, issuer.tokens(number), load_policy([file], environment={}), keys)

    def requests(self) -> list[HttpRequest]:
        """A request with each token."""
        return [
            HttpRequest("GET", HOST, path(0), (("authorization", f"Bearer {token}"),))
            for token in self.tokens
        ]

    def requirement(self) -> TokenRequirement:
        """What those requests need."""
        route = self.policy.match(Host(HOST), RequestPath.parse(path(0))).route
        requirement = route.requirement_for("GET")
        assert isinstance(requirement, TokenRequirement)
        return requirement

    def attributes(self) -> RequestAttributes:
        """What a condition would be told of them."""
        return RequestAttributes(self.requests()[0], Host(HOST), {"id": "0"})


def seconds_each(do: Callable[[Iterable[T]], None], values: Sequence[T]) -> float:
    """The processor's time that *do* takes for each of *values*, on the average."""
    started = time.thread_time()
    do(values)
    return (time.thread_time() - started) / len(values)
