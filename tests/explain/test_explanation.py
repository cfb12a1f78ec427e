"""What an explanation holds, whoever renders it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from authz_service.core.decision import DenyReason
from authz_service.core.policy import RemoteKeys
from authz_service.explain.document import to_json, to_members
from authz_service.explain.explanation import explain
from authz_service.explain.issuer_keys import keys_of
from authz_service.explain.judged import KeyOrigin, KeysUsed, issuer_whose_keys_are_needed
from authz_service.explain.lines import paragraph
from authz_service.explain.skipped import sign_again
from authz_service.explain.text import ASCII_SIGNS, render
from authz_service.keys.fetch import Fetched
from authz_service.policy.loader import load
from authz_service.policy.when import WhenExpression
from tests.support.checks import Check
from tests.support.keys import jwk_set, key_set, signing_key
from tests.support.memory_fetcher import MemoryFetcher
from tests.support.policies import LOGTO, HoldsIf, claim_is, needs, policy_of, route
from tests.support.tokens import ISSUER, NOW

if TYPE_CHECKING:
    from pathlib import Path

    from authz_service.core.conditions import RequestAttributes
    from authz_service.core.strict_json import JsonObject
    from authz_service.explain.explanation import Explanation

KEYS: Final = KeysUsed("logto", KeyOrigin.FILE, "keys.json", None)


@dataclass(frozen=True)
class Written:
    """A condition that is written in the policy, and breaks or not."""

    text: str
    breaks: bool = False
    reason: DenyReason = DenyReason.CONDITION_FAILED

    def holds(self, members: JsonObject, attributes: RequestAttributes) -> bool:
        """Say no, or break."""
        del members, attributes
        if self.breaks:
            message = "s3cret"
            raise ZeroDivisionError(message)
        return False


def explained(check: Check, *, skipped: bool = False) -> Explanation:
    keys = replace(KEYS, key_set=key_set(signing_key()))
    return explain(
        check.request(), policy=check.policy, now=check.now, keys=keys, signature_skipped=skipped
    )


def passed(explanation: Explanation) -> dict[str, bool | None]:
    return {step.name: step.passed for step in explanation.steps}


def text(explanation: Explanation, width: int = 80) -> str:
    return "\n".join(line.text for line in render(explanation, width=width))


def test_later_checks_of_the_step_that_refused_are_tried_and_decide_nothing() -> None:
    conditions = (claim_is("organization_id", "{org}"), HoldsIf("vip"))
    policy = policy_of(route("/o/{org}", {"GET": needs("a", "b", conditions=conditions)}))
    claims = {"exp": NOW - 11, "scope": "b c", "vip": True, "organization_id": ["x", 2]}
    explanation = explained(Check(target="/o/1", claims=claims, policy=policy))
    checks = [step for step in explanation.steps if step.number == 13]
    assert [(step.name, step.passed, step.decided) for step in checks] == [
        ("times", False, True),
        ("audience", True, False),
        ("scopes", False, False),
        ("condition", False, False),
        ("condition", True, False),
    ]
    assert checks[2].detail == "needed: a and b; granted: b and c; missing: a"
    assert checks[3].detail.endswith('organization_id is or contains 1; it is ["x", 2]')
    assert explanation.reason == "expired"
    assert "would not do: scopes and condition failed as well" in text(explanation, 120)


def test_a_condition_that_is_written_is_shown_as_it_is_written() -> None:
    policy = policy_of(route("/c", {"GET": needs(conditions=(Written("claims.a\x1b == 1"),))}))
    explanation = explained(Check(target="/c", policy=policy))
    assert explanation.requirement is not None
    assert "where it is true that claims.a\\x1b == 1" in explanation.requirement
    assert passed(explanation)["condition"] is False


def test_an_expression_that_does_not_hold_says_why() -> None:
    texts = ("claims.age > 3", "claims.sub == ''", "claims.sub != ''")
    conditions = tuple(WhenExpression.parse(text) for text in texts)
    policy = policy_of(route("/c", {"GET": needs(conditions=conditions)}))
    explanation = explained(Check(target="/c", policy=policy))
    assert [step.detail for step in explanation.steps if step.name == "condition"] == [
        "needed: it is true that claims.age > 3; it cannot be evaluated: no such key: age",
        "needed: it is true that claims.sub == ''; it is false",
        "needed: it is true that claims.sub != ''",
    ]


def test_a_fault_of_ours_is_refused_as_the_service_refuses_it() -> None:
    policy = policy_of(route("/c", {"GET": needs(conditions=(Written("x", breaks=True),))}))
    explanation = explained(Check(target="/c", policy=policy))
    assert explanation.reason == "internal_error"
    assert explanation.client is not None
    assert explanation.client.status == 500
    assert "s3cret" not in text(explanation) + to_json(explanation)


@pytest.mark.parametrize("scopes", [(), ("read:products",)])
def test_what_is_missing_of_several_scopes_of_which_one_is_enough(scopes: tuple[str, ...]) -> None:
    policy = policy_of(route("/c", {"GET": needs(*scopes, any_scope=("admin", "owner"))}))
    explanation = explained(Check(target="/c", policy=policy))
    (step,) = (step for step in explanation.steps if step.name == "scopes")
    assert "one of admin or owner" in step.detail
    assert step.detail.endswith("granted: read:products")
    assert step.passed is False


@pytest.mark.parametrize(
    ("method", "detail"),
    [("GET", "the route names GET"), ("HEAD", "HEAD is judged as GET"), ("PUT", '"*"')],
)
def test_how_the_method_was_found_is_told(method: str, detail: str) -> None:
    policy = policy_of(route("/c", {"GET": needs(), "*": needs()}))
    explanation = explained(Check(method=method, target="/c", policy=policy))
    assert detail in explanation.steps[3].detail


def test_a_preflight_is_told_as_one() -> None:
    policy = policy_of(replace(route("/c", {"GET": needs()}), allow_preflight=True), host="*")
    headers = (("origin", "https://a"), ("access-control-request-method", "PUT"))
    check = Check(method="OPTIONS", target="/c", policy=policy, headers=headers, authorization=None)
    explanation = explained(check)
    assert explanation.passes
    assert "CORS preflight" in explanation.steps[3].detail
    assert "every host (*)" in explanation.steps[2].detail
    assert passed(explanation)["token"] is None


def test_no_token_where_it_is_optional_is_what_the_step_found() -> None:
    policy = policy_of(route("/c", {"GET": replace(needs("a"), optional=True)}))
    explanation = explained(Check(target="/c", policy=policy, authorization=None))
    assert explanation.passes
    assert explanation.steps[5].detail == "none was sent, and it is optional"
    assert passed(explanation)["form"] is None
    assert explanation.token is None


def test_without_a_skipped_signature_nothing_is_said_of_one() -> None:
    assert "N O T" not in text(explained(Check()))
    assert "N O T" in text(explained(Check(), skipped=True))


def test_the_token_that_is_signed_again_is_the_same_but_for_its_signature() -> None:
    request = Check(header={"kid": "theirs"}, signed_with=lambda: signing_key("RS256")).request()
    again, keys = sign_again(request, LOGTO)
    before, after = (each.header_values("authorization")[0] for each in (request, again))
    assert before != after
    assert before.rpartition(".")[0] == after.rpartition(".")[0]
    assert replace(again, headers=()) == replace(request, headers=())
    assert keys.origin is KeyOrigin.THROWAWAY
    explanation = explain(again, policy=Check().policy, now=NOW, keys=keys)
    assert explanation.passes
    assert explanation.signature_skipped
    assert explanation.token is not None
    assert not explanation.token.verified


def test_keys_are_needed_only_where_the_decision_comes_to_them() -> None:
    def needed(check: Check) -> str | None:
        issuer = issuer_whose_keys_are_needed(check.request(), policy=check.policy, now=NOW)
        return None if issuer is None else issuer.name

    assert needed(Check()) == "logto"
    assert needed(Check(claims={"exp": 1})) == "logto"
    assert needed(Check(claims={"iss": "https://partner.example"})) == "partner"
    for other in (
        Check(authorization=None), Check(target="/healthz"), Check(claims={"iss": "nobody"}),
        Check(header={"typ": "JWT"}), Check(method="X"),
    ):  # fmt: skip
        assert needed(other) is None


def test_remote_keys_are_fetched_once_from_where_the_metadata_says() -> None:
    uri = "https://keys.example/jwks"
    metadata = json.dumps({"issuer": ISSUER, "jwks_uri": uri}).encode()
    fetcher = MemoryFetcher({
        f"{ISSUER}/.well-known/openid-configuration": Fetched(metadata),
        uri: Fetched(jwk_set(signing_key().public)),
    })  # fmt: skip
    keys = asyncio.run(keys_of(LOGTO, fetcher))
    assert (keys.origin, keys.where, keys.fault) == (KeyOrigin.LIVE, uri, None)
    assert keys.key_set == key_set(signing_key())
    assert len(fetcher.asked) == 2


def test_keys_that_cannot_be_fetched_are_told_with_where_and_why() -> None:
    issuer = replace(LOGTO, keys=RemoteKeys(jwks_uri="https://keys.example/jwks"))
    keys = asyncio.run(keys_of(issuer, MemoryFetcher()))
    assert keys.key_set is None
    assert keys.where == "https://keys.example/jwks"
    assert keys.fault == "the answer is not 200 (status 404)"
    explanation = explain(Check().request(), policy=Check().policy, now=NOW, keys=keys)
    assert explanation.reason == "keys_unavailable"
    assert explanation.needed is not None
    assert keys.fault in explanation.needed


def test_keys_of_the_policy_need_no_fetcher() -> None:
    issuer = replace(LOGTO, keys=key_set(signing_key()))
    fetcher = MemoryFetcher()
    assert asyncio.run(keys_of(issuer, fetcher)).origin is KeyOrigin.POLICY
    assert fetcher.asked == []


def test_the_route_is_found_in_the_file_that_it_stands_in(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(
            "version: 1\nresources:\n"
            f"  - audience: https://{name}.api\n    hosts: [{name}.example]\n    routes:\n"
            "      - {path: /other, methods: {GET: public}}\n"
            "      - {path: /x, methods: {GET: public}}\n"
        )
    loaded = load([tmp_path], environment={})
    request = Check(authority="b.example", target="/x", authorization=None).request()
    explanation = explain(request, policy=loaded.policy, now=NOW, sources=loaded.sources)
    assert str(explanation.position) == f"{tmp_path}/b.yaml:7:9"
    assert explain(request, policy=loaded.policy, now=NOW).position is None
    assert (
        explain(request, policy=loaded.policy, now=NOW, sources=loaded.sources[:1]).position is None
    )


def test_every_member_of_the_json_is_always_there() -> None:
    allowed, refused = (to_members(explained(check)) for check in (Check(), Check(target="//")))
    assert list(allowed) == list(refused)
    assert (allowed["client"], allowed["needed"], allowed["reason"]) == (None, None, None)
    assert (refused["route"], refused["upstream"], refused["requirement"]) == (None, None, None)


def test_json_is_ascii_and_holds_no_control_character() -> None:
    written = to_json(explained(Check(target="/\x7f\x9b\u2028é", claims={"x": "\x7f\x1b"})))
    assert written.isascii()
    assert written.replace("\n", "").isprintable()
    assert json.loads(written)["request"]["path"] == "/\x7f\x9b\u2028é"


def test_plain_signs_take_the_place_of_ticks() -> None:
    explanation = explained(Check(claims={"scope": ""}))
    lines = [line.text for line in render(explanation, signs=ASCII_SIGNS)]
    assert any(line.startswith("+  1 path") for line in lines)
    assert any(line.startswith("x 13 scopes") for line in lines)
    assert any(line.startswith("- 14 upstream") for line in lines)
    assert "\n".join(lines).isascii()


@pytest.mark.parametrize("value", [True, "soon", None, [], 10**400, 1e300, -5])
def test_a_claim_that_is_no_time_of_the_calendar_is_shown_as_it_is(value: Any) -> None:  # noqa: ANN401
    assert f'"nbf": {json.dumps(value).split(chr(10))[0][:4]}' in text(
        explained(Check(claims={"nbf": value}))
    )


def test_a_paragraph_keeps_words_whole_and_its_lines_aligned() -> None:
    lines = [line.text for line in paragraph("one two " + "x" * 30, 24, first="- ")]
    assert lines == ["- one two", "  " + "x" * 30]
    assert [line.text for line in paragraph("", 24, first="- ")] == ["- "]
