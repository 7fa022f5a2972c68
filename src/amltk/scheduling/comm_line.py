"""The scheduler's end of one connection: bytes come in, frames go on; all of it without waiting."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from amltk.scheduling.comm_peer import stay_alive
from amltk.scheduling.comm_wire import NONCE, Doorway, Frame, Frames

if TYPE_CHECKING:
    from amltk.scheduling.comm_talk import Talk

__all__ = ["AT_ONCE", "SocketLine"]

AT_ONCE = 1 << 16
"""Bytes that are read at a time."""


class SocketLine:
    """A connection that somebody has made; at first it is not known who.

    Args:
        connection: Its socket.
        key: The secret of the run.
        say: Has something sent on a line; may be called from any thread.
    """

    def __init__(
        self,
        connection: socket.socket,
        key: bytes,
        say: Callable[[SocketLine, bytes], None],
    ) -> None:
        connection.settimeout(0)
        stay_alive(connection)
        self.socket: socket.socket = connection
        self._say = say
        self.doorway: Doorway = Doorway(key, os.urandom(NONCE))
        self.frames: Frames = Frames()
        self.talk: Talk | None = None
        """What is said here belongs to this, as soon as that is known."""
        self.n_read: int = 0
        """Bytes in the frames that were read; counted by who reads."""
        self.n_heard: int = 0
        """Bytes in the frames that were heard; counted by who hears."""
        self.is_paused: bool = False
        """Whether nothing is read, since too much was not heard yet."""
        self.events: int = 0
        """What the server waits for on this connection."""
        self.is_closed: bool = False
        self._to_send = bytearray(self.doorway.challenge())

    @property
    def n_unheard(self) -> int:
        """Bytes that were read and not heard yet."""
        return self.n_read - self.n_heard

    @property
    def has_to_send(self) -> bool:
        """Whether something is left to send."""
        return bool(self._to_send)

    def say(self, data: bytes) -> None:
        """Have something sent as soon as that is possible; may be called from any thread."""
        self._say(self, data)

    def add(self, data: bytes) -> None:
        """Have something sent."""
        self._to_send += data

    def send(self) -> None:
        """Send as much as can be sent now; what is for nobody is dropped."""
        try:
            sent = self.socket.send(self._to_send)
        except BlockingIOError:
            return
        except OSError:  # they are gone, which is noticed when all they said is read
            sent = len(self._to_send)
        del self._to_send[:sent]

    def read(self) -> tuple[int, list[Frame]] | None:
        """How many bytes there were, and the frames they complete; `None` at the end.

        Raises:
            BlockingIOError: If nothing is there.
            NotWelcomeError: If somebody unknown says too much.
        """
        try:
            data = self.socket.recv(AT_ONCE)
        except BlockingIOError:
            raise
        except OSError:
            return None
        return (len(data), self.frames.feed(data)) if data else None

    def close(self) -> None:
        """Close it also for those who have copies, such as processes that were forked."""
        self.is_closed = True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
