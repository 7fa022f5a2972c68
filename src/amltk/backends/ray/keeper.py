"""A thread that connects to Ray, and stays for as long as Ray is used.

Linux ends the processes of a local Ray as soon as the thread ends that has started them. And in the
main thread, Ray would take over what SIGTERM does.
"""

from __future__ import annotations

import atexit
import threading
from contextlib import suppress

from amltk.backends.ray.connecting import Connection
from amltk.exceptions import BackendUnavailableError

__all__ = ["Keeper"]

GLANCE = 1.0
"""Seconds between two looks at whether Ray is still alive."""


class Keeper:
    """Connects to Ray, and disconnects when it is told to, or when Ray has died.

    Args:
        connection: How to connect.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._error: BaseException | None = None
        self._has_tried = threading.Event()
        self._to_leave = threading.Event()
        self._thread = threading.Thread(target=self._run, name="amltk-ray-keeper", daemon=True)
        atexit.register(self.close)
        self._thread.start()

    def wait_for_ray(self, timeout: float) -> None:
        """Return when Ray can be used. If this does not wait until then, Ray is left when it can.

        Raises:
            BackendUnavailableError: If it cannot be used, or not within so many seconds.
        """
        try:
            in_time = self._has_tried.wait(timeout)
        except BaseException:  # Ctrl-C
            self.leave()
            raise
        if not in_time:
            self.leave()
            raise BackendUnavailableError(
                f"Ray did not get ready within {timeout:g} seconds. If this machine is that busy, "
                "give it more: timeout=..."
            )
        if self._error is not None:
            raise BackendUnavailableError(f"Ray cannot be used: {self._error}") from self._error

    def is_there(self) -> bool:
        """Whether Ray can be used."""
        return self._thread.is_alive() and not self._to_leave.is_set()

    def leave(self) -> None:
        """Have it disconnect."""
        self._to_leave.set()

    def close(self) -> None:
        """Disconnect; returns when that is done."""
        self.leave()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._connection.connect()
        except BaseException as error:  # noqa: BLE001
            self._error = error
            self._to_leave.set()
        self._has_tried.set()
        while not self._to_leave.wait(GLANCE) and self._connection.is_alive():
            continue
        self._to_leave.set()
        with suppress(Exception):
            self._connection.disconnect()
        atexit.unregister(self.close)
