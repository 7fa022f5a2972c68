"""What comes back on a connection, and the threads that wait for it: one of them reads, for all.

    its reply is there ────────────────────────────────────────────────────▶ it goes on
    somebody reads ─────── it waits until its reply is there, or the turn is free
    nobody reads ───────── it takes the turn, reads, and hands out what comes

Whoever has the turn keeps it until its own reply is there, its time is up, or it is interrupted; then
one of the others takes it. There are no sockets here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import overload

from amltk.exceptions import CommClosedError
from amltk.scheduling.comm_wire import NUMBER, Frame

__all__ = ["LONGEST", "Replies", "seconds_left"]

LONGEST = 86400.0
"""Seconds to wait at a time: the system cannot count for ever."""

TORN = (
    "Reading an answer was interrupted, and nobody knows where the next one begins. Nothing can be "
    "asked any more."
)


class Replies:
    """Replies to the requests of all threads of a call, each for who waits for it.

    Args:
        is_there: Waits so many seconds, without end if `None`, until there is something to read.
        read: Reads what is there; returns the frames that it completes. Raises a `CommClosedError`
            if nothing more is going to come.
    """

    def __init__(
        self, is_there: Callable[[float | None], bool], read: Callable[[], list[Frame]]
    ) -> None:
        self.n_unanswered: int = 0
        """Requests whose replies may still come, though maybe nobody waits for them any more."""
        self._is_there = is_there
        self._read = read
        self._replies: dict[bytes | None, Frame | None] = {}  # to what is waited for, by its number
        self._reader: object | None = None
        self._why_over: str | None = None
        # To enter a condition can be interrupted when it has its lock; to enter a lock cannot.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)

    def expect(self, number: bytes) -> None:
        """A request with this number is about to be sent; afterwards, `wait` for its reply."""
        with self._lock:
            self.n_unanswered += 1
            self._replies[number] = None

    def wait(self, number: bytes | None, until: float | None) -> Frame | None:
        """What the reply is; `None` if it has not come in time.

        Args:
            number: Which request it is about. `None` for none: then this reads what others have
                left, for as long as something can come.
            until: When the time is up, on the monotonic clock; if that is past, what is there
                already is still read. `None` for no end.

        Raises:
            CommClosedError: If nothing more is going to come.
        """
        me = object()
        try:
            while self._has_turn(me, number, until):
                left = seconds_left(until)
                if self._is_there(left):
                    self._hand_out()
                if left == 0:
                    break
            return self._replies.get(number)
        finally:
            self._leave(me, number)

    def end(self, why: str) -> None:
        """Nothing more is going to come: nobody waits any more. The first reason is the one."""
        with self._lock:
            self._why_over = self._why_over or why
            self._changed.notify_all()

    def _has_turn(self, me: object, number: bytes | None, until: float | None) -> bool:
        """Wait for the turn to read, for as long as there is no reply and it is not too late."""
        with self._lock:
            while self._replies.get(number) is None:
                if self._why_over is not None:
                    raise CommClosedError(self._why_over)
                if self._reader is None or self._reader is me:
                    self._reader = me
                    return True
                left = seconds_left(until)
                if left == 0:
                    return False
                self._changed.wait(LONGEST if left is None else min(left, LONGEST))
            return False

    def _hand_out(self) -> None:
        try:
            frames = self._read()
            with self._lock:
                for kind, content in frames:
                    self._reply(bytes(content[: NUMBER.size]), kind, content[NUMBER.size :])
                self._changed.notify_all()
        except CommClosedError as error:
            self.end(str(error))
            raise
        except BaseException:  # what was read is lost
            self.end(TORN)
            raise

    def _reply(self, number: bytes, kind: int, content: bytearray) -> None:
        self.n_unanswered -= 1
        if number in self._replies:
            self._replies[number] = kind, content

    def _leave(self, me: object, number: bytes | None) -> None:
        with self._lock:
            self._replies.pop(number, None)
            if self._reader is me:
                self._reader = None
                self._changed.notify_all()


@overload
def seconds_left(until: float) -> float: ...
@overload
def seconds_left(until: float | None) -> float | None: ...
def seconds_left(until: float | None) -> float | None:
    """Seconds until then on the monotonic clock, 0 if it is past; `None` for no end."""
    return None if until is None else max(0.0, until - time.monotonic())
