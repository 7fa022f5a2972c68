"""Messages between a worker on Ray and whoever gives it calls, over a connection of their own.

Ray would pack each of them into a task of its own, which costs as much as many calls do. All of
them are whole: their length goes first. Before anything else is said, each end proves to the other
that it knows the key, without saying it:

    worker ── random bytes ───────────▶ desk
    worker ◀─ random bytes, proof ───── desk
    worker ── proof ──────────────────▶ desk

A worker listens at the address of its node, and at one of the ports that Ray chooses from if it is
not told otherwise: what can reach Ray's own workers reaches it as well.
"""

from __future__ import annotations

import hmac
import os
import random
import select
import socket
import ssl
import time
from collections import deque
from contextlib import suppress
from struct import Struct

from amltk.backends.payload import Packed
from amltk.backends.ray.tls import secured

__all__ = ["KEY", "Line", "NotWelcomeError", "accepted", "connected", "listening"]

PORTS = range(10_002, 20_000)
"""From what Ray chooses the ports of workers."""

KEY = NONCE = PROOF = 32
"""Bytes."""

LONGEST_OF_STRANGERS = 256
"""Bytes that a message may have before it is known who sends it."""

PATIENCE_WITH_STRANGERS = 10.0
"""Seconds that somebody who calls has to prove that they know the key."""

PATIENCE = 30.0
"""Seconds that a worker has to answer at first."""

AT_ONCE = 1 << 16
"""Bytes that are read at a time."""

HEAD = Struct(">Q")

NOT_NOW: tuple[type[OSError], ...] = (
    BlockingIOError,
    ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
)
"""Raised by a socket that does not wait."""


class NotWelcomeError(Exception):
    """Raised when the other end is not who it has to be."""


class Line:
    """One end of a connection.

    Args:
        connection: The socket of it.
        longest: The most bytes that a message may have which comes in.
    """

    def __init__(self, connection: socket.socket, longest: int | None = None) -> None:
        stay_alive(connection)
        self._socket = connection
        self.longest: int | None = longest
        self._bytes = bytearray()
        self._to_send: deque[memoryview] = deque()

    def fileno(self) -> int:
        """Its descriptor; for selectors."""
        return self._socket.fileno()

    def send_bytes(self, message: Packed, /) -> None:
        """Send a message; returns when the system has taken all of it.

        Raises:
            OSError: If the other end is gone.
        """
        head = HEAD.pack(len(message))
        if len(message) > AT_ONCE:
            self._socket.sendall(head)
            self._socket.sendall(message)
        else:
            self._socket.sendall(head + message)

    def send(self, message: Packed) -> None:
        """Send what can be sent of a message without waiting; the rest is up to `flush`."""
        self._to_send += (memoryview(HEAD.pack(len(message))), memoryview(message))
        self.flush()

    @property
    def has_to_send(self) -> bool:
        """Whether some of it is left."""
        return bool(self._to_send)

    def flush(self) -> None:
        """Send more of it. If the other end is gone that is heard, and the rest is for nobody."""
        while self._to_send:
            try:
                sent = self._socket.send(self._to_send[0])
            except NOT_NOW:
                return
            except OSError:
                self._to_send.clear()
                return
            self._to_send[0] = self._to_send[0][sent:]
            if not self._to_send[0]:
                self._to_send.popleft()

    def recv_bytes(self) -> bytes:
        """Wait for a message.

        Raises:
            EOFError, OSError: If there will be none.
        """
        while (message := self.read()) is None:
            pass
        return message

    def recv_before(self, until: float) -> bytes:
        """Wait for a message until a time, on the monotonic clock.

        Raises:
            EOFError, OSError: If there will be none; the latter also if it takes longer.
        """
        while True:
            self._socket.settimeout(max(0.001, until - time.monotonic()))
            if (message := self.read()) is not None:
                return message
            if time.monotonic() > until:
                raise TimeoutError("it took too long")

    def read(self) -> bytes | None:
        """Take what has come in, or what comes next; returns a message if that completes one.

        Raises:
            EOFError, OSError: If nothing comes any more.
            NotWelcomeError: If a stranger says too much.
        """
        while (message := self._whole()) is None:
            try:
                data = self._socket.recv(AT_ONCE)
            except NOT_NOW:
                return None
            if not data:
                raise EOFError
            self._bytes += data
            if not self._holds_some_back():
                return self._whole()
        return message

    def is_readable(self, timeout: float) -> bool:
        """Whether something comes in, or the end, within so many seconds."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def close(self) -> None:
        """Close it, also for those who have copies, such as processes that were forked."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def introduced(self, *, waits: bool) -> None:
        """It is known now who is at the other end; whether to wait for what they say."""
        self.longest = None
        self._socket.settimeout(None if waits else 0)

    def _whole(self) -> bytes | None:
        held = self._bytes
        if len(held) < HEAD.size:
            return None
        end = HEAD.size + HEAD.unpack_from(held)[0]
        if self.longest is not None and end > self.longest:
            raise NotWelcomeError(f"it sends {end:,} bytes before it is known who it is")
        if len(held) < end:
            return None
        with memoryview(held) as view:
            message = bytes(view[HEAD.size : end])
        del held[:end]
        return message

    def _holds_some_back(self) -> bool:
        # What was decrypted and not read, nobody is told of.
        return isinstance(self._socket, ssl.SSLSocket) and bool(self._socket.pending())


