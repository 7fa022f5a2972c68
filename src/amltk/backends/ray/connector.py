"""Connecting to workers, in threads of its own: some cannot be reached, which takes a while."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue

from amltk.backends.ray.line import Line, connected
from amltk.backends.ray.worker import Place

__all__ = ["Connector"]

AT_ONCE = 4
"""Connections that are made at a time."""


class Connector:
    """Makes connections, until it is closed.

    Its threads are there from the beginning: when Python exits, calls may be left to compute, but
    no thread can be started any more, and no pool of threads takes anything.
    """

    def __init__(self) -> None:
        self._wanted: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._not_taken: set[Future[Line]] = set()
        name = "amltk-ray-connector"
        self._threads = [
            threading.Thread(target=self._run, name=name, daemon=True) for _ in range(AT_ONCE)
        ]
        for thread in self._threads:
            thread.start()

    def connect(self, place: Place, key: bytes, heard: Callable[[Future[Line]], object]) -> None:
        """Have somebody hear when a worker can be talked to, or cannot."""
        future: Future[Line] = Future()
        self._not_taken.add(future)
        future.add_done_callback(heard)

        def connect() -> None:
            try:
                future.set_result(connected(place.host, place.port, key))
            except Exception as error:  # noqa: BLE001
                future.set_exception(error)

        self._wanted.put(connect)

    def take(self, future: Future[Line]) -> Line:
        """The connection that somebody has heard of.

        Raises:
            OSError, EOFError, NotWelcomeError: If there is none.
        """
        self._not_taken.discard(future)
        return future.result()

    def close(self) -> None:
        """Close the connections that nobody has taken; returns when no more are made."""
        for _ in self._threads:
            self._wanted.put(None)
        for thread in self._threads:
            thread.join()
        while self._not_taken:
            with suppress(Exception):
                self.take(next(iter(self._not_taken))).close()

    def _run(self) -> None:
        while (connect := self._wanted.get()) is not None:
            connect()
