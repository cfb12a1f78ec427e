"""Who may ask: the names in a client's certificate, held against a list.

gRPC has let a client's certificate through already: it is of the client CA, for clients, and was
valid when it was looked at. That was when the connection began, or an earlier one whose TLS session
goes on in this one: for days, and gRPC has no way to forbid it. So its end is looked at here then.
Its names are read from the certificate itself, each kind for itself: gRPC's own list of them ends a
name at its first NUL, and mixes the kinds.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import structlog
from cryptography import x509

from authz_service.policy.problems import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import grpc.aio

_SPIFFE: Final = "spiffe://"
# The SPIFFE ID, section 2: a trust domain, and for a workload a path of segments that are no dots.
_SPIFFE_ID: Final = re.compile(
    r"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+)+", re.ASCII
)
_MAX_SPIFFE_BYTES: Final = 2048
_DNS_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?!(?:[0-9]+\.){3}[0-9]+\Z)"  # an IPv4 address, which no DNS name is
    r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
    r"(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*",
    re.ASCII,
)
_PEM: Final = "x509_pem_cert"
_SESSION_REUSED: Final = "ssl_session_reused"
_REMEMBERED: Final = 256  # certificates
_MAX_SHOWN: Final = 8  # names
_MAX_SHOWN_CHARS: Final = 200  # of each

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CertificateNames:
    """The names in the subjectAltName extension, by kind. The common name is none."""

    spiffe_id: str | None = None
    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, pem: bytes) -> CertificateNames:
        """Read them; what cannot be understood has no names."""
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            uris = tuple(names.value.get_values_for_type(x509.UniformResourceIdentifier))
            dns_names = tuple(names.value.get_values_for_type(x509.DNSName))
            return cls(_spiffe_id(certificate, uris), uris, dns_names)
        except Exception:  # noqa: BLE001 - ValueError, and others for each kind of damage
            return cls()

    def __str__(self) -> str:
        """One printable line of bounded length."""
        names = [f"URI:{uri}" for uri in self.uris] + [f"DNS:{name}" for name in self.dns_names]
        shown = [printable(name[:_MAX_SHOWN_CHARS]) for name in names[:_MAX_SHOWN]]
        more = len(names) - len(shown)
        return ", ".join(shown + ([f"and {more} more"] if more else [])) or "none"


def _spiffe_id(certificate: x509.Certificate, uris: tuple[str, ...]) -> str | None:
    """X.509-SVID, sections 2 and 5.2: one URI alone, in a certificate that signs no others."""
    if len(uris) != 1 or not uris[0].startswith(_SPIFFE):
        return None
    return None if _signs_certificates(certificate.extensions) else uris[0]


def _signs_certificates(extensions: x509.Extensions) -> bool:
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            return True
        if isinstance(value, x509.KeyUsage) and (value.key_cert_sign or value.crl_sign):
            return True
    return False


@dataclass(frozen=True, slots=True)
class CallerList:
    """The names of which a caller must have one.

    They are compared exactly, DNS names without regard to case.
    """

    spiffe_ids: frozenset[str]
    dns_names: frozenset[str]

    @classmethod
    def parse(cls, names: Iterable[str]) -> CallerList:
        """Read what the operator wrote: a SPIFFE ID starts with `spiffe://`. Raises ValueError."""
        listed = frozenset(names)
        spiffe_ids = {name for name in listed if name.lower().startswith(_SPIFFE)}
        for name in sorted(spiffe_ids):
            _check_spiffe_id(name)
        for name in sorted(listed - spiffe_ids):
            _check_dns_name(name)
        return cls(frozenset(spiffe_ids), frozenset(name.lower() for name in listed - spiffe_ids))

    def __contains__(self, names: CertificateNames) -> bool:
        """Whether one of *names* is on the list."""
        if names.spiffe_id in self.spiffe_ids:
            return True
        return any(name.lower() in self.dns_names for name in names.dns_names)


def _check_spiffe_id(name: str) -> None:
    if not _SPIFFE_ID.fullmatch(name) or len(name) > _MAX_SPIFFE_BYTES:
        raise ValueError(
            f"{printable(name)!r} is not the SPIFFE ID of a workload: spiffe://trust-domain/path,"
            " without a port, a query, escapes or a last slash"
        )


def _check_dns_name(name: str) -> None:
    if not _DNS_NAME.fullmatch(name):
        raise ValueError(
            f"{printable(name)!r} is neither spiffe://... nor a DNS name; wildcards, addresses and"
            " other URIs are not understood"
        )


class TrustedCallers:
    """Tells the callers on a list from the others. For each certificate that is found out once."""

    def __init__(
        self, listed: CallerList | None, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Trust the callers on *listed*, and nobody else; None lists all that gRPC lets through.

        *clock* gives seconds since the epoch.
        """
        self._listed = listed
        self._clock = clock
        self._judge = lru_cache(maxsize=_REMEMBERED)(self._judge_anew)
        self._not_after = lru_cache(maxsize=_REMEMBERED)(_not_after)
        self._tell_of_end = lru_cache(maxsize=_REMEMBERED)(_tell_of_end)

    def __call__(self, context: grpc.aio.ServicerContext[object, object]) -> bool:
        """Whether the caller's certificate has a name on the list, and may still be used."""
        properties: Mapping[str, Iterable[bytes]] = context.auth_context()
        pem = b"".join(properties.get(_PEM, ()))
        if b"true" in properties.get(_SESSION_REUSED, ()) and self._clock() > self._not_after(pem):
            self._tell_of_end(pem)
            return False
        return self._judge(pem)

    def _judge_anew(self, pem: bytes) -> bool:
        if self._listed is None:
            return True
        names = CertificateNames.of(pem)
        trusted = names in self._listed
        if not trusted:
            _log.warning(
                "caller_not_trusted",
                names=str(names),
                effect="its Checks are denied: --tls-client-san lists none of these",
            )
        return trusted


def _not_after(pem: bytes) -> float:
    """When the certificate expires, in seconds since the epoch; long ago if it is none."""
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    except ValueError:
        return float("-inf")


def _tell_of_end(pem: bytes) -> None:
    _log.warning(
        "caller_not_trusted",
        names=str(CertificateNames.of(pem)),
        effect="its Checks are denied: its certificate has expired since it was looked at",
    )
