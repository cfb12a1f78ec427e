"""Policies and files of tests as large as wished."""

from __future__ import annotations

from typing import Final

_START: Final = "version: 1\nissuers: [{issuer: https://auth.example.com}]\nresources:\n"
_ROUTES_OF_A_HOST: Final = 100


def of_services(size: int) -> str:
    """*size* routes, a hundred at each host, as an operator with many services has them."""
    return _START + "".join(
        f"  - audience: https://service-{host}.api\n"
        f"    hosts: [service-{host}.example.com]\n"
        "    routes:\n" + "".join(_routes_of_a_service())
        for host in range(size // _ROUTES_OF_A_HOST)
    )


def _routes_of_a_service() -> list[str]:
    return [
        f"      - {{path: '/things-{number}/{{id}}', methods:"
        f" {{GET: [read:things-{number}], POST: [write:things-{number}]}}}}\n"
        for number in range(_ROUTES_OF_A_HOST)
    ]


def of_one_resource(size: int) -> str:
    """*size* routes of one resource. A third of them is never reached."""
    routes = (
        f"      - {{path: '/r{number}{path}', methods: {{GET: [r:{number}], POST: public}}}}\n"
        for number in range(size // 3)
        for path in ("", "/{x}/**", "/**")
    )
    return f"{_START}  - audience: a\n    routes:\n{''.join(routes)}"


def of_many_hosts(size: int) -> str:
    """*size* resources of one route. Half of them has a host, and hides what the rest has."""
    methods = "methods: {GET: [], POST: public}"
    named = (
        f"  - {{audience: h{number}, hosts: [h{number}.example.com],"
        f" routes: [{{path: '/r{number}/**', {methods}}}]}}\n"
        for number in range(size // 2)
    )
    unnamed = (
        f"  - {{audience: a{number}, routes: [{{path: '/r{number}/{{x}}/**', {methods}}}]}}\n"
        for number in range(size // 2)
    )
    return _START + "".join((*named, *unnamed))


SHOP: Final = """\
version: 1
issuers:
  - {name: logto, issuer: "https://auth.example.com/oidc", preset: logto}
resources:
  - name: shopping
    audience: https://shopping.api
    routes:
      - path: /healthz
        methods: {GET: public}
      - path: /products/{id}
        methods: {GET: [read:products], POST: [write:products]}
"""


def cases(size: int) -> str:
    """*size* cases of `SHOP`, each with a token of its own that is signed and verified."""
    return "tests:\n" + "".join(
        f"  - request: {method} /products/{number}\n"
        "    token: {claims: {aud: https://shopping.api,"
        f" sub: subject-{number}, scope: 'read:products'}}}}\n"
        f"    expect: {expected}\n"
        for number in range(size)
        for method, expected in [(("GET", "allow"), ("POST", "insufficient_scope"))[number % 2]]
    )
