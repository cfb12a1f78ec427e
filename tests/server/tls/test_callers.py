"""What can be on the list of callers, and what is made of a certificate's names."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from authz_service.server.tls import callers
from authz_service.server.tls.callers import CallerList, CertificateNames, TrustedCallers
from tests.support.certificates import DAY, ENVOY_ID, authority, dns, uri
from tests.support.log_events import captured

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.support.certificates import Leaf


@pytest.mark.parametrize(
    "name",
    [
        "spiffe://example.org/a",
        "spiffe://a-b_c.1/ns/A/sa/b.c-d_e",
        "spiffe://a/...",
        "spiffe://a/.b",
    ],
)
def test_a_spiffe_id_of_a_workload_can_be_listed(name: str) -> None:
    assert CallerList.parse([name]) == CallerList(frozenset({name}), frozenset())


@pytest.mark.parametrize(
    "name",
    [
        "spiffe://", "spiffe:///a", "spiffe://example.org", "spiffe://example.org/",
        "spiffe://example.org/a/", "spiffe://example.org//a", "spiffe://example.org/a/../b",
        "spiffe://example.org/.", "spiffe://Example.org/a", "SPIFFE://example.org/a",
        "spiffe://example.org:80/a", "spiffe://u@example.org/a", "spiffe://example.org/a?b",
        "spiffe://example.org/a#b", "spiffe://example.org/%61", "spiffe://example.org/*",
        "spiffe://example.org/a\n", "spiffe://example.org/\u00e4", f"spiffe://a/{'x' * 2048}",
    ],
)  # fmt: skip
def test_what_no_workload_can_have_as_its_spiffe_id_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not the SPIFFE ID of a workload") as refusal:
        CallerList.parse(["envoy.example", name])
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "name", ["envoy", "ENVOY.edge.svc", "xn--80ak6aa92e.com", "a_b.c", "1.2", "10.0.0.1.a"]
)
def test_a_dns_name_can_be_listed_in_any_case(name: str) -> None:
    assert CallerList.parse([name]) == CallerList(frozenset(), frozenset({name.lower()}))


@pytest.mark.parametrize(
    "name",
    [
        "", "*", "*.example.com", "a.*.com", ".example.com", "example.com.", "a..b", "-a.com",
        "https://example.com", "a/b", "a:80", "::1", "a@b", "a b", "m\u00fcnchen.de", "a\n",
        "\x1b[2J", "x" * 64, ".".join(["x" * 60] * 5), "spiffe:/a/b", "10.0.0.1",
    ],
)  # fmt: skip
def test_what_is_no_dns_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is neither spiffe://\.\.\. nor a DNS name") as refusal:
        CallerList.parse([ENVOY_ID, name])
    assert str(refusal.value).isprintable()


def test_names_are_read_kind_by_kind_and_whole() -> None:
    leaf = authority().leaf(
        dns("a.example"), uri("spiffe://a/b\0c"), dns("b.example\0"), common_name="c.example"
    )
    names = CertificateNames.of(leaf.certificate)
    assert names == CertificateNames(
        "spiffe://a/b\0c", ("spiffe://a/b\0c",), ("a.example", "b.example\0")
    )
    assert str(names) == r"URI:spiffe://a/b\x00c, DNS:a.example, DNS:b.example\x00"


@pytest.mark.parametrize("sign", ["key_cert_sign", "crl_sign", None])
def test_a_certificate_that_may_sign_others_has_no_spiffe_id(sign: str | None) -> None:
    flags = dict.fromkeys(
        (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
            "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        ),
        False,
    )  # fmt: skip
    usage = x509.KeyUsage(**{**flags, "digital_signature": True, **({sign: True} if sign else {})})
    leaf = authority().leaf(uri(ENVOY_ID), extensions=[usage])
    assert CertificateNames.of(leaf.certificate).spiffe_id == (None if sign else ENVOY_ID)


@pytest.mark.parametrize("octets", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_certificate_has_no_names(octets: bytes) -> None:
    assert CertificateNames.of(octets) == CertificateNames()
    assert str(CertificateNames()) == "none"


def test_very_many_and_very_long_names_are_shown_in_short() -> None:
    names = CertificateNames(None, (), tuple("x" * 10_000 for _ in range(1000)))
    assert len(str(names)) < 2000
    assert str(names).endswith(", and 992 more")


class _Context:
    """What gRPC tells of a connection."""

    def __init__(self, leaf: Leaf | None, *, resumed: bool = False) -> None:
        self._leaf = leaf
        self._resumed = b"true" if resumed else b"false"

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        pem = {"x509_pem_cert": [self._leaf.certificate]} if self._leaf else {}
        return {"ssl_session_reused": [self._resumed], **pem}


def test_a_certificate_is_judged_and_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    events = captured(monkeypatch, callers)
    trusts = TrustedCallers(CallerList.parse([ENVOY_ID]))
    envoy, stranger = authority().envoy(), authority().leaf(dns("\x1b[2J.example"))
    contexts: Any = [_Context(leaf) for leaf in (envoy, stranger, None)] * 100
    assert [trusts(context) for context in contexts] == [True, False, False] * 100
    assert [(event["event"], event["names"]) for event in events] == [
        ("caller_not_trusted", r"DNS:\x1b[2J.example"),
        ("caller_not_trusted", "none"),
    ]


@pytest.mark.parametrize("listed", [None, CallerList.parse([ENVOY_ID])])
def test_a_resumed_session_ends_with_the_certificate_that_it_began_with(
    monkeypatch: pytest.MonkeyPatch, listed: CallerList | None
) -> None:
    events = captured(monkeypatch, callers)
    now = time.time()
    trusts = TrustedCallers(listed, clock=lambda: now)
    begun: Any = _Context(authority().envoy())
    resumed: Any = _Context(authority().envoy(), resumed=True)
    assert trusts(resumed)
    now += DAY.total_seconds() + 60
    assert [trusts(resumed) for _ in range(9)] == [False] * 9
    assert trusts(begun)  # what there is goes on, as docs/transport.md says
    assert [event["event"] for event in events] == ["caller_not_trusted"]


def test_a_resumed_session_without_a_certificate_is_not_trusted() -> None:
    context: Any = _Context(None, resumed=True)
    assert not TrustedCallers(None)(context)
