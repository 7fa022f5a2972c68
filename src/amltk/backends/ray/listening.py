"""Whether the head of a Ray can be connected to.

Whoever asks Ray something while it cannot, waits: for a minute, and then Ray ends the whole process.
So this is found out first, by nobody's leave.
"""

from __future__ import annotations

import socket

__all__ = ["listens"]

KNOCK = 1.0
"""Seconds that the machine of the head has to answer."""


def listens(address: str) -> bool:
    """Whether somebody takes connections there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), KNOCK).close()
    except OSError:
        return False
    return True
