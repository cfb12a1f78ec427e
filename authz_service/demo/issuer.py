"""The development issuer: an authorization server that speaks what Logto speaks.

FOR DEVELOPMENT ONLY: its keys live in memory, its clients in the code that starts it, and whoever
is on this machine may rotate its keys. It listens on loopback addresses only, and says what it is
in its metadata (``development_only``) and in the ``Server`` header of its answers.

Knows when and where it listens; the endpoints are in ``endpoints``.
``python -m authz_service.demo.issuer`` runs it alone.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

import click
from aiohttp import web

from authz_service.demo.endpoints import Endpoints
from authz_service.demo.grant import Client
from authz_service.demo.signing_keys import KEY_PARAMETERS, SigningKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from jwcrypto import jwk

__all__ = ["Client", "DevelopmentIssuer"]

_STOP_SECONDS: Final = 1.0


class DevelopmentIssuer:
    """An issuer on a loopback port, for its owner's event loop to start and stop.

    Its keys and its port outlive a stop: started again, it is the same issuer.
    """

    def __init__(
        self,
        clients: Iterable[Client],
        *,
        algorithm: str = "ES384",
        token_lifetime: int = 3600,
        opaque_tokens: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make the first signing key; nothing listens yet.

        *token_lifetime* is in seconds, *clock* gives seconds since the epoch.

        A request that names neither a resource nor an organization gets an opaque token: what an
        API meets when an application signs a user in at Logto without naming a resource. Logto's
        client credentials grant itself refuses such a request with ``invalid_target``, and so
        does this one without *opaque_tokens*.

        Raises:
            ValueError: the algorithm is not supported or two clients share an id.

        """
        registered = tuple(clients)
        self._clients: Final = {client.client_id: client for client in registered}
        if len(self._clients) != len(registered):
            message = "two clients share a client id"
            raise ValueError(message)
        self._keys: Final = SigningKeys(algorithm)
        self._token_lifetime: Final = token_lifetime
        self._opaque_tokens: Final = opaque_tokens
        self._clock: Final = clock
        self._address: tuple[str, int] | None = None
        self._runner: web.AppRunner | None = None

    @property
    def issuer(self) -> str:
        """The issuer identifier, the exact value of ``iss``; known from the first start on."""
        return self._endpoints().issuer

    @property
    def kid(self) -> str:
        """The key id of the key that signs now."""
        return self._keys.kid

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on *host*, a loopback address.

        Port 0 is any free port at the first start and the same port again after a stop, because
        the issuer identifier holds it.

        Raises:
            ValueError: *host* is not a loopback address.
            RuntimeError: it runs already.
            OSError: the port is taken or may not be used.

        """
        if self._runner is not None:
            message = "the development issuer runs already"
            raise RuntimeError(message)
        listener = _listen(host, port or self._port_at(host))
        self._address = (host, listener.getsockname()[1])
        self._runner = web.AppRunner(
            self._endpoints().application(),
            access_log=None,
            # A request's Content-Encoding is left alone: junk in it must not become a 500.
            auto_decompress=False,
            shutdown_timeout=_STOP_SECONDS,
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        """Stop listening and close the connections; without effect if it does not run."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def rotate(self, *, drop_previous: bool = False) -> str:
        """Sign with a new key at once and return its key id.

        The JWK Set keeps the replaced key, unless *drop_previous*.
        """
        return self._keys.rotate(drop_previous=drop_previous)

    def mint(
        self,
        claims: Mapping[str, object],
        *,
        header: Mapping[str, object] | None = None,
        key: jwk.JWK | None = None,
    ) -> str:
        """Sign *claims* as they stand, also what no honest issuer would say.

        Nothing is added to the claims. The header is ``alg``, ``typ: at+jwt`` and the ``kid`` of
        the key that really signs; *header* goes over it, and None takes a member out. *key*, a
        private JWK, stands in for the issuer's own.
        """
        return self._keys.sign(claims, header=header, key=key)

    def _port_at(self, host: str) -> int:
        if self._address is None or self._address[0] != host:
            return 0
        return self._address[1]

    def _endpoints(self) -> Endpoints:
        if self._address is None:
            message = "the development issuer has not been started"
            raise RuntimeError(message)
        host, port = self._address
        return Endpoints(
            origin=f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}",
            clients=self._clients,
            keys=self._keys,
            token_lifetime=self._token_lifetime,
            opaque_tokens=self._opaque_tokens,
            clock=self._clock,
        )


def _listen(host: str, port: int) -> socket.socket:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    # Names are not looked up: what "localhost" means is up to the machine.
    if address is None or not address.is_loopback:
        message = "the development issuer listens on a loopback address only, such as 127.0.0.1"
        raise ValueError(message)
    ipv4 = isinstance(address, ipaddress.IPv4Address)
    family = socket.AF_INET if ipv4 else socket.AF_INET6
    return socket.create_server((host, port), family=family)


_SAMPLE_RESOURCE: Final = "https://shopping.api"
_SAMPLE_ORGANIZATION: Final = "org-1"
_SAMPLE_CLIENT: Final = Client(
    client_id="sample-client",
    client_secret="sample-secret",  # noqa: S106 - shown to everyone, of use to no one
    grants={_SAMPLE_RESOURCE: ("read:products", "write:products", "read:orders")},
    organizations={_SAMPLE_ORGANIZATION: ("read:members",)},
)


class _CannotListenError(click.ClickException):
    exit_code = 2


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=3001, show_default=True)
@click.option(
    "--algorithm", type=click.Choice(list(KEY_PARAMETERS)), default="ES384", show_default=True
)
def main(port: int, algorithm: str) -> None:
    """Run the development issuer on 127.0.0.1 with one sample client, until Ctrl-C."""
    asyncio.run(_serve(DevelopmentIssuer([_SAMPLE_CLIENT], algorithm=algorithm), port))


async def _serve(issuer: DevelopmentIssuer, port: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    try:
        await issuer.start(port=port)
    except OSError as error:
        message = f"cannot listen on 127.0.0.1:{port}: {os.strerror(error.errno or 0)}"
        raise _CannotListenError(message) from None
    click.echo(_instructions(issuer.issuer))
    await stopped.wait()
    await issuer.stop()


def _instructions(issuer: str) -> str:
    token = (
        f"curl -s -u {_SAMPLE_CLIENT.client_id}:{_SAMPLE_CLIENT.client_secret} {issuer}/token"
        " -d grant_type=client_credentials"
    )
    resource = f"-d resource={_SAMPLE_RESOURCE}"
    organization = f"-d organization_id={_SAMPLE_ORGANIZATION}"
    return f"""\
Development issuer, for development only: {issuer}

A token for an API:
  {token} {resource} -d 'scope=read:products write:products'
An organization token:
  {token} {organization} -d scope=read:members
A token for an API within an organization:
  {token} {resource} {organization} -d scope=read:orders
Its metadata and its keys:
  curl -s {issuer}/.well-known/openid-configuration
  curl -s {issuer}/jwks
A new signing key:
  curl -s -X POST {issuer.removesuffix("/oidc")}/development/rotate

Ctrl-C stops it.
"""


if __name__ == "__main__":
    main()
