"""The whole story of one decision, as values: `text` and `document` put it into words and JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_service.core.answers import ANSWERS, body, response_headers
from authz_service.core.decision import Allow, Deny
from authz_service.core.policy import Public
from authz_service.explain.contents import contents_of
from authz_service.explain.judged import judge
from authz_service.explain.place import position_of
from authz_service.explain.steps import steps_of
from authz_service.explain.words import requirement_in_words
from authz_service.policy.why import why

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_service.core.forward import UpstreamHeaders
    from authz_service.core.policy import Policy
    from authz_service.core.request import HttpRequest
    from authz_service.explain.contents import TokenContents
    from authz_service.explain.judged import Judged, KeysUsed
    from authz_service.explain.step import Step
    from authz_service.policy.compiler import PolicySource
    from authz_service.policy.problems import Position


@dataclass(frozen=True, slots=True)
class ClientAnswer:
    """What the client gets instead of the upstream's answer."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """How the request in *judged* was decided, and what comes of it.

    Either *client* or *upstream* is there: the answer to a request that does not pass, or what the
    upstream gets to see. *needed* says of a refusal, enforced or not, what would have been needed.
    """

    judged: Judged
    steps: tuple[Step, ...]
    requirement: str | None
    position: Position | None
    token: TokenContents | None
    upstream: UpstreamHeaders | None
    client: ClientAnswer | None
    needed: str | None
    signature_skipped: bool = field(default=False)

    @property
    def passes(self) -> bool:
        """Whether the request gets to the upstream."""
        return self.client is None

    @property
    def reason(self) -> str | None:
        """The reason of the refusal, enforced or not."""
        return None if self.judged.deny is None else self.judged.deny.reason.value

    @property
    def audited(self) -> bool:
        """Whether this is a refusal that is not enforced."""
        return self.passes and self.judged.deny is not None


def explain(  # noqa: PLR0913 - what a decision is made of, and told with
    request: HttpRequest,
    *,
    policy: Policy,
    now: float,
    keys: KeysUsed | None = None,
    sources: Iterable[PolicySource] = (),
    signature_skipped: bool = False,
) -> Explanation:
    """Decide on *request* at the time *now* (seconds since the epoch), and tell how.

    It is the decision of the service: the same function makes it. *keys* are those of the issuer
    that `issuer_whose_keys_are_needed` names, *sources* the files that the policy was made of.
    *signature_skipped* says that the caller asked for that, whether or not it came to matter.
    """
    judged = judge(request, policy=policy, now=now, keys=keys)
    decision, match = judged.decision, judged.trail.match
    needed = _needed(judged)
    return Explanation(
        judged=judged,
        steps=steps_of(judged, needed or ""),
        requirement=_requirement(judged),
        position=None if match is None else position_of(match.route, sources),
        token=contents_of(judged),
        upstream=decision.headers if isinstance(decision, Allow) else None,
        client=_client_answer(decision) if isinstance(decision, Deny) else None,
        needed=needed,
        signature_skipped=signature_skipped or judged.signature_skipped,
    )


def _client_answer(deny: Deny) -> ClientAnswer:
    answer = ANSWERS[deny.reason]
    return ClientAnswer(answer.http_status, response_headers(deny), body(answer))


def _needed(judged: Judged) -> str | None:
    if judged.deny is None:
        return None
    key_sets = judged.keys.key_sets if judged.keys else {}
    sentence = why(
        judged.deny, request=judged.request, policy=judged.policy, keys=key_sets, now=judged.now
    )
    fault = judged.keys.fault if judged.keys else None
    return sentence if fault is None else f"{sentence}: {fault}"


def _requirement(judged: Judged) -> str | None:
    requirement, match = judged.trail.requirement, judged.trail.match
    if requirement is None or match is None:
        return None
    return (
        "public"
        if isinstance(requirement, Public)
        else requirement_in_words(requirement, match.variables)
    )
