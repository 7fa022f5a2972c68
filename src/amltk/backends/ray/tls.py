"""Connections that are as secret as Ray's own: with TLS if `RAY_USE_TLS` says so, by its files."""

from __future__ import annotations

import os
import socket
import ssl

__all__ = ["secured"]


def secured(connection: socket.socket, server: str | None) -> socket.socket:
    """The connection, encrypted if Ray's are.

    Args:
        connection: One that was just made.
        server: The host that this end has connected to; `None` for the end that was called.

    Raises:
        OSError: If the other end cannot, or has no certificate of the same authority.
    """
    if os.environ.get("RAY_USE_TLS", "0").lower() not in {"1", "true"}:
        return connection
    is_called = server is None
    purpose = ssl.Purpose.CLIENT_AUTH if is_called else ssl.Purpose.SERVER_AUTH
    context = ssl.create_default_context(purpose, cafile=os.environ["RAY_TLS_CA_CERT"])
    context.load_cert_chain(os.environ["RAY_TLS_SERVER_CERT"], os.environ["RAY_TLS_SERVER_KEY"])
    context.verify_mode = ssl.CERT_REQUIRED
    return context.wrap_socket(connection, server_side=is_called, server_hostname=server)
