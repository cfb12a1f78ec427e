"""Real certificates, made when a test needs them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authz_service.server.tls.identity import TlsFiles

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

SERVER_NAME: Final = "authz-service.authz.svc"
SERVER_ID: Final = "spiffe://example.org/ns/authz/sa/authz-service"
ENVOY_ID: Final = "spiffe://example.org/ns/edge/sa/envoy"
DAY: Final = timedelta(days=1)

_CA: Final = x509.BasicConstraints(ca=True, path_length=None)


def uri(value: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(value)


def dns(value: str) -> x509.GeneralName:
    return x509.DNSName(value)


@dataclass(frozen=True)
class Leaf:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes

    def write(self, directory: Path, client_ca: bytes | None = None) -> TlsFiles:
        """Write them as cert-manager names them."""
        (directory / "tls.crt").write_bytes(self.certificate)
        (directory / "tls.key").write_bytes(self.key)
        (directory / "tls.key").chmod(0o600)
        if client_ca is None:
            return TlsFiles(directory / "tls.crt", directory / "tls.key")
        (directory / "ca.crt").write_bytes(client_ca)
        return TlsFiles(directory / "tls.crt", directory / "tls.key", directory / "ca.crt")


class Authority:
    """A CA with a key of its own."""

    def __init__(self, name: str = "tests", *, not_after: timedelta = 10 * DAY) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"CA of {name}")
        self.pem = self._sign(self._name, self._key, not_after, (_CA,)).certificate

    def leaf(
        self,
        *names: x509.GeneralName,
        common_name: str = "tests",
        not_after: timedelta = DAY,
        not_before: timedelta = -DAY,
        key: CertificateIssuerPrivateKeyTypes | None = None,
        extensions: Iterable[x509.ExtensionType] = (),
    ) -> Leaf:
        """Sign a certificate with *names*; the times are counted from now."""
        sans = [x509.SubjectAlternativeName(names)] if names else []
        key = key or ec.generate_private_key(ec.SECP256R1())
        all_of_them = (*sans, *extensions)
        return self._sign(_name(common_name), key, not_after, all_of_them, not_before)

    def server(self, *, not_after: timedelta = DAY) -> Leaf:
        """Sign a certificate for the service."""
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        return self.leaf(
            dns("localhost"), dns(SERVER_NAME), uri(SERVER_ID),
            not_after=not_after, extensions=[usage],
        )  # fmt: skip

    def envoy(self) -> Leaf:
        """Sign a certificate for Envoy."""
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self.leaf(uri(ENVOY_ID), dns("envoy.edge.svc"), extensions=[usage])

    def _sign(
        self,
        subject: x509.Name,
        key: CertificateIssuerPrivateKeyTypes,
        not_after: timedelta,
        extensions: Iterable[x509.ExtensionType],
        not_before: timedelta = -DAY,
    ) -> Leaf:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + not_before)
            .not_valid_after(now + not_after)
        )
        for extension in extensions:
            critical = isinstance(extension, x509.BasicConstraints)
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Leaf(
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )


@functools.cache
def authority(name: str = "tests") -> Authority:
    """Make one CA of each name for all tests of a process."""
    return Authority(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
