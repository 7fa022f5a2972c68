"""What arrives, piece by piece, from the process of a limited call.

It says that it sets up its limits, that it calls the function, and then the outcome. Nobody waits
for the end of a message: the sender may die in the middle of it, or be out of time.
"""

from __future__ import annotations

import os
import struct

from amltk.backends.payload import Packed

__all__ = ["CALLING", "OUTCOME", "SETTING_UP", "Mailbox", "send"]

SETTING_UP = b"s"
CALLING = b"c"
OUTCOME = b"o"
"""What a message says; the last one has the packed outcome with it."""

HEADER = struct.Struct("!cQ")
"""What is before each message: which one it is, and how many bytes follow."""


def send(pipe: int, kind: bytes, body: Packed = b"") -> None:
    """Write a message into a pipe."""
    with memoryview(body) as content:
        for part in (HEADER.pack(kind, content.nbytes), content):
            written = 0
            while written < len(part):
                written += os.write(pipe, part[written:])


class Mailbox:
    """Takes what was read from the pipe, and says what has arrived."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._last = b""
        self.outcome: bytes | None = None
        """The packed outcome, once all of it is there."""

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        self._rest += piece
        while len(self._rest) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._rest)
            end = HEADER.size + length
            if len(self._rest) < end:
                return
            if kind == OUTCOME:
                self.outcome = bytes(self._rest[HEADER.size : end])
            self._last = kind
            del self._rest[:end]

    @property
    def has_begun(self) -> bool:
        """Whether the process has come to what it is to do."""
        return bool(self._last)

    @property
    def is_setting_up(self) -> bool:
        """Whether it has its limits, or is about to, and has not called the function."""
        return self._last == SETTING_UP
