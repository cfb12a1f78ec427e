"""Claims become headers that a client cannot have set, and that no parser trips over."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final
from urllib.parse import unquote

import pytest

from authz_service.core import base64url
from authz_service.core.claims import AccessTokenClaims, ClaimReference
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.forward import (
    MAX_HEADER_BYTES,
    MAX_HEADERS_BYTES,
    ForwardRules,
    UpstreamHeaders,
    upstream_headers,
)
from authz_service.core.jws import VerifiedPayload
from authz_service.core.request import HttpRequest
from tests.support.policies import LOGTO, PARTNER
from tests.support.tokens import ISSUER, VALID_CLAIMS

NOTHING_TO_STRIP: Final = ForwardRules(headers=(), strip=())


def request(*names: str) -> HttpRequest:
    return HttpRequest("GET", "h", "/", tuple((name, "from the client") for name in names))


def claims_with(**changes: object) -> AccessTokenClaims:
    members = {**VALID_CLAIMS, **changes}
    return AccessTokenClaims.parse(VerifiedPayload(members), LOGTO)  # type: ignore[arg-type]


def rules_for(*pairs: tuple[str, str], claims_header: str | None = None) -> ForwardRules:
    headers = tuple((name, ClaimReference.parse(claim)) for name, claim in pairs)
    return replace(NOTHING_TO_STRIP, headers=headers, claims_header=claims_header)


def forwarded(value: object) -> str | None:
    """Give the header's value that a claim of *value* becomes."""
    changes = upstream_headers(rules_for(("x-c", "c")), claims_with(c=value), request())
    assert ("x-c" in changes.remove) is (changes.overwrite == ())
    return dict(changes.overwrite).get("x-c")


def refusal(rules: ForwardRules, claims: AccessTokenClaims) -> DenyReason:
    with pytest.raises(AccessDenied) as refused:
        upstream_headers(rules, claims, request())
    return refused.value.reason


# Values.


@pytest.mark.parametrize(
    ("claim", "header"),
    [
        ("user-1", "user-1"),
        ("a b", "a b"),
        ('~!"#%\\', '~!"#%\\'),
        ('%"a claim', '%"%25%22a claim"'),
        (1, "1"),
        (-1.5, "-1.5"),
        (1.0, "1.0"),
        (10**30, "1" + "0" * 30),
        (True, "true"),
        (False, "false"),
        ([], "[]"),
        ({}, "{}"),
        (["a", 1, None, True], '["a",1,null,true]'),
        ({"a": {"b": "c d"}}, '{"a":{"b":"c d"}}'),
        (["é", "😀", "\u2028"], r'["\u00e9","\ud83d\ude00","\u2028"]'),
        ({"é": 1}, r'{"\u00e9":1}'),
    ],
)
def test_a_claim_becomes_text_of_printable_ascii(claim: object, header: str) -> None:
    assert forwarded(claim) == header


# RFC 9651, sections 3.3.8 and 4.1.11.
@pytest.mark.parametrize(
    ("claim", "header"),
    [
        ("This is intended for display to üsers.",
            '%"This is intended for display to %c3%bcsers."'),
        ("füü", '%"f%c3%bc%c3%bc"'),
        ('"é"', '%"%22%c3%a9%22"'),
        ("100% é", '%"100%25 %c3%a9"'),
        ("\\é", '%"\\%c3%a9"'),
        ("😀", '%"%f0%9f%98%80"'),
        ("\u2028", '%"%e2%80%a8"'),
        ("\ufeff", '%"%ef%bb%bf"'),
        ("\u00a0", '%"%c2%a0"'),
        (" a", '%" a"'),
        ("a ", '%"a "'),
        (" ", '%" "'),
    ],
)  # fmt: skip
def test_other_text_becomes_a_display_string(claim: str, header: str) -> None:
    assert forwarded(claim) == header
    assert unquote(header[2:-1]) == claim


@pytest.mark.parametrize("value", [None, ""])
def test_a_claim_that_says_nothing_is_not_set_and_so_removed(value: object) -> None:
    assert forwarded(value) is None


def test_a_claim_that_is_not_there_is_removed() -> None:
    changes = upstream_headers(rules_for(("x-c", "c")), claims_with(), request("x-c"))
    assert changes == UpstreamHeaders((), ("x-c", "x_c"))


@pytest.mark.parametrize("character", ["\x00", "\t", "\n", "\r", "\x1b", "\x7f", "\x80", "\x9f"])
def test_a_control_character_at_any_depth_is_malformed(character: str) -> None:
    text = f"a{character}b"
    for value in (text, [text], [[1, [text]]], {"a": text}, {text: 1}, {"a": [{"b": {text: 1}}]}):
        assert refusal(rules_for(("x-c", "c")), claims_with(c=value)) is DenyReason.MALFORMED_CLAIM


