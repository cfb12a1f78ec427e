"""Issuers whose tokens are measured with, and the key server on loopback that publishes their keys.

They sign with `cryptography` itself: thousands of tokens, each of which is new, are needed at once.
The library's verification is measured with one key object, as the service has one: OpenSSL prepares
a key when it is first used, and a new object each time makes RS256 a third slower.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from authz_service.core import base64url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

AUDIENCE: Final = "https://shopping.api"
ALGORITHMS: Final = ("RS256", "ES256", "ES384", "EdDSA")
_CURVES: Final = {
    "ES256": ("P-256", ec.SECP256R1(), 32, hashes.SHA256()),
    "ES384": ("P-384", ec.SECP384R1(), 48, hashes.SHA384()),
}
_KID: Final = "key-1"
_POLL: Final = 0.1  # seconds, to notice that it is to stop
_LIFETIME: Final = 7200  # seconds: longer than a whole run


class RsaKey:
    """RS256 with 2048 bits."""

    def __init__(self) -> None:
        """Make it."""
        self._key = rsa.generate_private_key(65537, 2048)
        self._public = self._key.public_key()

    @property
    def jwk(self) -> dict[str, str]:
        """Its public members (RFC 7518, section 6.3.1)."""
        numbers = self._public.public_numbers()
        return {"kty": "RSA", "n": _integer(numbers.n, 256), "e": _integer(numbers.e, 3)}

    def sign(self, signing_input: bytes) -> bytes:
        """The signature (RFC 7518, section 3.3)."""
        return self._key.sign(signing_input, padding.PKCS1v15(), hashes.SHA256())

    def primitive(self, signing_input: bytes, signature: bytes) -> Callable[[], None]:
        """Nothing but the library's verification, to be called."""
        key, how, algorithm = self._public, padding.PKCS1v15(), hashes.SHA256()
        return lambda: key.verify(signature, signing_input, how, algorithm)


class EcdsaKey:
    """ES256 or ES384."""

    def __init__(self, alg: str) -> None:
        """Make it."""
        self._name, curve, self._size, self._hash = _CURVES[alg]
        self._key = ec.generate_private_key(curve)
        self._public = self._key.public_key()

    @property
    def jwk(self) -> dict[str, str]:
        """Its public members (RFC 7518, section 6.2.1)."""
        point = self._public.public_numbers()
        x, y = (_integer(number, self._size) for number in (point.x, point.y))
        return {"kty": "EC", "crv": self._name, "x": x, "y": y}

    def sign(self, signing_input: bytes) -> bytes:
        """The signature, both numbers side by side (RFC 7518, section 3.4)."""
        numbers = decode_dss_signature(self._key.sign(signing_input, ec.ECDSA(self._hash)))
        return b"".join(number.to_bytes(self._size) for number in numbers)

    def primitive(self, signing_input: bytes, signature: bytes) -> Callable[[], None]:
        """Nothing but the library's verification, to be called."""
        r, s = signature[: self._size], signature[self._size :]
        der = encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
        key, how = self._public, ec.ECDSA(self._hash)
        return lambda: key.verify(der, signing_input, how)


class EdDsaKey:
    """EdDSA with Ed25519."""

    def __init__(self) -> None:
        """Make it."""
        self._key = ed25519.Ed25519PrivateKey.generate()
        self._public = self._key.public_key()

    @property
    def jwk(self) -> dict[str, str]:
        """Its public members (RFC 8037, section 2)."""
        x = base64url.encode(self._public.public_bytes_raw())
        return {"kty": "OKP", "crv": "Ed25519", "x": x}

    def sign(self, signing_input: bytes) -> bytes:
        """The signature (RFC 8037, section 3.1)."""
        return self._key.sign(signing_input)

    def primitive(self, signing_input: bytes, signature: bytes) -> Callable[[], None]:
        """Nothing but the library's verification, to be called."""
        key = self._public
        return lambda: key.verify(signature, signing_input)


SigningKey = RsaKey | EcdsaKey | EdDsaKey