def listening(host: str) -> socket.socket:
    """A socket that listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in [*random.sample(PORTS, 100), 0]:
        with suppress(OSError):
            return socket.create_server((host, port), family=family)
    return socket.create_server(("", 0), family=family)  # others call this machine something else


def accepted(listener: socket.socket, key: bytes) -> Line:
    """Wait for somebody who knows the key."""
    while True:
        connection, _ = listener.accept()
        with suppress(NotWelcomeError, EOFError, OSError):
            return answered(connection, key)
        connection.close()


def answered(connection: socket.socket, key: bytes) -> Line:
    """Have somebody prove that they know the key, and prove it to them."""
    until = time.monotonic() + PATIENCE_WITH_STRANGERS
    connection.settimeout(PATIENCE_WITH_STRANGERS)
    line = Line(secured(connection, None), LONGEST_OF_STRANGERS)
    try:
        mine = os.urandom(NONCE)
        line.send_bytes(mine)
        said = line.recv_before(until)
        theirs, claim = said[:NONCE], said[NONCE:]
        require(claim, proof(key, b"desk", mine, theirs))
        line.send_bytes(proof(key, b"worker", theirs, mine))
    except BaseException:
        line.close()
        raise
    line.introduced(waits=True)
    return line


def connected(host: str, port: int, key: bytes) -> Line:
    """Connect to a worker.

    Raises:
        OSError: If it cannot be reached, or does not answer.
        EOFError: If it hangs up.
        NotWelcomeError: If it is somebody else.
    """
    until = time.monotonic() + PATIENCE
    connection = socket.create_connection((host, port), PATIENCE)
    try:
        line = Line(secured(connection, host), LONGEST_OF_STRANGERS)
    except BaseException:
        connection.close()
        raise
    try:
        theirs = line.recv_before(until)
        mine = os.urandom(NONCE)
        line.send_bytes(mine + proof(key, b"desk", theirs, mine))
        require(line.recv_before(until), proof(key, b"worker", mine, theirs))
    except BaseException:
        line.close()
        raise
    line.introduced(waits=False)
    return line


def proof(key: bytes, who: bytes, heard: bytes, said: bytes) -> bytes:
    """What only somebody with the key can say; not to be used twice, nor by the other end."""
    if len(heard) != NONCE or len(said) != NONCE:
        raise NotWelcomeError("it does not say what has to be said first")
    return hmac.digest(key, who + heard + said, "sha256")


def require(claim: bytes, right: bytes) -> None:
    if not hmac.compare_digest(claim, right):
        raise NotWelcomeError("it does not know the key")


def stay_alive(connection: socket.socket) -> None:
    """Notice if the other machine is gone, and let no message wait for the next one."""
    options = {
        "TCP_NODELAY": 1,
        "TCP_KEEPIDLE": 30,
        "TCP_KEEPINTVL": 10,
        "TCP_KEEPCNT": 6,
    }
    with suppress(OSError):  # it is gone already, which is noticed soon
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
