"""The identity in use as gRPC wants it: asked for anew in each handshake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.server.tls.identity import Identity


def server_credentials(in_use: Callable[[], Identity]) -> grpc.ServerCredentials:
    """Serve TLS 1.2 or 1.3 with what is *in_use* when a connection begins.

    Where it has a client CA, only a client with a certificate of that CA's gets a connection;
    whether there is one must not change. *in_use* is called in gRPC's threads.
    """
    served = in_use()

    def changed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal served
        current = in_use()
        if current is served:
            return None  # the same as before
        served = current
        return _configuration(current)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(served),
        changed,  # type: ignore[arg-type] # None is documented
        require_client_authentication=served.client_ca is not None,
    )


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key, identity.chain)], root_certificates=identity.client_ca
    )
