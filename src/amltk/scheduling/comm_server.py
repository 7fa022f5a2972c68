"""The thread that listens for calls: it accepts connections, and reads and writes on them.

It unpickles nothing and calls nobody of the user. What it reads it passes on, a burst at a time.
Strangers, who have not yet proved that they know the key, can neither say much nor stay long.
"""

from __future__ import annotations

import os
import secrets
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Protocol

from amltk.scheduling.comm_line import AT_ONCE, SocketLine
from amltk.scheduling.comm_talk import ENDED, Talk
from amltk.scheduling.comm_wire import GOODBYE, PROOF, Frame, NotWelcomeError

__all__ = ["CommServer", "Ears"]

PATIENCE = 10.0
"""Seconds that somebody has to prove that they know the key."""

STRANGERS = 256
"""How many may be about to do so at a time; if there are more, the first has to go."""

HIGH, LOW = 1 << 20, 1 << 18
"""Bytes of a line that are not heard yet: with more than `HIGH` no more are read, so that who
talks too fast has to wait; until there are less than `LOW`."""

READS = 16
"""How often one line is read before others get their turn."""

WAITING = 1024
"""How many connections the system keeps that were not yet accepted."""

OVER = (
    "The scheduler does not listen to this call any more: it has said goodbye, was cancelled, or is "
    "computed although its run is over."
)

BREATHER = 0.05
"""Seconds to wait when there are too many open files to let somebody in."""


class Ears(Protocol):
    """Who hears what is said; these are called in the thread of the server."""

    def admit(self, identifier: str, /) -> Talk | None:
        """The talk that a line with this identifier belongs to; `None` if it is over."""
        ...

    def heard(self, line: SocketLine, talk: Talk, frames: list[Frame], size: int, /) -> None:
        """These frames came in, with so many bytes of content."""
        ...

    def failed(self, error: BaseException, /) -> None:
        """The server is no more, and this is why: something in it is wrong."""
        ...


