from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.folder import KEY_SET, policy_text
from tests.policy.lint.expect import passes, warns

if TYPE_CHECKING:
    from tests.policy.folder import Folder

TWO_ISSUERS = """\
version: 1
issuers:
  - {name: one, issuer: https://one.example}
  - »{name: two, issuer: [https://two.example, https://zwei.example]}
resources:
  - {audience: a, issuers: [one], routes: [{path: /a, methods: {GET: []}}]}
"""


def http_issuer(url: str, *lines: str) -> str:
    return policy_text(issuer="\n".join(lines)).replace("https://auth.example.com/oidc", url)


# unused-issuer


def test_an_issuer_that_no_resource_takes_is_unused(folder: Folder) -> None:
    warns(folder, "unused-issuer", TWO_ISSUERS, "no route takes this issuer's tokens")


def test_an_issuer_of_public_routes_alone_is_unused(folder: Folder) -> None:
    text = policy_text(methods="{GET: public}").replace("- issuer", "- »issuer")
    warns(folder, "unused-issuer", text)


@pytest.mark.parametrize("issuers", ["issuers: [one, two]", "issuers: [two, one]", "name: a"])
def test_an_issuer_that_is_named_or_meant_by_default_is_used(folder: Folder, issuers: str) -> None:
    text = TWO_ISSUERS.replace("issuers: [one]", issuers).replace("»", "")
    passes(folder, "unused-issuer", text)


def test_an_issuer_of_optional_tokens_is_used(folder: Folder) -> None:
    passes(folder, "unused-issuer", policy_text(methods="{GET: {optional: true}}"))


# http


def test_an_issuer_at_http_is_told(folder: Folder) -> None:
    text = http_issuer("»http://auth.example.com/oidc", "allow_http: true")
    warns(folder, "http", text, "write https://")


def test_the_first_identifier_of_a_list_is_the_one_that_is_fetched(folder: Folder) -> None:
    text = http_issuer("[»http://a.example, http://b.example]", "allow_http: true")
    warns(folder, "http", text)


def test_a_key_set_at_http_is_told_where_it_stands(folder: Folder) -> None:
    text = policy_text(issuer="allow_http: true\njwks_uri: »http://auth.example.com/jwks")
    warns(folder, "http", text)


def test_metadata_that_may_name_a_key_set_at_http_is_told(folder: Folder) -> None:
    warns(folder, "http", policy_text(issuer="allow_http: »true"), "remove it")


@pytest.mark.parametrize(
    "text",
    [
        policy_text(),
        policy_text(issuer="allow_http: false"),
        policy_text(issuer="allow_http: true\njwks_uri: https://auth.example.com/jwks"),
        http_issuer("http://127.0.0.1:3001/oidc"),
        http_issuer("http://localhost/oidc"),
        policy_text(issuer="jwks_uri: http://[::1]:9/jwks"),
        http_issuer("http://auth.example.com", "jwks_uri: https://auth.example.com/jwks"),
        http_issuer("http://auth.example.com", "jwks_file: keys.json", "allow_http: true"),
    ],
)
def test_keys_over_tls_from_this_machine_or_from_a_file_are_fine(folder: Folder, text: str) -> None:
    folder.write(KEY_SET, "keys.json")
    passes(folder, "http", text)


# weaker-algorithm, weaker-type, weaker-claims


def test_an_algorithm_that_the_preset_does_not_have_is_told(folder: Folder) -> None:
    text = policy_text(issuer="preset: logto\nalgorithms: [ES384, »ES256, RS256, »PS512]")
    warns(folder, "weaker-algorithm", text, "has ES384, RS256: remove ES256", "remove PS512")


@pytest.mark.parametrize(
    "lines",
    ["preset: logto", "preset: logto\nalgorithms: [RS256]", "algorithms: [RS256, EdDSA]"],
)
def test_algorithms_of_the_preset_are_fine(folder: Folder, lines: str) -> None:
    passes(folder, "weaker-algorithm", policy_text(issuer=lines))


def test_a_type_that_the_preset_does_not_have_is_told(folder: Folder) -> None:
    text = policy_text(issuer="token_types: [at+jwt, »JWT, »absent, »application/jwt]")
    warns(folder, "weaker-type", text, "with JWT, an ID token", "with absent", "application/jwt")


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_a_type_of_the_preset_is_fine_however_it_is_written(folder: Folder, typ: str) -> None:
    passes(folder, "weaker-type", policy_text(issuer=f"token_types: [{typ}]"))


@pytest.mark.parametrize(
    ("claims", "missing"),
    [("[]", "sub, client_id, iat, jti"), ("[sub, iat, org]", "requires client_id, jti:")],
)
def test_fewer_claims_than_the_presets_are_told(folder: Folder, claims: str, missing: str) -> None:
    warns(folder, "weaker-claims", policy_text(issuer=f"required_claims: »{claims}"), missing)


@pytest.mark.parametrize(
    "lines", ["", "required_claims: [jti, iat, client_id, sub]",
              "required_claims: [sub, client_id, iat, jti, org]"],
)  # fmt: skip
def test_the_presets_claims_and_more_are_fine(folder: Folder, lines: str) -> None:
    passes(folder, "weaker-claims", policy_text(issuer=lines))


# long-leeway


def test_a_leeway_of_more_than_five_minutes_is_told(folder: Folder) -> None:
    text = policy_text(issuer="leeway: »301s")
    warns(folder, "long-leeway", text, "301 seconds after it has expired")


@pytest.mark.parametrize("leeway", ["0s", "10s", "5m", "300s"])
def test_a_leeway_of_up_to_five_minutes_is_fine(folder: Folder, leeway: str) -> None:
    passes(folder, "long-leeway", policy_text(issuer=f"leeway: {leeway}"))
