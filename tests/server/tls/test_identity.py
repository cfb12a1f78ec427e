"""Which files are fit to serve TLS with, and what is said of those that are not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from authz_service.policy.files import FilesRead
from authz_service.server.tls.identity import (
    Identity,
    TlsError,
    TlsFiles,
    is_open_to_others,
    load_identity,
)
from tests.support.certificates import DAY, Authority, Leaf, authority, dns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes


def load(files: TlsFiles) -> Identity:
    return load_identity(files, now=datetime.now(UTC), read=FilesRead())


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    return authority().server().write(tmp_path, authority().pem)


def test_a_certificate_its_chain_and_its_key_are_an_identity(tmp_path: Path) -> None:
    ca, server = authority(), authority().server()
    files = Leaf(server.certificate + ca.pem, server.key).write(tmp_path)
    identity = load(files)
    assert identity.chain == server.certificate + ca.pem
    assert identity.client_ca is None
    assert 0 < (identity.not_after - datetime.now(UTC)).total_seconds() <= DAY.total_seconds()


def test_the_key_is_not_in_what_is_shown_of_an_identity(files: TlsFiles) -> None:
    assert "PRIVATE KEY" in load(files).key.decode()
    assert "PRIVATE" not in repr(load(files))


def test_what_is_served_is_what_was_understood_and_nothing_else(tmp_path: Path) -> None:
    server = authority().server()
    both = b"a comment\n" + server.key + server.certificate
    files = Leaf(both, server.key).write(tmp_path, both + authority().pem)
    identity = load(files)
    assert identity.chain == server.certificate
    assert identity.client_ca == server.certificate + authority().pem


KEYS: Final[dict[str, tuple[Callable[[], CertificateIssuerPrivateKeyTypes], bool]]] = {
    "P-256": (lambda: ec.generate_private_key(ec.SECP256R1()), True),
    "P-384": (lambda: ec.generate_private_key(ec.SECP384R1()), True),
    "P-521": (lambda: ec.generate_private_key(ec.SECP521R1()), False),
    "RSA 2048": (lambda: rsa.generate_private_key(65537, 2048), True),
    "RSA 1024": (lambda: rsa.generate_private_key(65537, 1024), False),  # noqa: S505 - refused
    "Ed25519": (ed25519.Ed25519PrivateKey.generate, False),
}


@pytest.mark.parametrize("kind", KEYS)
def test_only_keys_that_every_envoy_takes_are_served(tmp_path: Path, kind: str) -> None:
    make, accepted = KEYS[kind]
    files = authority().leaf(dns("localhost"), key=make()).write(tmp_path)
    if accepted:
        assert load(files).chain
    else:
        with pytest.raises(TlsError, match=r"tls\.key: the key must be ECDSA with P-256 or P-384"):
            load(files)


@pytest.mark.parametrize("encoding", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
def test_an_encrypted_key_is_refused(files: TlsFiles, encoding: PrivateFormat) -> None:
    key = load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, encoding, BestAvailableEncryption(b"x")))
    with pytest.raises(TlsError, match=r"tls\.key: is encrypted"):
        load(files)


def _missing(path: Path) -> None:
    path.unlink()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _large(path: Path) -> None:
    with path.open("ab") as stream:
        stream.truncate(1024 * 1024 + 1)


DAMAGE: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "missing": (_missing, "cannot be read: No such file or directory"),
    "a directory": (_directory, "cannot be read: not a regular file|Is a directory"),
    "empty": (lambda path: path.write_bytes(b""), "in PEM, or"),
    "half": (lambda path: path.write_bytes(path.read_bytes()[:-40]), "in PEM, or .*damaged"),
    "binary": (lambda path: path.write_bytes(bytes(range(256))), "in PEM, or"),
    "damaged": (
        lambda path: path.write_bytes(path.read_bytes().replace(b"MI", b"AA", 1)),
        "damage",
    ),
    "large": (_large, "has more than 1 MiB"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["tls.crt", "tls.key", "ca.crt"])
def test_a_file_that_cannot_be_used_is_named(files: TlsFiles, name: str, damage: str) -> None:
    path = files.certificate.with_name(name)
    spoil, why = DAMAGE[damage]
    spoil(path)
    with pytest.raises(TlsError, match=why) as refusal:
        load(files)
    assert str(refusal.value).startswith(f"{path}: ")
    assert len(str(refusal.value).splitlines()) == 1


@pytest.mark.parametrize("left", [1, 5, 10, 27, 40, 200, -60, -26, -2, -1])
@pytest.mark.parametrize("name", ["tls.crt", "ca.crt"])
def test_a_file_that_is_half_written_is_noticed_wherever_it_ends(
    files: TlsFiles, name: str, left: int
) -> None:
    path = files.certificate.with_name(name)
    second = authority("second").pem.rstrip()
    path.write_bytes(path.read_bytes() + second[:left])
    with pytest.raises(TlsError, match=r"cut off|damaged"):
        load(files)


def test_text_around_certificates_is_no_damage(files: TlsFiles) -> None:
    """Such as that of `openssl s_client -showcerts`."""
    pem = files.certificate.read_bytes()
    files.certificate.write_bytes(b"---\nCertificate chain\n" + pem + b"\n---\nServer - end\n")
    assert load(files).chain == pem


def test_the_key_of_another_certificate_is_refused(files: TlsFiles) -> None:
    files.key.write_bytes(authority().server().key)
    with pytest.raises(
        TlsError, match=r"tls\.key: is not the key of the first certificate in .*crt"
    ):
        load(files)


def test_the_certificate_comes_first_and_its_issuers_after_it(tmp_path: Path) -> None:
    server = authority().server()
    files = Leaf(authority().pem + server.certificate, server.key).write(tmp_path)
    with pytest.raises(TlsError, match="is not the key of the first certificate"):
        load(files)


def test_a_certificate_is_served_from_its_first_second_to_before_its_last(files: TlsFiles) -> None:
    identity = load(files)

    def at(seconds: float) -> Identity:
        now = datetime.fromtimestamp(identity.not_after.timestamp() + seconds, UTC)
        return load_identity(files, now=now, read=FilesRead())

    assert at(-1) == identity
    assert at(-2 * DAY.total_seconds()) == identity
    with pytest.raises(TlsError, match=r"tls\.crt: has expired at 2\d{3}-\d\d-\d\dT.*Z"):
        at(0)
    with pytest.raises(TlsError, match=r"tls\.crt: is not valid before 2"):
        at(-2 * DAY.total_seconds() - 1)


def test_a_client_ca_that_has_expired_is_refused_unless_another_has_not(files: TlsFiles) -> None:
    assert files.client_ca is not None
    old = Authority("old", not_after=-DAY / 2)
    files.client_ca.write_bytes(old.pem)
    with pytest.raises(TlsError, match=r"ca\.crt: every certificate in it has expired"):
        load(files)
    files.client_ca.write_bytes(old.pem + authority().pem)
    assert load(files).client_ca == old.pem + authority().pem


def test_a_path_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    odd = tmp_path / "\x1b[2J\n"
    with pytest.raises(TlsError, match=r"/\\x1b\[2J\\n: cannot be read"):
        load(TlsFiles(odd, odd))


@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_key_that_every_user_may_read_is_open(
    files: TlsFiles,
    mode: int,
    is_open: bool,  # noqa: FBT001 - of the table
) -> None:
    files.key.chmod(mode)
    assert is_open_to_others(files.key) == is_open


def test_a_key_that_has_gone_is_open_to_nobody(tmp_path: Path) -> None:
    assert not is_open_to_others(tmp_path / "gone")
