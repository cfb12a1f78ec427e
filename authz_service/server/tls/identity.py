"""The certificate, the key and the client CA: read from their files, and fit to be served.

What gRPC would only find out in each handshake is found out here, once, and said in one line. What
is handed on is made anew from what was understood, so that gRPC cannot understand it differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from authz_service.policy.problems import printable
from authz_service.server.listen import ListenError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from authz_service.policy.files import FilesRead

MIN_RSA_BITS: Final = 2048
_CURVES: Final = frozenset({"secp256r1", "secp384r1"})  # BoringSSL's servers sign with these alone
_PEM_BLOCK: Final = re.compile(
    rb"-----BEGIN ([A-Z0-9 ]+)-----(?:(?!-----).)*-----END \1-----", re.DOTALL
)
_MAX_BYTES: Final = 1024 * 1024

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class TlsError(ListenError):
    """The operator's fault: a file is not fit to serve TLS with. Its text begins with the path."""

    def __init__(self, path: Path, why: str) -> None:
        """Hold one printable line."""
        super().__init__(f"{printable(str(path))}: {why}")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the certificate and its chain, its key, and who signs clients' certificates.

    Without *client_ca*, clients are not asked for one.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file."""
        return tuple(path for path in (self.certificate, self.key, self.client_ca) if path)


@dataclass(frozen=True, slots=True)
class Identity:
    """What the service serves TLS with, in PEM, from *not_before* until *not_after*."""

    chain: bytes
    key: bytes = field(repr=False)
    client_ca: bytes | None
    not_before: datetime
    not_after: datetime


def load_identity(files: TlsFiles, *, now: datetime, read: FilesRead) -> Identity:
    """Read *files* through *read*, which remembers them. Raises TlsError."""
    chain = _certificates(files.certificate, read)
    key = _private_key(files.key, read)
    if key.public_key() != chain[0].public_key():
        why = f"is not the key of the first certificate in {printable(str(files.certificate))}"
        raise TlsError(files.key, why)
    _check_validity(files.certificate, chain[0], now)
    client_ca = None if files.client_ca is None else _client_ca(files.client_ca, now, read)
    return Identity(
        _pem(chain),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        client_ca,
        chain[0].not_valid_before_utc,
        chain[0].not_valid_after_utc,
    )


def is_open_to_others(key: Path) -> bool:
    """Whether every user of this machine may read *key*, which is a file that was just read."""
    try:
        return bool(key.stat().st_mode & 0o004)
    except OSError:
        return False


def _read(path: Path, read: FilesRead) -> bytes:
    try:
        octets = read.read(path)
    except OSError as error:
        raise TlsError(path, f"cannot be read: {error.strerror or error}") from None
    if len(octets) > _MAX_BYTES:
        raise TlsError(path, "has more than 1 MiB")
    return octets


def _certificates(path: Path, read: FilesRead) -> Sequence[x509.Certificate]:
    octets = _read(path, read)
    try:
        certificates = x509.load_pem_x509_certificates(octets)
    except ValueError:
        raise TlsError(path, "holds no certificates in PEM, or damaged ones") from None
    if _is_cut_off(octets):
        raise TlsError(path, "holds a certificate that is cut off")
    return certificates


def _is_cut_off(pem: bytes) -> bool:
    """Whether a block begins and does not end. Such a one would be passed over without a word."""
    rest = _PEM_BLOCK.sub(b"", pem)
    *_, last = rest.splitlines() or [b""]
    return b"-----" in rest or last.startswith(b"-")


def _private_key(path: Path, read: FilesRead) -> _PrivateKey:
    octets = _read(path, read)
    try:
        key = load_pem_private_key(octets, password=None)
    except TypeError:
        raise TlsError(path, "is encrypted: write the key without a passphrase") from None
    except Exception:  # noqa: BLE001 - ValueError, UnsupportedAlgorithm, and others of OpenSSL's
        raise TlsError(path, "holds no private key in PEM, or a damaged one") from None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return key
    raise TlsError(path, "the key must be ECDSA with P-256 or P-384, or RSA of 2048 bits or more")


def _check_validity(path: Path, certificate: x509.Certificate, now: datetime) -> None:
    if now >= certificate.not_valid_after_utc:
        raise TlsError(path, f"has expired at {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}")
    if now < certificate.not_valid_before_utc:
        why = f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"
        raise TlsError(path, why)


def _client_ca(path: Path, now: datetime, read: FilesRead) -> bytes:
    certificates = _certificates(path, read)
    if all(now >= certificate.not_valid_after_utc for certificate in certificates):
        raise TlsError(path, "every certificate in it has expired")
    return _pem(certificates)


def _pem(certificates: Sequence[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
