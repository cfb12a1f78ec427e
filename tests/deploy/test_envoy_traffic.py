"""Each file in envoy/ does what it says, with the real Envoy, the real service and real tokens."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml
from aiohttp import ClientError
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.deploy.envoys import (
    CENTRAL,
    CLAIMS,
    FOLDER,
    FORGED,
    Running,
    Shop,
    assert_allows_and_refuses,
    authz_service,
    running,
    shop,
)
from tests.edge.rig import PATIENCE
from tests.server.processes import policy_of, service
from tests.support.certificates import SERVER_NAME, Leaf, authority, dns, uri

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

UNIX_SOCKET: Final = FOLDER / "unix-socket.yaml"
PER_ROUTE: Final = FOLDER / "per-route.yaml"
DECISION_LOG: Final = FOLDER / "decision-log.yaml"

EDGE_ENVOY: Final = "spiffe://cluster.local/ns/edge/sa/envoy"
MORE_ROUTES: Final = """\
      - {path: /orders, methods: {GET: [read:orders]}}
      - {path: /stock, methods: {GET: {scopes: [read:stock], mode: audit}}}
"""

# In the pod


def test_in_the_pod_it_asks_over_the_socket(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with (
            shop() as sold,
            authz_service(tmp_path, sold.policy, listen=f"unix:{tmp_path}/authz.sock"),
            running(UNIX_SOCKET, tmp_path) as front,
        ):
            await assert_allows_and_refuses(front, sold)

    asyncio.run(exchange())


@pytest.mark.parametrize("file", [UNIX_SOCKET, CENTRAL], ids=["unix-socket", "central"])
def test_the_probe_answers_one_question_and_no_other(file: Path, tmp_path: Path) -> None:
    _write(tmp_path, _edge_envoy())

    async def exchange() -> None:
        async with running(file, tmp_path) as front:
            url = f"http://127.0.0.1:{await front.port_of('probe')}"

            async def status(method: str, path: str) -> int:
                async with front.client.request(method, url + path) as got:
                    assert await got.read() == b""
                    return got.status

            assert await status("GET", "/ready") == 200
            for path in (
                "/",
                "/ready/",
                "/ready?x",
                "/READY",
                "/stats",
                "/config_dump",
                "/products",
            ):
                assert await status("GET", path) == 404, path
            for method in ("POST", "PUT", "HEAD"):
                assert await status(method, "/ready") == 404, method
            assert await status("POST", "/quitquitquit") == 404

    asyncio.run(exchange())


def test_the_probe_answers_while_the_clients_connections_are_at_their_limit(tmp_path: Path) -> None:
    limit = "max_active_downstream_connections: "
    file = tmp_path / UNIX_SOCKET.name
    file.write_text(UNIX_SOCKET.read_text("utf-8").replace(f"{limit}10000", f"{limit}1"), "utf-8")

    async def exchange() -> None:
        async with running(file, tmp_path) as front:
            _reader, held = await asyncio.open_connection("127.0.0.1", front.envoy.listener)
            with pytest.raises(ClientError):
                await front.get("/")
            url = f"http://127.0.0.1:{await front.port_of('probe')}/ready"
            async with front.client.get(url) as got:
                assert got.status == 200
            held.close()

    asyncio.run(exchange())


def test_an_envoy_that_is_told_to_fail_is_not_ready_and_sends_its_clients_away(
    tmp_path: Path,
) -> None:
    async def exchange() -> None:
        async with running(UNIX_SOCKET, tmp_path) as front:
            url = f"http://127.0.0.1:{await front.port_of('probe')}/ready"
            assert "connection" not in (await front.get("/")).headers
            await front.admin("POST", "/healthcheck/fail")
            async with front.client.get(url) as got:
                assert got.status == 503
            assert (await front.get("/")).headers["connection"] == "close"

    asyncio.run(exchange())


# Over the network


def _edge_envoy(name: str = EDGE_ENVOY) -> Leaf:
    return authority().leaf(uri(name))


def _write(directory: Path, client: Leaf) -> None:
    client.write(directory, authority().pem)


def _tls(tmp_path: Path) -> tuple[str, ...]:
    directory = tmp_path / "tls"
    directory.mkdir()
    files = authority().server().write(directory, authority().pem)
    return (
        "--tls-cert", str(files.certificate), "--tls-key", str(files.key),
        "--tls-client-ca", str(files.client_ca), "--tls-client-san", EDGE_ENVOY,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def _over_the_network(
    tmp_path: Path, options: Sequence[str]
) -> AsyncIterator[tuple[Running, Shop]]:
    """Run a service with *options*, and the Envoy that asks it, with what is in *tmp_path*."""
    async with (
        shop() as sold,
        authz_service(tmp_path, sold.policy, *options) as served,
        running(CENTRAL, tmp_path, served.listen) as front,
    ):
        yield front, sold


def test_over_the_network_it_shows_its_certificate(tmp_path: Path) -> None:
    options = _tls(tmp_path)
    _write(tmp_path, _edge_envoy())

    async def exchange() -> None:
        async with _over_the_network(tmp_path, options) as (front, sold):
            await assert_allows_and_refuses(front, sold)

    asyncio.run(exchange())


@pytest.mark.parametrize(
    "client",
    [
        pytest.param(lambda: _edge_envoy(f"{EDGE_ENVOY}-of-another"), id="another_name"),
        pytest.param(lambda: authority("others").leaf(uri(EDGE_ENVOY)), id="another_authority"),
    ],
)
def test_an_envoy_with_another_certificate_lets_nobody_in(
    client: Callable[[], Leaf], tmp_path: Path
) -> None:
    options = _tls(tmp_path)
    _write(tmp_path, client())

    async def exchange() -> None:
        async with _over_the_network(tmp_path, options) as (front, sold):
            for path in ("/products", "/healthz"):
                answer = await front.get(path, sold.bearer())
                assert (answer.status, answer.reached) == (503, None)

    asyncio.run(exchange())


def _with_another_name() -> Leaf:
    return authority().leaf(dns("shop.shop.svc"))


def _for_a_client() -> Leaf:
    usage = ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return authority().leaf(dns(SERVER_NAME), extensions=[usage])


@pytest.mark.parametrize(
    ("impostor", "counter"),
    [
        pytest.param(_with_another_name, "fail_verify_san", id="another_name"),
        pytest.param(_for_a_client, "fail_verify_error", id="for_a_client"),
    ],
)
def test_a_service_with_a_certificate_for_something_else_is_not_asked(
    impostor: Callable[[], Leaf], counter: str, tmp_path: Path
) -> None:
    """It has a certificate of the same CA, and lets everybody in."""
    options = list(_tls(tmp_path))
    impostor().write(tmp_path / "tls", authority().pem)
    _write(tmp_path, _edge_envoy())

    async def exchange() -> None:
        async with _over_the_network(tmp_path, options) as (front, _sold):
            answer = await front.get("/healthz")
            assert (answer.status, answer.reached) == (503, None)
            stats = await front.admin("GET", f"/stats?filter=authz-service.ssl.{counter}")
            assert int(stats.rpartition(":")[2]) > 0

    asyncio.run(exchange())


def _mount(directory: Path, client: Leaf, version: str) -> None:
    """Mount a secret, or the next version of it, as kubelet does."""
    (directory / version).mkdir()
    client.write(directory / version, authority().pem)
    for name in ("tls.crt", "tls.key", "ca.crt"):
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    (directory / "..data_tmp").symlink_to(version)
    (directory / "..data_tmp").rename(directory / "..data")


def test_a_renewed_certificate_is_taken_without_a_restart(tmp_path: Path) -> None:
    _mount(tmp_path, _edge_envoy("spiffe://cluster.local/ns/edge/sa/other"), "..1")

    async def exchange() -> None:
        # A connection has the certificate with which it was made.
        options = (*_tls(tmp_path), "--max-connection-age", "1")
        async with _over_the_network(tmp_path, options) as (front, sold):
            assert (await front.get("/healthz")).status == 503
            _mount(tmp_path, _edge_envoy(), "..2")
            async with asyncio.timeout(PATIENCE):
                while (await front.get("/healthz")).status == 503:  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.02)
            await assert_allows_and_refuses(front, sold)

    asyncio.run(exchange())


async def _healthy(front: Running, count: int) -> None:
    """Wait until so many instances are."""
    filter_ = "/stats?filter=cluster.authz-service.membership_healthy"
    async with asyncio.timeout(PATIENCE):
        while int((await front.admin("GET", filter_)).rpartition(":")[2]) != count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def _keep_asking(
    front: Running, sold: Shop, meanwhile: Callable[[], Awaitable[None]]
) -> Counter[tuple[str, int]]:
    """Send requests of two kinds while something happens, and count the answers."""
    answers: Counter[tuple[str, int]] = Counter()
    over = asyncio.Event()
    good, bad = sold.bearer(), sold.bearer(scope="read:orders")

    async def ask(kind: str, headers: dict[str, str]) -> None:
        while not over.is_set():
            answers[kind, (await front.get("/products", headers)).status] += 1

    asking = asyncio.gather(*(ask("good", good) for _ in range(3)), ask("bad", bad))
    await meanwhile()
    over.set()
    await asking
    return answers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_end_of_one_of_two_instances_is_noticed_by_nobody(
    number: signal.Signals, tmp_path: Path
) -> None:
    options = _tls(tmp_path)
    _write(tmp_path, _edge_envoy())
    for name in ("one", "two"):
        (tmp_path / name).mkdir()

    async def exchange() -> Counter[tuple[str, int]]:
        async with (
            shop() as sold,
            authz_service(tmp_path / "one", sold.policy, *options) as one,
            authz_service(tmp_path / "two", sold.policy, *options) as two,
            running(CENTRAL, tmp_path, one.listen, two.listen) as front,
        ):

            async def end_one() -> None:
                await one.event("check")
                log = asyncio.create_task(one.rest_of_the_log())
                one.signal(number)
                await one.exit_status()
                await log
                await _healthy(front, 1)
                await two.event("check")

            await _healthy(front, 2)
            return await _keep_asking(front, sold, end_one)

    answers = asyncio.run(exchange())
    assert answers.keys() == {("good", 200), ("bad", 403)}


def test_where_no_instance_is_ready_they_are_asked_all_the_same(tmp_path: Path) -> None:
    """An issuer without keys makes an instance unready; what needs no keys is judged as ever."""
    options = _tls(tmp_path)
    _write(tmp_path, _edge_envoy())
    down = "name: down, issuer: https://down.example.com, jwks_uri: http://127.0.0.1:1/jwks"

    async def exchange() -> None:
        async with (
            service(tmp_path, policy_of(down), *options) as served,
            running(CENTRAL, tmp_path, served.listen) as front,
        ):
            await _healthy(front, 0)
            assert (await front.get("/healthz")).status == 200
            assert (await front.get("/unknown")).status == 403

    asyncio.run(exchange())


# For each route


def test_each_check_says_which_route_of_which_host_of_which_gateway_asks(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with (
            shop(MORE_ROUTES) as sold,
            authz_service(tmp_path, sold.policy) as served,
            running(PER_ROUTE, tmp_path, served.listen) as front,
        ):
            await assert_allows_and_refuses(front, sold)
            gateway, virtual_host = {"gateway": "edge"}, {"virtual_host": "shop"}
            for path, host, told in (
                ("/orders", "shop.example.com", {**gateway, **virtual_host, "route": "orders"}),
                (
                    "/orders",
                    "shop.example.com:8080",
                    {**gateway, **virtual_host, "route": "orders"},
                ),
                ("/products", "shop.example.com", {**gateway, **virtual_host}),
                ("/products", "other.example.com", gateway),
            ):
                headers = {"x-request-id": "forged", "context_extensions": "forged"}
                await front.get(path, headers, host=host)
                check = await served.event(
                    "check", route=path, host=host.partition(":")[0], reason="missing_token"
                )
                while check["context_extensions"] != told:  # of what was asked before
                    check = await served.event("check", route=path)

    asyncio.run(exchange())


SPELLED: Final = (
    "SHOP.example.com",
    "shop.example.com.",
    "shop.example.com.:80",
    "shop.example.com:99999",
)


def test_a_host_is_the_same_to_envoy_as_to_the_policy(tmp_path: Path) -> None:
    """Else it would be judged as the shop's and sent to another host's API."""

    async def exchange() -> None:
        async with (
            shop() as sold,
            authz_service(tmp_path, sold.policy) as served,
            running(PER_ROUTE, tmp_path, served.listen) as front,
        ):
            for spelled in SPELLED:
                answer = await front.get("/products", sold.bearer(), host=spelled)
                assert answer.status == 200, spelled
                check = await served.event("check", host="shop.example.com", decision="allow")
                told = {"gateway": "edge", "virtual_host": "shop"}
                assert check["context_extensions"] == told, spelled

    asyncio.run(exchange())


def test_a_disabled_route_is_open_and_nobody_can_forge_a_claim_that_it_names(
    tmp_path: Path,
) -> None:
    async def exchange() -> None:
        async with (
            shop(MORE_ROUTES) as sold,
            authz_service(tmp_path, sold.policy) as served,
            running(PER_ROUTE, tmp_path, served.listen) as front,
        ):
            forged = dict.fromkeys(CLAIMS, "mallory")
            for headers in (forged, {**FORGED, **forged, **sold.bearer()}):
                answer = await front.get("/status", headers)
                assert answer.status == 200
                # As the file warns: a pattern of the policy is none here.
                unnamed = {"x-auth-tenant": ["mallory"]} if "x-auth-tenant" in headers else {}
                assert answer.claims() == unnamed
            for path in ("/status/", "/status/../products", "/statusx", "/Status"):
                assert (await front.get(path)).status in {400, 403}, path
            assert (await front.get("/status", host="other.example.com")).status == 403
            served.process.terminate()
            await served.exit_status()
            assert (await front.get("/status")).status == 200
            assert (await front.get("/healthz")).status == 503

    asyncio.run(exchange())


def test_a_filter_that_is_disabled_by_default_leaves_open_what_nobody_thought_of(
    tmp_path: Path,
) -> None:
    """Why the file says that it is the wrong way round."""
    config = yaml.safe_load(PER_ROUTE.read_text("utf-8"))
    [public] = config["static_resources"]["listeners"]
    manager = public["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"][0]["disabled"] = True
    del manager["route_config"]["typed_per_filter_config"]
    changed = tmp_path / "disabled.yaml"
    changed.write_text(yaml.safe_dump(config), "utf-8")

    async def exchange() -> None:
        async with running(changed, tmp_path) as front:
            answer = await front.get("/anything", FORGED, host="other.example.com")
            assert answer.status == 200
            assert answer.claims()["x-auth-subject"] == ["mallory"]

    asyncio.run(exchange())


# The log

_DECIDED: Final = (
    "status", "details", "flags", "decision", "reason", "mode", "resource", "route", "issuer",
    "subject", "client_id", "scope",
)  # fmt: skip


async def _send(front: Running, requests: Mapping[str, Mapping[str, str]]) -> None:
    for path, headers in requests.items():
        await front.get(f"{path}?secret=in-the-query", {**headers, "cookie": "s3cr3t"})


async def _send_without_host(front: Running, path: str) -> None:
    """Send what Envoy refuses by itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.envoy.listener)
    with contextlib.closing(writer):
        writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")


