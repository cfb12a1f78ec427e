"""What is fuzzed holds for its seeds and for some changes of them, and fails where it should."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Final

import pytest

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
)
from authz_service.core import authorize as steps
from authz_service.core import claims, forward, jwks
from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow, DenyReason
from authz_service.core.jws import VerifiedPayload
from authz_service.core.request import HttpRequest
from authz_service.ext_authz import responses, servicer
from authz_service.ext_authz.convert import to_check_response
from authz_service.telemetry.logs import lines
from fuzz import policy_file, world
from fuzz.second_opinion import Seen, objection
from fuzz.target import MODULES, target
from fuzz.token_mutation import mutate_token
from tests.support.keys import jwk_set
from tests.support.tokens import NOW, json_object, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.core.decision import Decision
    from authz_service.core.jws import CompactJws

CHANGES: Final = 30  # of the seeds of each target


def octets_changed_by(random: Random) -> Callable[[bytes], bytes]:
    """Change a few octets, as the engine would."""

    def change(octets: bytes) -> bytes:
        changed = bytearray(octets)
        for _ in range(random.randint(1, 3)):
            place = random.randint(0, len(changed))
            changed[place : place + random.randint(0, 2)] = random.randbytes(random.randint(0, 2))
        return bytes(changed)

    return change


def message(line: str, token: str | None = None) -> bytes:
    """Write an input of the target `token`."""
    return f"{line}\n{world.tokens()[0] if token is None else token}".encode()


def token_with(**changed: object) -> str:
    """Sign a token of Logto's with other claims."""
    header = {"alg": "Ed25519", "kid": "ed", "typ": "at+jwt"}
    key = world.signing_keys()["Ed25519"]
    return sign(json_object(header), json_object(world.claims(**changed)), key=key)


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_wrong_for_the_seeds(name: str) -> None:
    seeds = list(target(name).seeds())
    assert seeds
    for seed in seeds:
        target(name).judge(seed)


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_wrong_for_changes_of_the_seeds(name: str) -> None:
    found, random = target(name), Random(name)  # noqa: S311 - the same in every run
    seeds, change = list(found.seeds()), octets_changed_by(random)
    for _ in range(CHANGES):
        seed = random.choice(seeds)
        changed = found.mutate(seed, change, random) if found.mutate else change(seed)
        found.judge(changed[: found.max_bytes])


@pytest.mark.parametrize("name", MODULES)
def test_no_seed_is_longer_than_an_input_may_be(name: str) -> None:
    assert max(len(seed) for seed in target(name).seeds()) <= target(name).max_bytes


def test_changed_tokens_get_beyond_the_signature() -> None:
    random = Random(1)  # noqa: S311 - the same in every run
    reasons: Counter[DenyReason | None] = Counter()
    for _ in range(400):
        token = mutate_token(random.choice(world.tokens()), octets_changed_by(random), random)
        headers = (("authorization", f"Bearer {token}"),)
        request = HttpRequest("GET", world.HOST, "/products", headers)
        decision = authorize(request, policy=world.policy(), keys=world.keys(), now=NOW)
        reasons[None if isinstance(decision, Allow) else decision.reason] += 1
    assert reasons.keys() >= {
        None,
        DenyReason.MALFORMED_TOKEN,
        DenyReason.BAD_SIGNATURE,
        DenyReason.MISSING_CLAIM,
        DenyReason.MALFORMED_CLAIM,
        DenyReason.WRONG_AUDIENCE,
        DenyReason.INSUFFICIENT_SCOPE,
    }


def test_a_signature_that_is_not_checked_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def believe(jws: CompactJws, _key: object) -> VerifiedPayload:
        return VerifiedPayload(jws.unverified_payload)

    monkeypatch.setattr(steps, "verify", believe)
    forged = world.tokens()[0][:-2] + "AA"
    with pytest.raises(AssertionError, match="nobody signed"):
        target("token").judge(message("GET /products", forged))


@pytest.mark.parametrize(
    ("check", "line", "changed"),
    [
        ("validate_times", "GET /products", {"exp": NOW - 11}),
        ("validate_times", "GET /products", {"nbf": NOW + 11}),
        ("validate_audience", "GET /products", {"aud": "https://another.api"}),
        ("validate_audience", "GET /organizations/other/members", {}),
        ("validate_scopes", "POST /products", {"scope": "read:products"}),
        ("validate_condition", "GET /organizations/other/orders", {}),
        ("validate_condition", "GET /adults/alice", {"age": 17}),
    ],
)
def test_a_claim_that_is_not_checked_is_found(
    monkeypatch: pytest.MonkeyPatch, check: str, line: str, changed: dict[str, object]
) -> None:
    hostile = message(line, token_with(**changed))
    target("token").judge(hostile)
    monkeypatch.setattr(claims, check, lambda *_: None)
    with pytest.raises(AssertionError, match=r"signed|not enough"):
        target("token").judge(hostile)


def test_a_header_of_the_client_that_passes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward.ForwardRules, "strips", lambda *_: False)
    check = CheckRequest()
    http = check.attributes.request.http
    http.method, http.path, http.host = "GET", "/healthz", world.HOST
    http.headers["x-auth-anything"] = "root"
    with pytest.raises(AssertionError, match="x-auth-anything"):
        target("check").judge(check.SerializeToString())


def test_an_answer_without_a_status_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses.Responses, "of", lambda *_: b"")
    with pytest.raises(AssertionError):
        target("check").judge(next(iter(target("check").seeds())))


def test_an_accident_of_ours_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "to_http_request", lambda _message: 1 / 0)
    with pytest.raises(AssertionError, match="check_failed"):
        target("check").judge(next(iter(target("check").seeds())))


def test_an_answer_that_repeats_the_request_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def repeat(_responses: responses.Responses, decision: Decision) -> bytes:
        response = to_check_response(decision)
        response.denied_response.body += "/nowhere"
        return response.SerializeToString()

    monkeypatch.setattr(responses.Responses, "of", repeat)
    with pytest.raises(AssertionError):
        target("check").judge(next(iter(target("check").seeds())))


def test_a_log_of_two_lines_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_as_json", lambda *_: "{}\n{}")
    with pytest.raises(AssertionError, match="more than one line"):
        target("token").judge(message("GET /products"))


def test_a_key_with_junk_in_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "_thumbprint", lambda key: key["x"])
    with pytest.raises(AssertionError, match="another's signature"):
        target("keys").judge(jwk_set(world.signing_keys()["ES256"].public))


def test_a_route_that_nobody_opened_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_file, "authorize", lambda *_, **__: Allow(None, None, None))  # type: ignore[arg-type] # none of it is looked at
    with pytest.raises(AssertionError):
        target("policy").judge(b'{"version": 1, "resources": []}')


def test_the_second_opinion_objects_to_paths_that_are_read_in_two_ways() -> None:
    for path in ("/open/../healthz", "/open/%2e%2e", "//healthz", "/open/a%5cb", "healthz", "/é"):
        seen = Seen("GET", "files.example.com", path, ())
        assert objection(seen, {}) == "an ambiguous path"
    assert objection(Seen("GET", world.HOST, "/healthz;a=b", ()), {}) == "an ambiguous path"
    assert objection(Seen("GET", "evil.example", "/healthz", ()), {}) == "a host of nobody"
    assert objection(Seen("POST", world.HOST, "/healthz", ()), {}) == "nobody in particular"
    assert objection(Seen("GET", world.HOST, "/healthz", ()), {}) is None
