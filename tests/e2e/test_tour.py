"""The tour through the real Envoy, and that it would notice if something went wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
from typing import TYPE_CHECKING

from authz_service.core.decision import DenyReason
from authz_service.demo import tokens
from authz_service.demo.tour import SPOOFED, Outcome, Stop, tour, visit
from authz_service.demo.world import API, SHOP, World, running_world

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# What the access log of Envoy has of a decision.
DECIDED = ("decision", "reason", "mode", "resource", "route", "issuer", "subject", "client_id")

# What the tour has to show, by request, what the token had, status and reason.
PROMISED = {
    ("GET /products", "read:products", 200, ""),
    ("GET /products", "none", 401, "missing_token"),
    ("POST /products", "read:products", 403, "insufficient_scope"),
    ("GET /products", "for another API", 401, "wrong_audience"),
    ("GET /products", "expired an hour ago", 401, "expired"),
    ("GET /products", "a scope added to its payload", 401, "bad_signature"),
    ("GET /products", "alg: none", 401, "algorithm_not_allowed"),
    ("GET /products", "signed with a foreign key", 401, "bad_signature"),
    ("GET /products", "read:products, and x-auth-subject: mallory", 200, ""),
    ("GET /healthz", "none, and x-auth-subject: mallory", 200, ""),
    ("OPTIONS /products", "none, a CORS preflight", 200, ""),
    ("GET /reviews", "none, which is optional here", 200, ""),
    ("GET /reviews", "read:products, which is optional here", 200, ""),
    ("GET /stock", "read:products, in audit mode", 200, "insufficient_scope"),
    ("GET /organizations/org-2/members", "read:members in org-1", 401, "wrong_audience"),
    ("GET /organizations/org-2/orders", "read:orders in org-1", 403, "claim_mismatch"),
    ("GET /admin", "read:products", 403, "no_route"),
    ("GET /products/%2e%2e/admin", "read:products", 400, "ambiguous_path"),
    ("GET //admin", "read:products", 400, "ambiguous_path"),
    ("GET /products/..%2fadmin", "read:products", 400, "ambiguous_path"),
    ("GET /products", "read:products, signed with a key rotated in now", 200, ""),
    ("GET /products", "read:products, while the issuer is down", 200, ""),
    ("GET /products", "read:products, while authz-service is down", 503, ""),
}


def in_a_world(story: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running_world() as world:
            await story(world)

    asyncio.run(run())


def test_the_tour_shows_everything_that_it_promises_and_all_of_it_is_right() -> None:
    shown: list[Outcome] = []

    async def story(world: World) -> None:
        outcomes = await tour(world, shown.append)
        assert outcomes == shown

    in_a_world(story)
    assert [(outcome.stop.request, outcome.faults) for outcome in shown if outcome.faults] == []
    seen = {
        (outcome.stop.request, outcome.stop.token, outcome.status, outcome.reason)
        for outcome in shown
    }
    assert seen >= PROMISED


def test_the_tour_notices_every_way_in_which_a_stop_can_go_wrong() -> None:
    async def story(world: World) -> None:
        token = await tokens.granted(world.issuer, resource=API, scope="read:products")
        bearer = (("authorization", f"Bearer {token}"),)
        right = Stop("GET /products", "read:products", 200, headers=bearer, subject=SHOP.client_id)
        refused = Stop("GET /products", "none", 401, DenyReason.MISSING_TOKEN, challenge="Bearer")
        assert (await visit(world, right)).faults == ()
        assert (await visit(world, refused)).faults == ()
        wrong = {
            "status": dataclasses.replace(refused, status=403),
            "it should be deny, expired": dataclasses.replace(refused, reason=DenyReason.EXPIRED),
            "it should be allow": dataclasses.replace(refused, reason=None),
            "challenge": dataclasses.replace(refused, challenge='error="invalid_token"'),
            "should see the subject None": dataclasses.replace(right, subject=None),
            "should not reach": dataclasses.replace(right, status=401),
            "should reach the upstream": dataclasses.replace(refused, status=200),
        }
        for fault, stop in wrong.items():
            assert fault in "\n".join((await visit(world, stop)).faults)

    in_a_world(story)


def test_no_spelling_of_an_identity_header_passes_even_where_envoy_lets_underscores_through() -> (
    None
):
    async def story(world: World) -> None:
        config = world.directory / "envoy.yaml"
        text = config.read_text("utf-8")
        assert "DROP_HEADER" in text
        config.write_text(text.replace("DROP_HEADER", "ALLOW"), "utf-8")
        await world.envoy.stop()
        await world.envoy.start()
        token = await tokens.granted(world.issuer, resource=API, scope="read:products")
        mixed = (*SPOOFED, ("x-auth_subject", "mallory"), ("x_auth-subject", "mallory"))
        mixed = (*mixed, ("X-Auth-Tenant", "mallory"), ("x_auth_tenant", "mallory"))
        for target, headers in {
            "/healthz": mixed,
            "/products": (("authorization", f"Bearer {token}"), *mixed),
        }.items():
            response = await world.send("GET", target, headers)
            assert response.status == 200
            assert world.upstream.last is not None
            assert "mallory" not in repr(world.upstream.last)

    in_a_world(story)


def test_envoy_without_raw_headers_gets_the_same_decisions() -> None:
    async def story(world: World) -> None:
        config = world.directory / "envoy.yaml"
        text = config.read_text("utf-8")
        assert "encode_raw_headers: true" in text
        config.write_text(text.replace("encode_raw_headers: true", "encode_raw_headers: false"))
        await world.envoy.stop()
        await world.envoy.start()
        outcomes = await tour(world, lambda _outcome: None)
        assert [outcome for outcome in outcomes if outcome.faults] == []

    in_a_world(story)


def test_a_refusal_that_envoy_passes_on_is_what_the_contract_says() -> None:
    async def story(world: World) -> None:
        response = await world.send("POST", "/products", (("authorization", "Bearer junk"),))
        assert response.status == 401
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["www-authenticate"] == (
            'Bearer realm="shopping", error="invalid_token"'
        )
        assert response.body == (
            '{"error": "invalid_token",'
            ' "error_description": "the access token is not a well-formed JWT"}'
        )
        twice = (("authorization", "Bearer a"), ("authorization", "Bearer b"))
        response = await world.send("GET", "/products", twice)
        assert response.status == 400
        assert 'error="invalid_request"' in response.headers["www-authenticate"]
        assert world.upstream.last is None

    in_a_world(story)


def test_the_access_log_of_envoy_shows_the_decision_and_no_secret() -> None:
    async def story(world: World) -> None:
        token = await tokens.granted(world.issuer, resource=API, scope="read:products")
        bearer = (("authorization", f"Bearer {token}"),)
        await world.send("GET", "/products?secret=in-the-query", bearer)
        await world.send("GET", "/nobody?secret=in-the-query")
        await world.send("GET", "/stock", bearer)
        await world.envoy.stop()
        log = (world.directory / "envoy.log").read_text("utf-8")
        told = {
            line["path"]: {name: line[name] for name in DECIDED if line[name] is not None}
            for line in map(json.loads, re.findall(r"^\{.*\}$", log, re.MULTILINE))
            if "decision" in line
        }
        of_token = {
            "resource": "shopping", "issuer": "development", "subject": SHOP.client_id,
            "client_id": SHOP.client_id,
        }  # fmt: skip
        assert told["/products"] == {"decision": "allow", "route": "/products", **of_token}
        assert told["/nobody"] == {"decision": "deny", "reason": "no_route"}
        audited = {"decision": "deny", "reason": "insufficient_scope", "mode": "audit"}
        assert told["/stock"] == {**audited, "route": "/stock", **of_token}
        for text in (log, (world.directory / "authz-service.log").read_text("utf-8")):
            assert "in-the-query" not in text
            assert "eyJ" not in text

    in_a_world(story)