def test_a_control_character_in_a_scope_is_malformed() -> None:
    assert refusal(ForwardRules(), claims_with(scope="a\tb")) is DenyReason.MALFORMED_CLAIM


def test_a_control_character_in_a_claim_that_is_not_forwarded_harms_nobody() -> None:
    changes = upstream_headers(ForwardRules(), claims_with(note="a\r\nb"), request())
    assert "note" not in str(changes)


def test_scope_and_client_are_what_the_issuers_profile_takes_for_them() -> None:
    payload = VerifiedPayload(
        {**VALID_CLAIMS, "scp": ["a", "b"], "azp": "other-app"}  # type: ignore[dict-item]
    )
    claims = AccessTokenClaims.parse(payload, PARTNER)
    assert dict(upstream_headers(ForwardRules(), claims, request()).overwrite) == {
        "x-auth-subject": "user-1",
        "x-auth-client-id": "other-app",
        "x-auth-scope": "a b",
        "x-auth-issuer": ISSUER,
    }


def test_an_array_of_scopes_is_forwarded_as_the_string_of_the_standard() -> None:
    changes = upstream_headers(ForwardRules(), claims_with(scope=["b", "a"]), request())
    assert dict(changes.overwrite)["x-auth-scope"] == "b a"


def test_a_nested_claim_is_forwarded_by_its_pointer() -> None:
    rules = rules_for(("x-role", "/realm/roles/0"), ("x-raw", "/scope"))
    changes = upstream_headers(
        rules, claims_with(realm={"roles": ["admin"]}, scope="b  a"), request()
    )
    assert dict(changes.overwrite) == {"x-role": "admin", "x-raw": "b  a"}


def test_all_claims_go_into_one_header_if_it_has_a_name() -> None:
    claims = claims_with(note="é\r\n\x00")
    changes = upstream_headers(rules_for(claims_header="x-claims"), claims, request())
    ((name, value),) = changes.overwrite
    assert name == "x-claims"
    assert json.loads(base64url.decode(value)) == claims.members
    public = upstream_headers(rules_for(claims_header="x-claims"), None, request())
    assert public == UpstreamHeaders((), ("x-claims", "x_claims"))


# Sizes.


@pytest.mark.parametrize("unit", ["a", "é"])
def test_one_header_has_at_most_so_many_octets(unit: str) -> None:
    rules = rules_for(("x-c", "c"))
    overhead, octets = (0, 1) if unit == "a" else (3, 6)
    units, rest = divmod(MAX_HEADER_BYTES - overhead, octets)
    fits = unit * units + "a" * rest
    assert len(forwarded(fits) or "") == MAX_HEADER_BYTES
    assert refusal(rules, claims_with(c=fits + "a")) is DenyReason.CLAIMS_TOO_LARGE