def signing_key(alg: str) -> SigningKey:
    """A new key for *alg*, one of `ALGORITHMS`."""
    if alg == "RS256":
        return RsaKey()
    return EdDsaKey() if alg == "EdDSA" else EcdsaKey(alg)


@dataclass(frozen=True)
class Issuer:
    """An issuer named *name* whose identifier begins with *origin*; it has one key."""

    name: str
    origin: str
    alg: str
    _numbers: Iterator[int] = field(default_factory=count, repr=False)

    @property
    def identifier(self) -> str:
        """The value of `iss`."""
        return f"{self.origin}/{self.name}"

    @cached_property
    def key(self) -> SigningKey:
        """What signs."""
        return signing_key(self.alg)

    @property
    def jwk_set(self) -> bytes:
        """What it publishes (RFC 7517, section 5)."""
        key = {**self.key.jwk, "kid": _KID, "use": "sig", "alg": self.alg}
        return json.dumps({"keys": [key]}).encode("ascii")

    def tokens(self, number: int, *, kid: str = _KID, **changes: Any) -> list[str]:  # noqa: ANN401 - JSON
        """So many access tokens that have never been before, as Logto issues them."""
        return [self.token(kid=kid, **changes) for _ in range(number)]

    def token(self, *, kid: str = _KID, **changes: Any) -> str:  # noqa: ANN401 - JSON
        """One, whose header has *kid* and whose claims have *changes*."""
        number, now = next(self._numbers), int(time.time())
        claims = {
            "iss": self.identifier,
            "aud": AUDIENCE,
            "sub": f"subject-{number:09}",
            "client_id": "shop-frontend",
            "scope": "read:products",
            "iat": now,
            "exp": now + _LIFETIME,
            "jti": f"{number:032x}",
            **changes,
        }
        header = {"alg": self.alg, "typ": "at+jwt", "kid": kid}
        signing_input = f"{_encoded(header)}.{_encoded(claims)}"
        signature = self.key.sign(signing_input.encode("ascii"))
        return f"{signing_input}.{base64url.encode(signature)}"


class KeyServer:
    """Serves the metadata and the JWK Set of each of its issuers. For a `with`."""

    def __init__(self) -> None:
        """Listen on a free port of loopback; it answers in the `with`."""
        self._documents: dict[str, bytes] = {}
        documents = self._documents

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                document = documents.get(self.path)
                self.send_response(404 if document is None else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(document or b"")))
                self.end_headers()
                self.wfile.write(document or b"")

            def log_message(self, format: str, *_values: object) -> None:  # noqa: A002 - its base's
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128  # fifty issuers are fetched at once

        self._server = Server(("127.0.0.1", 0), Handler)

    def issuer(self, name: str, alg: str) -> Issuer:
        """A new issuer, with its documents in place."""
        issuer = Issuer(name, f"http://127.0.0.1:{self._server.server_port}", alg)
        metadata = {"issuer": issuer.identifier, "jwks_uri": f"{issuer.identifier}/jwks"}
        self._documents[f"/{name}/jwks"] = issuer.jwk_set
        self._documents[f"/{name}/.well-known/openid-configuration"] = json.dumps(metadata).encode()
        return issuer

    def __enter__(self) -> Self:
        """Answer."""
        threading.Thread(target=self._server.serve_forever, args=(_POLL,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


def primitive_seconds(issuer: Issuer, tokens: list[str]) -> float:
    """The processor's time that the bare verification of one of *tokens* takes, on the average."""
    calls = []
    for token in tokens:
        signing_input, _dot, signature = token.rpartition(".")
        octets = base64url.decode(signature)
        calls.append(issuer.key.primitive(signing_input.encode("ascii"), octets))
    started = time.thread_time()
    for call in calls:
        call()
    return (time.thread_time() - started) / len(calls)


def _encoded(members: dict[str, Any]) -> str:
    return base64url.encode(json.dumps(members, separators=(",", ":")).encode("ascii"))


def _integer(value: int, size: int) -> str:
    return base64url.encode(value.to_bytes(size))
