"""A future whose call can be cancelled while it is computed, by somebody who can stop that."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future

from typing_extensions import TypeVar, override

__all__ = ["StoppableFuture"]

R = TypeVar("R")

PENDING, RUNNING, CANCELLED = "PENDING", "RUNNING", "CANCELLED"
"""What the base class calls the states of a future."""


class StoppableFuture(Future[R]):
    """A future that `cancel` ends at once, also while its call is being computed.

    Args:
        stop: Called after a cancellation, to end the computation; it must not wait for that.
    """

    def __init__(self, stop: Callable[[], object]) -> None:
        super().__init__()
        self._stop = stop

    @override
    def cancel(self) -> bool:
        """Cancel the call, whether somebody is computing it or not.

        Returns:
            Whether it is cancelled; not if it was done already.
        """
        with self._condition:
            if self._state == RUNNING:
                self._state = PENDING  # which is what the base class cancels
        if not super().cancel():
            return False
        with self._condition:
            if self._state == CANCELLED:  # we are the first here: tell those who wait for it
                self.set_running_or_notify_cancel()
        self._stop()
        return True

    def begin(self) -> bool:
        """Mark the call as being computed, and say whether somebody still wants that."""
        with self._condition:
            return self._state == PENDING and self.set_running_or_notify_cancel()
