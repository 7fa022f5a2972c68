"""Connecting to workers, in threads of its own: some cannot be reached, which takes a while."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from amltk.backends.ray.line import Line, connected
from amltk.backends.ray.worker import Place

__all__ = ["Connector"]

AT_ONCE = 8
"""Connections that are made at a time."""


class Connector:
    """Makes connections, until it is closed."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "amltk-ray-connector")
        self._not_taken: set[Future[Line]] = set()

    def connect(self, place: Place, key: bytes, heard: Callable[[Future[Line]], object]) -> None:
        """Have somebody hear when a worker can be talked to, or cannot."""
        future = self._threads.submit(connected, place.host, place.port, key)
        self._not_taken.add(future)
        future.add_done_callback(heard)

    def take(self, future: Future[Line]) -> Line:
        """The connection that somebody has heard of.

        Raises:
            OSError, EOFError, NotWelcomeError: If there is none.
        """
        self._not_taken.discard(future)
        return future.result()

    def close(self) -> None:
        """Close the connections that nobody has taken; returns when no more are made."""
        self._threads.shutdown(cancel_futures=True)
        while self._not_taken:
            with suppress(Exception):
                self.take(next(iter(self._not_taken))).close()