def test_all_headers_have_at_most_so_many_octets_with_their_names() -> None:
    names = ["x-1", "x-2", "x-3", "x-4", "x-5"]
    rules = rules_for(*((name, name) for name in names))
    filler = {name: "a" * (MAX_HEADERS_BYTES // 5 - len(name)) for name in names}
    filler["x-1"] += "a" * (MAX_HEADERS_BYTES % 5)
    changes = upstream_headers(rules, claims_with(**filler), request())
    assert sum(len(name) + len(value) for name, value in changes.overwrite) == MAX_HEADERS_BYTES
    filler["x-2"] += "a"
    assert refusal(rules, claims_with(**filler)) is DenyReason.CLAIMS_TOO_LARGE


def test_the_header_of_all_claims_counts_as_well() -> None:
    rules = rules_for(claims_header="x-claims")
    claims = claims_with(note="a" * MAX_HEADER_BYTES)
    assert refusal(rules, claims) is DenyReason.CLAIMS_TOO_LARGE


# What the client sent.


@pytest.mark.parametrize(
    "name",
    [
        "x-auth-subject",
        "x_auth_subject",
        "x-auth_subject",
        "x_auth-subject",
        "x-auth-client-id",
        "x_auth_client-id",
        "x-auth-anything",
        "x_auth_anything",
        "x-auth-",
        "x_auth_",
        "X-Auth-Subject",
        "X_AUTH_SUBJECT",
    ],
)
@pytest.mark.parametrize("with_token", [False, True])
def test_an_identity_header_of_the_client_is_overwritten_or_removed(
    name: str, *, with_token: bool
) -> None:
    claims = claims_with() if with_token else None
    changes = upstream_headers(ForwardRules(), claims, request(name))
    assert (name in changes.remove) is not (name in dict(changes.overwrite))


@pytest.mark.parametrize(
    "name", ["x-auth", "x-authority", "x-authx-subject", "auth-x", "x-user", "authorization", ":x"]
)
def test_another_header_of_the_client_stays(name: str) -> None:
    assert name not in upstream_headers(ForwardRules(), None, request(name)).remove


def test_a_pseudo_header_is_never_removed() -> None:
    rules = replace(NOTHING_TO_STRIP, strip=("*",))
    changes = upstream_headers(rules, None, request(":path", ":authority", "x-a"))
    assert changes.remove == ("x-a",)


@pytest.mark.parametrize(
    ("pattern", "stripped", "kept"),
    [
        ("x-user", ["x-user", "x_user"], ["x-user-id", "x-use"]),
        ("x_user", ["x-user", "x_user"], ["x-user-id"]),
        ("x-user-*", ["x-user-id", "x_user_id", "x-user-"], ["x-user", "x-users"]),
        ("x_user_*", ["x-user-id", "x_user_id"], ["x-user"]),
        ("x*", ["x", "x-a", "xa", "x_"], ["y"]),
        ("*", ["anything", "authorization"], []),
    ],
)
def test_a_pattern_strips_every_spelling_of_a_name(
    pattern: str, stripped: list[str], kept: list[str]
) -> None:
    rules = replace(NOTHING_TO_STRIP, strip=(pattern,))
    remove = upstream_headers(rules, None, request(*stripped, *kept)).remove
    assert set(stripped) <= set(remove)
    assert not set(kept) & set(remove)
    assert all(rules.strips(name) for name in stripped)
    assert not any(rules.strips(name) for name in kept)


def test_no_flood_of_names_changes_what_is_stripped_or_is_remembered_for_ever() -> None:
    rules = ForwardRules()
    names = [f"x-auth-{number}" for number in range(1000)] + ["x-auth-" + "a" * 5000]
    harmless = [f"x-other-{number}" for number in range(1000)] + ["a" * 5000]
    for _ in range(2):
        remove = upstream_headers(rules, None, request(*names, *harmless)).remove
        assert set(names) <= set(remove)
        assert not set(harmless) & set(remove)
    assert len(rules._verdicts) <= 512
    assert max(map(len, rules._verdicts)) <= 64


def test_a_flood_of_names_does_not_keep_usual_names_from_being_remembered() -> None:
    rules = ForwardRules()
    upstream_headers(rules, None, request(*(f"x-other-{number}" for number in range(1000))))
    upstream_headers(rules, None, request("accept"))
    assert "accept" in rules._verdicts


def test_a_field_without_a_name_can_be_stripped() -> None:
    rules = ForwardRules(strip=("*",))
    assert "" in upstream_headers(rules, None, request("")).remove


def test_known_names_and_their_twins_are_removed_even_if_envoy_does_not_show_them() -> None:
    rules = ForwardRules(
        headers=(("x-user-id", ClaimReference.parse("sub")), ("user", ClaimReference.parse("sub"))),
        strip=("x-exact-name", "x-hidden-*"),
        claims_header="x-claims",
    )
    assert upstream_headers(rules, None, request()) == UpstreamHeaders(
        (),
        (
            "x-user-id",
            "x_user_id",
            "user",
            "x-claims",
            "x_claims",
            "x-exact-name",
            "x_exact_name",
        ),
    )
    assert rules.identity_headers == ("x-user-id", "user", "x-claims")


def test_what_is_overwritten_is_not_removed_but_its_twins_are() -> None:
    changes = upstream_headers(
        rules_for(("x-u-i", "sub")), claims_with(), request("x-u-i", "x_u_i", "x-u_i", "x_u-i")
    )
    assert changes.overwrite == (("x-u-i", "user-1"),)
    assert set(changes.remove) == {"x_u_i", "x-u_i", "x_u-i"}


def test_two_headers_that_are_twins_are_both_set() -> None:
    changes = upstream_headers(rules_for(("x-u", "sub"), ("x_u", "sub")), claims_with(), request())
    assert changes == UpstreamHeaders((("x-u", "user-1"), ("x_u", "user-1")), ())


def test_a_name_is_removed_once_however_often_it_was_sent() -> None:
    changes = upstream_headers(ForwardRules(), None, request("x-auth-a", "x-auth-a"))
    assert changes.remove.count("x-auth-a") == 1


@pytest.mark.parametrize("keep", [True, False])
def test_the_token_reaches_the_upstream_unless_it_is_to_be_removed(*, keep: bool) -> None:
    rules = replace(NOTHING_TO_STRIP, keep_authorization=keep)
    for claims in (None, claims_with()):
        remove = upstream_headers(rules, claims, request("authorization")).remove
        assert ("authorization" in remove) is not keep