def test_the_log_has_every_refusal_and_what_was_not_decided(tmp_path: Path) -> None:
    async def exchange() -> tuple[dict[str, dict[str, Any]], str]:
        async with (
            shop(MORE_ROUTES) as sold,
            authz_service(tmp_path, sold.policy) as served,
            running(DECISION_LOG, tmp_path, served.listen) as front,
        ):
            bearer = sold.bearer()
            await _send(
                front, {"/orders": bearer, "/products": {}, "/nobody": {}, "/stock": bearer}
            )
            await _send_without_host(front, "/no-host")
            served.process.kill()
            await served.exit_status()
            await _send(front, {"/healthz": bearer})
            lines = await front.lines_of("/orders", "/no-host", "/healthz")
            return lines, front.log.read_text("utf-8")

    lines, text = asyncio.run(exchange())
    told = {
        path: {name: line[name] for name in _DECIDED if name in line}
        for path, line in lines.items()
    }
    token = {
        "issuer": "logto", "subject": "user-1", "client_id": "app-1", "scope": "read:products",
        "resource": "shopping", "reason": "insufficient_scope",
    }  # fmt: skip
    refused = {"details": "ext_authz_denied", "flags": "UAEX", "decision": "deny"}
    audited = {"details": "via_upstream", "decision": "deny", "mode": "audit"}
    assert told == {
        "/orders": {**refused, **token, "status": 403, "route": "/orders"},
        "/products": {
            **refused, "status": 401, "reason": "missing_token", "route": "/products",
            "resource": "shopping",
        },
        "/nobody": {**refused, "status": 403, "reason": "no_route"},
        "/stock": {**audited, **token, "status": 200, "flags": "-", "route": "/stock"},
        "/no-host": {"status": 400, "details": "missing_host_header", "flags": "-"},
        "/healthz": {"status": 503, "details": "ext_authz_error", "flags": "UAEX"},
    }  # fmt: skip
    assert int(lines["/orders"]["check_us"]) > 0
    assert lines["/orders"]["expires_at"] > 1e9
    assert lines["/orders"]["request_id"]
    for secret in ("in-the-query", "eyJ", "s3cr3t"):
        assert secret not in text


def test_of_what_passes_the_log_has_a_share_which_the_admin_port_sets(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with (
            shop() as sold,
            authz_service(tmp_path, sold.policy) as served,
            running(DECISION_LOG, tmp_path, served.listen) as front,
        ):
            share = "/runtime_modify?decision_log.allows="
            assert await front.admin("POST", f"{share}0") == "OK\n"
            await _send(front, {"/healthz": {}, "/nobody": {}})
            assert (await front.lines_of("/nobody")).keys() == {"/nobody"}
            await front.upstream.stop()  # what passes fails there
            await _send(front, {"/products": sold.bearer()})
            line = (await front.lines_of("/products"))["/products"]
            assert (line["status"], line["decision"], line["subject"]) == (503, "allow", "user-1")
            await front.upstream.start(front.upstream_port)
            assert await front.admin("POST", f"{share}100") == "OK\n"
            await _send(front, {"/healthz": {}})
            line = (await front.lines_of("/healthz"))["/healthz"]
            assert (line["status"], line["decision"]) == (200, "allow")

    asyncio.run(exchange())
