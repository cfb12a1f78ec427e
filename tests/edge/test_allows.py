"""What an allow does to the request: trusted headers in, everything that looks like one out."""

from __future__ import annotations

import asyncio
import string
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_service._proto.envoy.config.core.v3.base_pb2 import HeaderValueOption
from authz_service.core.forward import ForwardRules
from authz_service.server.listen import UnixAddress
from tests.edge.rig import answer, ask, edge, overwritten, removed, servicer
from tests.edge.shop import (
    AUDIENCE,
    ISSUER,
    NOW,
    POLICY,
    SECRET,
    check_request,
    mint,
    policy_from,
    shop_policy,
)

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY: Final = {"x-auth-subject", "x-auth-client-id", "x-auth-scope", "x-auth-issuer"}
SPELLINGS: Final = ("x-auth-subject", "x_auth_subject", "x-auth_subject", "x_auth-subject")


def test_the_claims_become_headers() -> None:
    response = answer(check_request(token=mint()))
    assert overwritten(response) == {
        "x-auth-subject": "user-1",
        "x-auth-client-id": "app-1",
        "x-auth-scope": "read:products",
        "x-auth-issuer": ISSUER,
    }


def test_every_header_overwrites_what_the_client_sent() -> None:
    for option in answer(check_request(token=mint())).ok_response.headers:
        assert option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        assert option.header.value
        assert not option.header.raw_value


def test_a_claim_that_the_token_lacks_is_removed_and_not_left_to_the_client() -> None:
    response = answer(check_request("/me", token=mint({"scope": None})))
    assert set(overwritten(response)) == IDENTITY - {"x-auth-scope"}
    assert "x-auth-scope" in removed(response)


def test_an_empty_claim_is_removed_because_envoy_drops_empty_values() -> None:
    response = answer(check_request("/me", token=mint({"scope": ""})))
    assert "x-auth-scope" not in overwritten(response)
    assert "x-auth-scope" in removed(response)


def test_a_public_route_removes_every_identity_header_though_the_client_sent_none() -> None:
    response = answer(check_request("/healthz"))
    assert not overwritten(response)
    twins = {name.replace("-", "_") for name in IDENTITY}
    assert IDENTITY | twins <= removed(response)


def test_a_public_route_looks_at_no_token() -> None:
    good, bad = ask(
        check_request("/healthz", token=mint()), check_request("/healthz", token="forged")
    )
    assert not overwritten(good)
    assert good == bad


@pytest.mark.parametrize("target", ["/healthz", "/me"])
@pytest.mark.parametrize("spelling", [*SPELLINGS, "X-Auth-Subject", "X_AUTH_SUBJECT", "x-auth-new"])
def test_every_spelling_that_a_server_may_take_for_an_identity_header_is_removed(
    target: str, spelling: str
) -> None:
    response = answer(check_request(target, token=mint(), headers=[(spelling, "root")]))
    gone = removed(response) | set(overwritten(response))
    assert spelling.lower() in gone


def test_no_name_is_both_set_and_removed() -> None:
    headers = [(name, "root") for name in (*SPELLINGS, "x-auth-scope", "x_auth_scope")]
    response = answer(check_request(token=mint(), headers=headers))
    assert removed(response).isdisjoint(overwritten(response))
    assert {"x_auth_subject", "x-auth_subject", "x_auth-subject"} <= removed(response)


def test_pseudo_headers_are_never_removed_though_everything_else_is() -> None:
    policy = replace(shop_policy(), forward=ForwardRules(strip=("*",)))
    response = answer(
        check_request("/healthz", headers=[("cookie", "a=b")]),
        served=lambda: servicer(policy=policy),
    )
    assert "cookie" in removed(response)
    assert not any(name.startswith(":") for name in removed(response))


def test_headers_that_are_not_ours_pass() -> None:
    headers = [("cookie", "a=b"), ("x-request-id", "1"), ("x-authority", "y"), ("xauth", "z")]
    response = answer(check_request(token=mint(), headers=headers))
    assert removed(response).isdisjoint({"authorization", *(name for name, _value in headers)})