class CommServer:
    """Listens from when it is made until it is closed.

    Args:
        address: The name or address to listen on.
        ears: Who hears what is said.

    Raises:
        OSError: If one cannot listen there.
    """

    def __init__(self, address: str, ears: Ears) -> None:
        self.key: bytes = secrets.token_bytes(PROOF)
        """The secret of the run."""
        self._files = ExitStack()  # all that is open as long as this
        with ExitStack() as undo:
            undo.push(self._files)
            self._open(address)
            undo.pop_all()
        self.port: int = self._listener.getsockname()[1]
        self._ears = ears
        self._lines: dict[Talk, list[SocketLine]] = {}
        self._strangers: dict[SocketLine, float] = {}  # with the time when they have to go
        self._orders: deque[Callable[[], None]] = deque()
        self._closing = False
        self._awake = False
        self._closed = False
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._serve, name="amltk-comm", daemon=True)
        self._thread.start()

    def _open(self, address: str) -> None:
        self._listener = self._files.enter_context(listening(address))
        self._selector = self._files.enter_context(selectors.DefaultSelector())
        self._wake_reader, self._wake_writer = os.pipe()
        self._files.callback(os.close, self._wake_reader)
        self._files.callback(os.close, self._wake_writer)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._woken)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    # What other threads call.

    def say(self, line: SocketLine, data: bytes) -> None:
        """Send something on a line; returns at once."""
        self._order(partial(self._say, line, data))

    def hang_up(self, talk: Talk) -> None:
        """Close the lines of a talk, whatever is being said there."""
        self._order(partial(self._hang_up, talk))

    def finish(self, talk: Talk) -> None:
        """Read what there is on the lines of a talk, and end them."""
        self._order(partial(self._finish, talk))

    def was_heard(self, line: SocketLine, size: int) -> None:
        """So many bytes of a line were heard: there is room for more."""
        line.n_heard += size
        if line.is_paused and line.n_unheard < LOW:
            self._order(partial(self._see_to, line))

    def close(self) -> None:
        """Hang up on everybody and stop listening; returns when nothing is left."""
        self._closing = True
        self._wake()
        self._thread.join()

    def _order(self, order: Callable[[], None]) -> None:
        self._orders.append(order)
        if not self._awake:
            self._wake()

    def _wake(self) -> None:
        with self._lock:
            if not self._awake and not self._closed:
                self._awake = True
                os.write(self._wake_writer, b".")

    # What happens in the thread.

    def _serve(self) -> None:
        try:
            while not self._closing:
                for key, mask in self._selector.select(self._seconds_to_sleep()):
                    key.data(mask)
                while self._orders:
                    self._orders.popleft()()
                self._send_away_who_says_nothing()
        except BaseException as error:  # noqa: BLE001
            self._ears.failed(error)
        finally:
            self._close()

    def _woken(self, _: int) -> None:
        os.read(self._wake_reader, 1)
        self._awake = False  # before orders are looked at: who adds one later wakes us again

    def _seconds_to_sleep(self) -> float | None:
        if not self._strangers:
            return None
        return max(0.0, next(iter(self._strangers.values())) - time.monotonic())

    def _accept(self, _: int) -> None:
        try:
            connection, _address = self._listener.accept()
        except BlockingIOError:
            return
        except OSError:  # they have gone already; or too many files are open, and they stay there
            time.sleep(BREATHER)
            return
        line = SocketLine(connection, self.key, self.say)
        self._strangers[line] = time.monotonic() + PATIENCE
        line.send()
        self._see_to(line)
        if len(self._strangers) > STRANGERS:
            self._drop(next(iter(self._strangers)))

    def _send_away_who_says_nothing(self) -> None:
        now = time.monotonic()
        while self._strangers and next(iter(self._strangers.values())) <= now:
            self._drop(next(iter(self._strangers)))

    def _ready(self, line: SocketLine, mask: int) -> None:
        if line.is_closed:
            return  # since it became ready
        if mask & selectors.EVENT_WRITE:
            line.send()
        if mask & selectors.EVENT_READ:
            self._read(line)
        self._see_to(line)

    def _see_to(self, line: SocketLine) -> None:
        """Wait for what can be done with a line."""
        if line.is_closed:
            return
        if line.is_paused and line.n_unheard < LOW:
            line.is_paused = False
        read = 0 if line.is_paused else selectors.EVENT_READ
        events = read | (selectors.EVENT_WRITE if line.has_to_send else 0)
        if not line.events and events:
            self._selector.register(line.socket, events, partial(self._ready, line))
        elif line.events and not events:
            self._selector.unregister(line.socket)
        elif line.events != events:
            self._selector.modify(line.socket, events, partial(self._ready, line))
        line.events = events

    def _read(self, line: SocketLine) -> None:
        for _ in range(READS):
            try:
                received = line.read()
            except BlockingIOError:
                return
            except NotWelcomeError:
                self._drop(line)
                return
            if received is None:
                self._end(line)
                return
            n_bytes, frames = received
            self._take(line, n_bytes, frames)
            if line.is_closed or line.is_paused or n_bytes < AT_ONCE:
                return

    def _take(self, line: SocketLine, n_bytes: int, frames: list[Frame]) -> None:
        if line.talk is None and frames:
            self._meet(line, *frames.pop(0))
        if line.talk is None:
            return
        line.talk.n_bytes += n_bytes
        if frames:
            self._pass_on(line, line.talk, frames)
            if frames[-1][0] == GOODBYE:
                self._end(line)

    def _meet(self, line: SocketLine, kind: int, content: bytearray) -> None:
        try:
            talk = self._ears.admit(line.doorway.hear(kind, content))
        except (NotWelcomeError, UnicodeDecodeError):
            self._drop(line)
            return
        if talk is None:
            line.add(line.doorway.refusal(OVER))
            line.send()
            self._drop(line)
            return
        del self._strangers[line]
        self._lines.setdefault(talk, []).append(line)
        line.talk = talk
        line.frames.longest = None
        line.add(line.doorway.welcome())
        line.send()

    def _pass_on(self, line: SocketLine, talk: Talk, frames: list[Frame]) -> None:
        size = sum(len(content) for _, content in frames)
        talk.n_read += len(frames)
        line.n_read += size
        self._ears.heard(line, talk, frames, size)
        if line.n_unheard > HIGH:
            line.is_paused = True  # and then `_see_to` looks again whether that is so

    def _end(self, line: SocketLine) -> None:
        """Nothing more comes on this line."""
        self._drop(line)
        if line.talk is not None:
            self._pass_on(line, line.talk, [(ENDED, bytearray())])

    def _drop(self, line: SocketLine) -> None:
        self._strangers.pop(line, None)
        if line.talk is not None and line in self._lines.get(line.talk, ()):
            self._lines[line.talk].remove(line)
        if line.events:
            self._selector.unregister(line.socket)
            line.events = 0
        line.close()

    def _say(self, line: SocketLine, data: bytes) -> None:
        if not line.is_closed:
            line.add(data)
            line.send()
            self._see_to(line)

    def _hang_up(self, talk: Talk) -> None:
        for line in tuple(self._lines.pop(talk, ())):
            self._drop(line)

    def _finish(self, talk: Talk) -> None:
        for line in tuple(self._lines.get(talk, ())):
            while not line.is_closed:
                before = talk.n_bytes
                self._read(line)
                if talk.n_bytes == before:
                    self._end(line)

    def _close(self) -> None:
        for line in (*self._strangers, *(line for talk in self._lines.values() for line in talk)):
            line.close()
        with suppress(OSError):  # for processes that were forked, and have copies
            self._listener.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._closed = True
            self._files.close()


def listening(address: str) -> socket.socket:
    """A socket that listens on an address, on any port that is free."""
    found = socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, place = found[0]
    listener = socket.create_server((str(place[0]), 0), family=family, backlog=WAITING)
    listener.settimeout(0)
    return listener
