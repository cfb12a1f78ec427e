"""Claims are given their types once, and are found by name or by JSON Pointer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core import strict_json
from authz_service.core.claims import ABSENT, AccessTokenClaims, ClaimReference
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.jws import VerifiedPayload
from authz_service.core.policy import AccessTokenMarks
from tests.support.policies import LOGTO, PARTNER
from tests.support.tokens import AUDIENCE, ISSUER, MISSING, NOW, VALID_CLAIMS, json_object

if TYPE_CHECKING:
    from authz_service.core.policy import Issuer


def parse(issuer: Issuer = LOGTO, /, **claims: object) -> AccessTokenClaims:
    members = strict_json.parse_object(json_object({**VALID_CLAIMS, **claims}))
    return AccessTokenClaims.parse(VerifiedPayload(members), issuer)


def test_claims_get_their_types() -> None:
    claims = parse(nbf=NOW - 1.5, aud=["a", AUDIENCE], scope="b a", extra={"x": [1]})
    assert claims.issuer == ISSUER
    assert claims.audiences == ("a", AUDIENCE)
    assert claims.expires_at == NOW + 3600
    assert claims.not_before == NOW - 1.5
    assert claims.issued_at == NOW - 60
    assert claims.subject == "user-1"
    assert claims.client_id == "app-1"
    assert claims.scopes == ("b", "a")
    assert claims.members["extra"] == {"x": [1]}


def test_claims_that_are_not_required_may_be_missing() -> None:
    claims = parse(PARTNER, sub=MISSING, client_id=MISSING, iat=MISSING, jti=MISSING, scope=MISSING)
    assert (claims.subject, claims.client_id, claims.issued_at, claims.not_before) == (None,) * 4
    assert claims.scopes == ()
    assert claims.audiences == (AUDIENCE,)


def test_the_profile_of_the_issuer_names_the_claims_for_scope_and_client() -> None:
    claims = parse(PARTNER, scp=["x", "y"], azp="other-app")
    assert claims.scopes == ("x", "y")
    assert claims.client_id == "other-app"


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        ("", ()),
        (" ", ()),
        ("a", ("a",)),
        ("  a   b ", ("a", "b")),
        ("a a", ("a",)),
        ("b a b", ("b", "a")),
        ("a\u00a0b", ("a\u00a0b",)),
        ([], ()),
        (["a", "b"], ("a", "b")),
        (["b", "a", "b"], ("b", "a")),
        (["a\u00a0b"], ("a\u00a0b",)),
    ],
)
def test_scopes_are_a_string_or_an_array(scope: object, scopes: tuple[str, ...]) -> None:
    assert parse(scope=scope).scopes == scopes


SEVERAL: Final = replace(
    PARTNER,
    scope_claims=tuple(map(ClaimReference.parse, ("scp", "/realm/roles", "permissions"))),
    fallback_scope_claims=(ClaimReference.parse("roles"), ClaimReference.parse("groups")),
    client_id_claims=tuple(map(ClaimReference.parse, ("azp", "/client/id", "appid"))),
)


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({}, ()),
        ({"scp": "b a", "permissions": ["c", "a"], "realm": {"roles": ["d"]}}, tuple("badc")),
        ({"permissions": "c", "roles": ["a"]}, ("c",)),
        ({"scp": "", "roles": ["a"]}, ()),
        ({"scp": [], "roles": ["a"]}, ()),
        ({"realm": {"other": 1}, "roles": ["a", "b"]}, ("a", "b")),
        ({"roles": ["a"], "groups": "b a"}, ("a", "b")),
        ({"roles": []}, ()),
        ({"realm": "roles"}, ()),
        ({"realm": {"roles": "a b"}}, ("a", "b")),
    ],
)
def test_scopes_are_gathered_from_every_claim_for_them(
    claims: dict[str, object], scopes: tuple[str, ...]
) -> None:
    assert parse(SEVERAL, **claims).scopes == scopes


@pytest.mark.parametrize("value", [None, 1, True, {}, {"a": "b"}, [1], [""], ["a b"], [["a"]]])
@pytest.mark.parametrize("claim", ["scp", "permissions"])
def test_one_malformed_claim_for_scopes_is_too_many(claim: str, value: object) -> None:
    with pytest.raises(AccessDenied) as refused:
        parse(SEVERAL, **{"scp": "a", "permissions": "b", claim: value})
    assert refused.value.reason is DenyReason.MALFORMED_CLAIM


def test_a_fallback_that_does_not_count_may_be_anything() -> None:
    assert parse(SEVERAL, scp="a", roles={"b": 1}).scopes == ("a",)


@pytest.mark.parametrize(
    ("claims", "client_id"),
    [
        ({}, None),
        ({"azp": "a", "appid": "c"}, "a"),
        ({"client": {"id": "b"}, "appid": "c"}, "b"),
        ({"client": {"name": "b"}, "appid": "c"}, "c"),
    ],
)
def test_the_first_claim_for_the_client_that_is_there_wins(
    claims: dict[str, object], client_id: str | None
) -> None:
    assert parse(SEVERAL, **claims).client_id == client_id


@pytest.mark.parametrize("value", [None, "", 1, True, [], ["a"], {}])
def test_a_malformed_client_hands_on_to_no_other_claim(value: object) -> None:
    with pytest.raises(AccessDenied) as refused:
        parse(SEVERAL, azp=value, appid="c")
    assert refused.value.reason is DenyReason.MALFORMED_CLAIM


STAND_IN: Final = replace(
    PARTNER,
    client_id_claims=(ClaimReference.parse("username"),),
    audience_stand_in="client_id",
)


def test_a_claim_stands_in_for_an_audience_that_is_not_there_and_for_no_other() -> None:
    assert parse(STAND_IN, aud=MISSING, username=AUDIENCE).audiences == ("app-1",)
    assert parse(STAND_IN).audiences == (AUDIENCE,)
    assert parse(STAND_IN, aud=[]).audiences == ()
    assert parse(STAND_IN, aud=["x", "y"]).audiences == ("x", "y")


@pytest.mark.parametrize(
    ("issuer", "claims", "reason"),
    [
        (STAND_IN, {"aud": None}, DenyReason.MALFORMED_CLAIM),
        (STAND_IN, {"aud": ""}, DenyReason.MALFORMED_CLAIM),
        (STAND_IN, {"aud": {}}, DenyReason.MALFORMED_CLAIM),
        (STAND_IN, {"aud": [None]}, DenyReason.MALFORMED_CLAIM),
        (STAND_IN, {"aud": MISSING, "client_id": MISSING, "azp": "a"}, DenyReason.MISSING_CLAIM),
        (STAND_IN, {"aud": MISSING, "client_id": ""}, DenyReason.MALFORMED_CLAIM),
        (STAND_IN, {"aud": MISSING, "client_id": ["app-1"]}, DenyReason.MALFORMED_CLAIM),
        (PARTNER, {"aud": MISSING, "azp": "app-1"}, DenyReason.MISSING_CLAIM),
    ],
)
def test_nothing_else_stands_in_for_an_audience(
    issuer: Issuer, claims: dict[str, object], reason: DenyReason
) -> None:
    with pytest.raises(AccessDenied) as refused:
        parse(issuer, **claims)
    assert refused.value.reason is reason


MARKED: Final = replace(
    PARTNER,
    marks=AccessTokenMarks(
        values=(("use", "access"), ("typ", "Bearer")),
        one_of=(("azp", "appid"), ("scp", "roles")),
        never=("nonce", "at_hash"),
    ),
)
MARKS: Final = {"use": "access", "typ": "Bearer", "appid": "app-1", "roles": []}


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"use": "id"}, DenyReason.TOKEN_TYPE_NOT_ALLOWED),
        ({"use": "Access"}, DenyReason.TOKEN_TYPE_NOT_ALLOWED),
        ({"use": None}, DenyReason.TOKEN_TYPE_NOT_ALLOWED),
        ({"use": ["access"]}, DenyReason.TOKEN_TYPE_NOT_ALLOWED),
        ({"typ": "ID"}, DenyReason.TOKEN_TYPE_NOT_ALLOWED),
        ({"nonce": "n"}, DenyReason.TOKEN_TYPE_NOT_ALLOWED),
        ({"at_hash": None}, DenyReason.TOKEN_TYPE_NOT_ALLOWED),
        ({"use": "id", "exp": MISSING}, DenyReason.TOKEN_TYPE_NOT_ALLOWED),
        ({"use": MISSING}, DenyReason.MISSING_CLAIM),
        ({"typ": MISSING}, DenyReason.MISSING_CLAIM),
        ({"appid": MISSING}, DenyReason.MISSING_CLAIM),
        ({"roles": MISSING}, DenyReason.MISSING_CLAIM),
    ],
)
def test_another_token_of_the_same_issuer_is_told_by_its_claims(
    claims: dict[str, object], reason: DenyReason
) -> None:
    assert parse(MARKED, **MARKS).subject == "user-1"
    with pytest.raises(AccessDenied) as refused:
        parse(MARKED, **{**MARKS, **claims})
    assert refused.value.reason is reason


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**309, -(10**309)])
@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
def test_a_time_that_is_not_finite_is_malformed_even_if_json_had_let_it_in(
    name: str, value: float
) -> None:
    payload = VerifiedPayload({"iss": "i", "aud": "a", "exp": 1, name: value})
    with pytest.raises(AccessDenied) as refused:
        AccessTokenClaims.parse(payload, PARTNER)
    assert refused.value.reason is DenyReason.MALFORMED_CLAIM


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "sub", "client_id", "iat", "jti"])
def test_a_claim_that_is_required_must_be_there(name: str) -> None:
    with pytest.raises(AccessDenied) as refused:
        parse(LOGTO, **{name: MISSING})
    assert refused.value.reason is DenyReason.MISSING_CLAIM


def test_a_required_claim_of_the_operators_choice_must_be_there() -> None:
    issuer = replace(LOGTO, required_claims=("acr",))
    assert parse(issuer, acr="2").members["acr"] == "2"
    with pytest.raises(AccessDenied) as refused:
        parse(issuer)
    assert refused.value.reason is DenyReason.MISSING_CLAIM


def test_claims_are_not_shown_whole_in_their_repr() -> None:
    assert "private-remark" not in repr(parse(note="private-remark"))
    assert repr(parse()) == (
        f"AccessTokenClaims(issuer={ISSUER!r}, audiences=({AUDIENCE!r},),"
        f" expires_at={NOW + 3600}.0, not_before=None, issued_at={NOW - 60}.0,"
        " subject='user-1', client_id='app-1', scopes=('read:products',))"
    )


@pytest.mark.parametrize("name", AccessTokenClaims._fields)
def test_claims_that_were_read_do_not_change(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(parse(), name, None)


# RFC 6901, section 5.
DOCUMENT: Final = strict_json.parse_object(
    rb"""{
      "foo": ["bar", "baz"],
      "": 0,
      "a/b": 1,
      "c%d": 2,
      "e^f": 3,
      "g|h": 4,
      "i\\j": 5,
      "k\"l": 6,
      " ": 7,
      "m~n": 8
    }"""
)


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
        ("foo", ["bar", "baz"]),
        ("a/b", 1),
        ("m~n", 8),
        ("/foo/1", "baz"),
    ],
)
def test_a_claim_is_found_by_name_or_pointer(pointer: str, value: object) -> None:
    assert ClaimReference.parse(pointer).find(DOCUMENT) == value


@pytest.mark.parametrize(
    "pointer",
    [
        "/foo/2",
        "/foo/-",
        "/foo/-1",
        "/foo/+1",
        "/foo/01",
        "/foo/00",
        "/foo/1.0",
        "/foo/1e0",
        "/foo/ 1",
        "/foo/",
        "/foo/\u0661",
        "/foo/0/0",
        "/foo/length",
        "/missing",
        "/missing/0",
        "//foo",
        "/a/b",
        "/m~01n",
        "missing",
        "foo/0",
        "/foo/" + "9" * 100,
    ],
)
def test_a_claim_that_is_not_there_is_absent(pointer: str) -> None:
    assert ClaimReference.parse(pointer).find(DOCUMENT) is ABSENT


def test_an_index_of_very_many_digits_is_absent_as_well() -> None:
    assert ClaimReference.parse("/foo/" + "9" * 5000).find(DOCUMENT) is ABSENT


def test_null_is_a_value() -> None:
    assert ClaimReference.parse("/a/b").find({"a": {"b": None}}) is None


@pytest.mark.parametrize(
    ("pointer", "path"),
    [("/~01", ("~1",)), ("/~10", ("/0",)), ("/~0~1", ("~/",)), ("//", ("", "")), ("~", ("~",))],
)
def test_escapes_are_decoded_in_the_order_of_the_standard(
    pointer: str, path: tuple[str, ...]
) -> None:
    assert ClaimReference.parse(pointer).path == path


@pytest.mark.parametrize("pointer", ["/~", "/~2", "/a~", "/a/~b", "/~~01", "/~~00", "/~~11"])
def test_a_tilde_that_escapes_nothing_is_refused(pointer: str) -> None:
    with pytest.raises(ValueError, match="write ~0 for ~ and ~1 for /"):
        ClaimReference.parse(pointer)


def test_a_claim_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        ClaimReference.parse("")
