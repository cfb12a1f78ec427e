"""What Istio and Envoy Gateway make of the files in deploy/, put into an Envoy of this machine.

Their programs are no Python packages, so what they generate is told here, in a few lines that were
compared with their output (Istio 1.31, Envoy Gateway 1.9.1).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from authz_service.demo.envoy import validate
from authz_service.demo.world import running_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz_service.demo.world import World

Tree = dict[str, Any]

_EXTENSIONS: Final = "type.googleapis.com/envoy.extensions.filters.http"
_MANAGER: Final = "envoy.filters.network.http_connection_manager"
_PROTECTION: Final = (
    "encode_raw_headers", "validate_mutations", "failure_mode_allow", "status_on_error",
)  # fmt: skip


@dataclass(frozen=True)
class Generated:
    """The parts of a generated configuration that decide about a request."""

    http_filters: list[Tree]
    """Without the router."""
    connection_manager: Tree = field(default_factory=dict)
    route_config: Tree = field(default_factory=dict)
    per_route: Tree = field(default_factory=dict)

    @property
    def check(self) -> Tree:
        """The configuration of the filter that asks authz-service."""
        [found] = [each for each in self.http_filters if "ext_authz" in each["name"]]
        config: Tree = found["typed_config"]
        return config

    @property
    def protection(self) -> Tree:
        """What the protection rests on of that."""
        return {name: self.check.get(name) for name in _PROTECTION}


def of_our_own(connection_manager: Tree) -> Generated:
    """What envoy.yaml says, in whose place the others are."""
    return Generated(connection_manager["http_filters"])


def merged(base: Any, patch: Any) -> Any:  # noqa: ANN401 - nodes of parsed YAML
    """Merge as istiod does: messages field by field, lists one after the other, `false` not at all.

    To protobuf it is the same as nothing said, also where it is wrapped (`BoolValue`).
    """
    if isinstance(base, dict) and isinstance(patch, dict):
        return base | {
            name: merged(base[name], value) if name in base else value
            for name, value in patch.items()
            if value is not False
        }
    return base + patch if isinstance(base, list) else patch


def by_istio(
    provider: Tree, envoy_filters: list[Tree], context: str, normalization: str = "BASE"
) -> Generated:
    """What istiod makes of a CUSTOM policy that holds for every request.

    *provider* and *normalization* are of the mesh configuration; *envoy_filters* are applied where
    *context* is.
    """
    name, settings = provider["name"], provider["envoyExtAuthzGrpc"]
    policy = f"istio-ext-authz-{name}-ns[shop]-policy[authz-service]-rule[0]"
    host = settings["service"].rpartition("/")[2]
    rules = {"permissions": [{"any": True}], "principals": [{"any": True}]}
    rbac = {
        "name": "envoy.filters.http.rbac",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.rbac.v3.RBAC",
            "shadow_rules": {"action": "DENY", "policies": {policy: rules}},
            "shadow_rules_stat_prefix": "istio_ext_authz_",
        },
    }
    effective = {
        "filter": "envoy.filters.http.rbac",
        "path": [{"key": "istio_ext_authz_shadow_effective_policy_id"}],
        "value": {"string_match": {"prefix": f"istio-ext-authz-{name}"}},
    }
    check = {
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": f"{_EXTENSIONS}.ext_authz.v3.ExtAuthz",
            "transport_api_version": "V3",
            "grpc_service": {
                "envoy_grpc": {
                    "cluster_name": f"outbound|{settings['port']}||{host}",
                    "authority": host,
                },
                "timeout": settings["timeout"],
            },
            "failure_mode_allow": settings["failOpen"],
            "status_on_error": {"code": int(settings["statusOnError"])},
            "filter_enabled_metadata": effective,
        },
    }
    connection_manager: Tree = {
        "normalize_path": {"BASE": True, "NONE": False}[normalization],
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
    }
    routes: Tree = {}
    for patch in _patches(envoy_filters, context):
        value = patch["patch"]["value"]
        assert patch["patch"]["operation"] == "MERGE"
        match patch["applyTo"]:
            case "HTTP_FILTER":
                assert _matched(patch) == {"name": _MANAGER, "subFilter": {"name": check["name"]}}
                check = merged(check, value)
            case "NETWORK_FILTER":
                assert _matched(patch) == {"name": _MANAGER}
                connection_manager = merged(connection_manager, value["typed_config"])
            case "ROUTE_CONFIGURATION":
                assert patch["match"] == {"context": context}
                routes = merged(routes, value)
            case other:
                raise AssertionError(other)
    return Generated([rbac, check], connection_manager, routes)


def _patches(envoy_filters: list[Tree], context: str) -> list[Tree]:
    every = [patch for each in envoy_filters for patch in each["spec"]["configPatches"]]
    return [patch for patch in every if patch["match"]["context"] in {context, "ANY"}]


def _matched(patch: Tree) -> Tree:
    """What it is for. If istiod has no such filter, it passes over the patch in silence."""
    match = patch["match"]
    assert match.keys() == {"context", "listener"}
    assert match["listener"].keys() == {"filterChain"}
    assert match["listener"]["filterChain"].keys() == {"filter"}
    found: Tree = match["listener"]["filterChain"]["filter"]
    return found


def by_envoy_gateway(policy: Tree, traffic: Tree, patches: Tree) -> Generated:
    """What Envoy Gateway makes of a SecurityPolicy, a ClientTrafficPolicy, an EnvoyPatchPolicy."""
    name, namespace = policy["metadata"]["name"], policy["metadata"]["namespace"]
    settings = policy["spec"]["extAuth"]
    retry = settings["grpc"]["backendSettings"]["retry"]
    filter_name = f"envoy.filters.http.ext_authz/securitypolicy/{namespace}/{name}"
    check: Tree = {
        "@type": f"{_EXTENSIONS}.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "grpc_service": {
            "envoy_grpc": {"cluster_name": f"securitypolicy/{namespace}/{name}/extauth/0"},
            "timeout": settings["timeout"],
            "retry_policy": {
                "num_retries": retry["numRetries"],
                "retry_on": ",".join(sorted(retry["retryOn"]["triggers"])),
            },
        },
        "failure_mode_allow": settings["failOpen"],
        "status_on_error": {"code": settings["statusOnError"]},
    }
    for each in patches["spec"]["jsonPatches"]:
        operation = each["operation"]
        assert operation["op"] == "add"
        wanted = f"..http_filters[?(@.name=='{filter_name}')].typed_config"
        assert operation["jsonPath"] == wanted, "Envoy Gateway would find no such filter"
        check[operation["path"]] = operation["value"]
    headers = traffic["spec"]["headers"]
    early = "envoy.http.early_header_mutation.header_mutation"
    return Generated(
        [{"name": filter_name, "disabled": True, "typed_config": check}],
        {
            "normalize_path": True,
            "merge_slashes": not traffic["spec"]["path"]["disableMergeSlashes"],
            "path_with_escaped_slashes_action": {"KeepUnchanged": "KEEP_UNCHANGED"}[
                traffic["spec"]["path"]["escapedSlashesAction"]
            ],
            "common_http_protocol_options": {
                "headers_with_underscores_action": {"DropHeader": "DROP_HEADER"}[
                    headers["withUnderscoresAction"]
                ],
            },
            "early_header_mutation_extensions": [
                {
                    "name": early,
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.http."
                        "early_header_mutation.header_mutation.v3.HeaderMutation",
                        "mutations": [
                            {"remove": name} for name in headers["earlyRequestHeaders"]["remove"]
                        ],
                    },
                }
            ],
        },
        per_route={
            filter_name: {
                "@type": f"{_EXTENSIONS}.ext_authz.v3.ExtAuthzPerRoute",
                "check_settings": {},
            }
        },
    )


_REPLACED: Final = (
    "common_http_protocol_options", "merge_slashes", "normalize_path",
    "path_with_escaped_slashes_action",
)  # fmt: skip
"""What envoy/envoy.yaml says of these counts for nothing here."""


def _replace(config: Tree, generated: Generated) -> None:
    """Put *generated* in the place of what envoy/envoy.yaml has."""
    static = config["static_resources"]
    [listener] = static["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    for name in _REPLACED:
        manager.pop(name, None)
    manager |= generated.connection_manager
    manager["http_filters"] = [*generated.http_filters, manager["http_filters"][-1]]
    routes = manager["route_config"]
    del routes["request_headers_to_remove"]
    routes |= generated.route_config
    for host in routes["virtual_hosts"]:
        for route in host["routes"]:
            route["typed_per_filter_config"] = generated.per_route
    [asked] = [each for each in static["clusters"] if each["name"] == "authz-service"]
    name = generated.check["grpc_service"]["envoy_grpc"]["cluster_name"]
    asked["name"] = asked["load_assignment"]["cluster_name"] = name


@contextlib.asynccontextmanager
async def world_with(generated: Generated) -> AsyncIterator[World]:
    """Run the world of the demo with *generated* in its Envoy, which has no warning for it."""
    async with running_world() as world:
        file = world.directory / "envoy.yaml"
        config = yaml.safe_load(file.read_text("utf-8"))
        _replace(config, generated)
        file.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
        await world.envoy.stop()
        assert "warn" not in validate(file).lower()
        await world.envoy.start()
        yield world


FORGED: Final = (
    ("x-auth-subject", "mallory"),
    ("x_auth_subject", "mallory"),
    ("x-auth-tenant", "mallory"),
    ("x-original-url", "/mallory"),
    ("x-forwarded-host", "mallory.example.com"),
)
"""What no client may say to the API."""


async def judges_every_request(world: World, bearer: tuple[tuple[str, str], ...]) -> None:
    """Say what has to come of some requests, one of them with a token that is good here."""
    allowed = await world.send("GET", "/products", (*bearer, *FORGED))
    assert allowed.status == 200
    assert world.upstream.last is not None
    assert world.upstream.last.values("x-auth-subject") == ["shop-frontend"]
    assert "mallory" not in repr(world.upstream.last)
    for path, headers, status in (
        ("/products", (), 401),
        ("/products", (("authorization", "Bearer junk"),), 401),
        ("/products/%2e%2e/admin", bearer, 403),  # judged as /admin, and the API would get that
        ("/products/..%2fadmin", bearer, 400),
        ("//admin", bearer, 400),
    ):
        refused = await world.send("GET", path, headers)
        assert (path, refused.status) == (path, status)
        assert world.upstream.last is None


async def refuses_without_an_answer(world: World, bearer: tuple[tuple[str, str], ...]) -> None:
    """Stop the service, and say what has to come of a request that would pass."""
    await world.service.stop()
    refused = await world.send("GET", "/products", bearer)
    assert refused.status == 503
    assert world.upstream.last is None
