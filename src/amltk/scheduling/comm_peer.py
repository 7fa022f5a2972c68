"""The call's end of a connection to its scheduler."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from contextlib import ExitStack, suppress
from itertools import count

from amltk.exceptions import CommClosedError, CommTimeoutError
from amltk.scheduling.comm_replies import LONGEST, Replies, seconds_left
from amltk.scheduling.comm_wire import (
    ANSWER,
    FAILURE,
    GOODBYE,
    MESSAGE,
    NONCE,
    NUMBER,
    REQUEST,
    Approach,
    Frame,
    Frames,
    Invitation,
    NotWelcomeError,
    failed,
    frame,
)

__all__ = ["Peer", "stay_alive"]

CONNECTING = 30.0
"""Seconds until the scheduler has to have accepted a connection."""

LEAVING = 5.0
"""Seconds that answers which nobody waits for any more may take to arrive, when a call leaves."""

AT_ONCE = 1 << 16
"""Bytes that are read at a time."""

GONE = (
    "The scheduler does not listen any more: its run is over, or it has given up this call. "
    "Nothing can be sent to it."
)

CLOSED = "This Comm was closed, and nothing can be said any more."


class Peer:
    """A connection that a call sends messages on, and asks. Several threads may use it.

    What has been sent is in the hands of the operating system when `send` returns, so it arrives
    also if this process is killed right then.

    Args:
        invitation: Where to connect to.

    Raises:
        CommClosedError: If nobody is there, or it is not the scheduler.
    """

    def __init__(self, invitation: Invitation) -> None:
        self._frames = Frames()
        self._numbers = count()
        self._replies = Replies(self._is_there, self._read)
        self._open = True
        self._why_over = GONE
        self._process = os.getpid()
        self._writing = threading.Lock()
        self._socket = connected(invitation)
        with ExitStack() as undo:
            undo.callback(self._socket.close)
            self._introduce(invitation)
            undo.pop_all()

    @property
    def is_here(self) -> bool:
        """Whether the connection is that of this process; one that was forked has but a copy."""
        return self._process == os.getpid()

    def send(self, content: bytes) -> None:
        """Send a message.

        Raises:
            CommClosedError: If the scheduler has closed the connection.
        """
        if self._replies.n_unanswered:
            self._replies.wait(None, time.monotonic())
        self._write(frame(MESSAGE, content))

    def ask(self, content: bytes, timeout: float | None) -> bytearray:
        """Send a request and wait for the answer, however long others wait for theirs.

        Args:
            content: The request.
            timeout: Seconds to wait; without end if `None`.

        Raises:
            CommTimeoutError: If no answer came in time.
            CommNotAnsweredError: If nobody is going to answer.
            CommClosedError: If the connection is closed, here or there, or becomes so meanwhile.
            NotPicklableError: If the request cannot be unpickled there, or the answer be pickled.
        """
        until = None if timeout is None else time.monotonic() + timeout
        number = NUMBER.pack(next(self._numbers))
        self._replies.expect(number)
        self._write(frame(REQUEST, number, content))
        reply = self._replies.wait(number, until)
        if reply is None:
            raise CommTimeoutError(f"The request was not answered within {timeout} seconds.")
        return understood(*reply)

    def close(self) -> None:
        """Say goodbye: nothing more is going to be sent. Does nothing if that was said.

        Threads that wait for answers do not get them any more.
        """
        if not self._open:
            return
        self._why_over = CLOSED
        try:
            self._write(frame(GOODBYE), is_last=True)
        except OSError:  # there is nobody to say it to, or somebody else has just said it
            return
        try:
            # A connection that is closed with something unread in it takes back what it sent.
            if self._replies.n_unanswered:
                self._wait_for_the_end()
        finally:
            self._end()

    def _introduce(self, invitation: Invitation) -> None:
        approach = Approach(invitation, os.urandom(NONCE))
        until = time.monotonic() + CONNECTING
        try:
            self._write(approach.hello(*self._next_frame(until)))
            answer = self._next_frame(until)
            approach.hear(*answer)
        except NotWelcomeError as error:
            raise CommClosedError(
                f"What listens at {where(invitation)} is not the scheduler of this call: {error}."
            ) from error
        self._frames.longest = None

    def _next_frame(self, until: float) -> Frame:
        while left := seconds_left(until):
            try:
                received = self._read() if self._is_there(left) else []
            except CommClosedError as error:
                raise NotWelcomeError("it closed the connection") from error
            if received:
                return received[0]
        raise NotWelcomeError(f"it said nothing for {CONNECTING:.0f} seconds")

    def _write(self, data: bytes, *, is_last: bool = False) -> None:
        with self._writing:
            if not self._open:
                raise CommClosedError(self._why_over)
            try:
                self._socket.sendall(data)
            except OSError as error:
                self._end()
                raise CommClosedError(self._why_over) from error
            except BaseException:  # it was interrupted: half a frame may have been sent
                self._end()
                raise
            if is_last:
                self._open = False

    def _is_there(self, seconds: float | None) -> bool:
        """Whether there is something to read, or the end, within so many seconds."""
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
        except ValueError:  # it was closed here
            return True
        return bool(poll.poll(None if seconds is None else min(seconds, LONGEST) * 1000))

    def _read(self) -> list[Frame]:
        try:
            data = self._socket.recv(AT_ONCE)
        except OSError as error:  # it is closed, here or there
            raise CommClosedError(self._why_over) from error
        if not data:
            raise CommClosedError(self._why_over)
        return self._frames.feed(data)

    def _wait_for_the_end(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._replies.wait(None, time.monotonic() + LEAVING)

    def _end(self) -> None:
        self._open = False
        with suppress(OSError):  # it is not connected any more
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
        self._replies.end(self._why_over)
        self._socket.close()


def connected(invitation: Invitation) -> socket.socket:
    """A socket that is connected to the scheduler.

    Raises:
        CommClosedError: If it cannot be reached.
    """
    try:
        made = socket.create_connection((invitation.host, invitation.port), CONNECTING)
    except OSError as error:
        raise CommClosedError(
            f"Cannot reach the scheduler at {where(invitation)}: {error}. If the call runs on "
            "another machine, say under which name that can reach the scheduler's: "
            "Comm.Plugin(host=...). If it does not, the run may be over."
        ) from error
    made.settimeout(None)
    stay_alive(made)
    return made


def stay_alive(connection: socket.socket) -> None:
    """Notice if the machine at the other end is gone, and let no message wait for the next one."""
    with suppress(OSError):  # they have gone already, which is noticed soon
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def where(invitation: Invitation) -> str:
    return f"{invitation.host}:{invitation.port}"


def understood(kind: int, answer: bytearray) -> bytearray:
    """The answer itself.

    Raises:
        CommError: If there is none.
        NotPicklableError: If there cannot be one.
    """
    if kind == FAILURE:
        raise failed(answer)
    if kind != ANSWER:
        raise CommClosedError("The scheduler said something that is no answer.")
    return answer
