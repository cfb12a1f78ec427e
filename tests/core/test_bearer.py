"""Bearer credentials: exactly one token, or a refusal that says which kind of none."""

from __future__ import annotations

import pytest

from authz_service.core.bearer import BearerToken, credentials
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.request import HttpRequest


def request(*values: str) -> HttpRequest:
    return HttpRequest("GET", "h", "/", tuple(("authorization", value) for value in values))


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER abc", "abc"),
        ("Bearer    abc", "abc"),
        ("Bearer a.b-c_d~e+f/g==", "a.b-c_d~e+f/g=="),
        ("Bearer Bearer", "Bearer"),
    ],
)
def test_one_token_is_taken_as_it_is(value: str, token: str) -> None:
    assert credentials(request(value)) == BearerToken(token)


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("", ""),
        ("Basic dXNlcjpwYXNz",),
        ("Digest username=bearer",),
        ("Bearerabc",),
        ("Bearer-like abc",),
        ("Bearer_ abc",),
        ("Negotiate a,b",),
        ("Basic a,bearer-like b",),
        ("abc",),
        (" ",),
        ("Basic bearer",),
        ("DPoP abc",),
    ],
)
def test_other_schemes_and_nothing_are_no_token(values: tuple[str, ...]) -> None:
    with pytest.raises(AccessDenied) as refused:
        credentials(request(*values))
    assert refused.value.reason is DenyReason.MISSING_TOKEN


@pytest.mark.parametrize(
    "values",
    [
        ("Bearer",),
        ("Bearer ",),
        ("Bearer  ",),
        (" Bearer abc",),
        ("\tBearer abc",),
        ("Bearer abc ",),
        ("Bearer\tabc",),
        ("Bearer abc def",),
        ("Bearer abc\n",),
        ("Bearer abc=d",),
        ("Bearer =",),
        ("Bearer é",),
        ("Bearer \u0661",),
        ("Bearer abc,Bearer def",),
        ("Bearer abc, Bearer def",),
        ("Bearer abc,",),
        ("Basic abc,Bearer def",),
        ("Basic abc, \t bearer def",),
        ("Bearer abc", "Bearer abc"),
        ("Bearer abc", ""),
        ("", "Bearer abc"),
        ("Bearer abc", "Basic def"),
        ("Basic abc", "Basic def"),
        ('Bearer token="abc"',),
        ("Bearer:abc",),
        ("bearer,abc",),
    ],
)
def test_several_tokens_and_what_is_not_the_grammar_are_malformed(values: tuple[str, ...]) -> None:
    with pytest.raises(AccessDenied) as refused:
        credentials(request(*values))
    assert refused.value.reason is DenyReason.MALFORMED_CREDENTIALS


def test_only_the_authorization_field_is_looked_at() -> None:
    elsewhere = HttpRequest(
        "GET", "h", "/?access_token=abc", (("x-authorization", "Bearer abc"), ("cookie", "t=abc"))
    )
    with pytest.raises(AccessDenied) as refused:
        credentials(elsewhere)
    assert refused.value.reason is DenyReason.MISSING_TOKEN


def test_a_token_is_not_shown_in_its_repr() -> None:
    assert "abc" not in repr(BearerToken("abc"))


@pytest.mark.parametrize("filler", [" ", ",", ", ", "Bearer ", ",bearer", "a", "="])
def test_long_hostile_values_are_judged(filler: str) -> None:
    for value in (filler * 20_000, f"Basic {filler * 20_000}\n", f"Bearer {filler * 20_000}\x00"):
        with pytest.raises(AccessDenied):
            credentials(request(value))