@pytest.mark.parametrize("target", ["/healthz", "/me"])
def test_the_token_is_taken_away_where_the_policy_says_so(target: str) -> None:
    policy = policy_from(POLICY + "forward: {authorization: remove}\n")
    response = answer(check_request(target, token=mint()), served=lambda: servicer(policy=policy))
    assert response.status.code == 0
    assert "authorization" in removed(response)


def test_all_claims_are_forwarded_where_the_policy_names_a_header_for_them() -> None:
    policy = policy_from(POLICY + "forward: {claims_header: x-claims}\n")
    allowed, public = ask(
        check_request("/me", token=mint(), headers=[("x_claims", "forged")]),
        check_request("/healthz", headers=[("x-claims", "forged")]),
        served=lambda: servicer(policy=policy),
    )
    assert overwritten(allowed)["x-claims"].isascii()
    assert "x_claims" in removed(allowed)
    assert {"x-claims", "x_claims"} <= removed(public)


def test_metadata_says_who_was_allowed_where() -> None:
    fields = answer(check_request(token=mint())).dynamic_metadata.fields
    assert fields.pop("expires_at").number_value == NOW + 3600
    assert {name: value.string_value for name, value in fields.items()} == {
        "decision": "allow",
        "resource": "shopping",
        "route": "/products",
        "issuer": "logto",
        "subject": "user-1",
        "client_id": "app-1",
        "scope": "read:products",
    }


def test_metadata_of_a_public_route_names_nobody() -> None:
    fields = answer(check_request("/healthz", token=mint())).dynamic_metadata.fields
    assert {name: value.string_value for name, value in fields.items()} == {
        "decision": "allow",
        "resource": "shopping",
        "route": "/healthz",
    }


def test_an_allow_repeats_neither_the_token_nor_what_the_client_sent() -> None:
    token = mint()
    headers = [("cookie", SECRET), ("x-auth-subject", SECRET), ("user-agent", SECRET)]
    request = check_request(f"/products?access_token={SECRET}", token=token, headers=headers)
    octets = answer(request).SerializeToString()
    assert SECRET.encode() not in octets
    assert not any(part.encode() in octets for part in token.split("."))
    assert AUDIENCE.encode() not in octets


def test_a_claim_beyond_ascii_arrives_as_a_display_string() -> None:
    response = answer(check_request("/me", token=mint({"sub": "zoë\u202e"})))
    assert overwritten(response)["x-auth-subject"] == '%"zo%c3%ab%e2%80%ae"'


_NAME: Final = st.one_of(
    st.text(string.ascii_letters + string.digits + "-_.!", min_size=1, max_size=20),
    st.lists(st.sampled_from(["x", "X", "auth", "AUTH", "-", "_", "subject", "scope"]), min_size=1)
    .map("".join),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(names=st.lists(_NAME, max_size=8), target=st.sampled_from(["/healthz", "/me"]))
def test_whatever_headers_the_client_sends_none_passes_as_an_identity(
    names: list[str], target: str
) -> None:
    headers = {name.lower(): (name, "forged") for name in names if name.lower() != "authorization"}
    response = answer(check_request(target, token=mint(), headers=headers.values()))
    assert response.status.code == 0
    changed = removed(response) | set(overwritten(response))
    assert changed >= IDENTITY
    assert removed(response).isdisjoint(overwritten(response))
    looks_like_ours = {name for name in headers if name.replace("_", "-").startswith("x-auth-")}
    assert looks_like_ours <= changed


def test_a_unix_socket_serves_the_same(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with edge(servicer(), UnixAddress(tmp_path / "authz.sock")) as caller:
            assert (await caller.check(check_request("/healthz"))).status.code == 0
            assert (await caller.check(check_request(token=mint()))).status.code == 0
            assert (await caller.check(check_request())).status.code == 16

    asyncio.run(exchange())
