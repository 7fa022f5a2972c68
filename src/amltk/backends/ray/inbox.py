"""What a thread is to do next: others have put it here, or a line has something to hear."""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from collections.abc import Callable, Iterator

from amltk.backends.ray.line import Line

__all__ = ["Inbox"]


class Inbox:
    """Messages for one thread, which are functions that it calls."""

    def __init__(self) -> None:
        self._messages: deque[Callable[[], object]] = deque()
        self._is_awake = False
        self._is_closed = False
        self._lock = threading.RLock()  # a signal handler may put something, too
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe()
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._hears: dict[Line | None, Callable[[], object]] = {None: self._woken}

    def put(self, message: Callable[[], object]) -> None:
        """Have it called soon; may be called from any thread."""
        self._messages.append(message)
        if not self._is_awake:
            self._wake()

    def listen(self, line: Line, hear: Callable[[], object]) -> None:
        """Have something called whenever a line has something to hear."""
        self._hears[line] = hear
        self._selector.register(line, selectors.EVENT_READ, line)

    def send(self, line: Line, message: bytes) -> None:
        """Send something on a line that is listened to, as fast as it is taken."""
        line.send(message)
        if line.has_to_send:
            self._selector.modify(line, selectors.EVENT_READ | selectors.EVENT_WRITE, line)

    def forget(self, line: Line) -> None:
        """Listen to it no more."""
        self._selector.unregister(line)
        del self._hears[line]

    def next(self, timeout: float) -> Iterator[Callable[[], object]]:
        """Wait for what is to be called next, so many seconds at most."""
        for key, events in self._selector.select(timeout):
            hear = self._hears.get(key.data)
            if hear is None:
                continue  # it was just forgotten
            if events & selectors.EVENT_WRITE:
                self._send_more(key.data)
            if events & selectors.EVENT_READ:
                yield hear
        while self._messages:
            yield self._messages.popleft()

    def close(self) -> None:
        """Take nothing more, and let go of what is open."""
        with self._lock:
            self._is_closed = True
            self._selector.close()
            os.close(self._wake_reader)
            os.close(self._wake_writer)

    def _send_more(self, line: Line) -> None:
        line.flush()
        if not line.has_to_send:
            self._selector.modify(line, selectors.EVENT_READ, line)

    def _wake(self) -> None:
        with self._lock:
            if not self._is_awake and not self._is_closed:
                self._is_awake = True
                os.write(self._wake_writer, b".")

    def _woken(self) -> None:
        os.read(self._wake_reader, 1)
        self._is_awake = False  # before messages are looked at: who adds one later wakes us again
