"""The future of a call on Ray: it can be cancelled also while the call is running."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from typing_extensions import TypeVar, override

__all__ = ["RayFuture"]

R = TypeVar("R", default=Any)


class RayFuture(Future[R]):
    """A future whose call can be stopped while it runs.

    For `Future` it stays pending until it is done, since it refuses to cancel what is running.

    Args:
        function: What is called.
        stop: Called when the future is cancelled while the call is running; returns at once.
    """

    def __init__(self, function: Callable[..., R], stop: Callable[[RayFuture[R]], object]) -> None:
        super().__init__()
        self.function: Callable[..., R] = function
        self._stop = stop
        self._begun = False
        self._settled = False
        self._lock = threading.Lock()

    def begin(self) -> bool:
        """Say that a worker computes the call now; whether it may, or was cancelled."""
        with self._lock:
            self._begun = not self._settled
            return self._begun

    @override
    def running(self) -> bool:
        """Whether a worker is computing the call."""
        return self._begun and not self.done()

    @override
    def cancel(self) -> bool:
        """Cancel the call. If it is running, its worker is ended with all that it has started.

        Returns:
            Whether it is cancelled; if not, it is done.
        """
        if not self._may_settle():
            return self.cancelled()
        super().cancel()
        self.set_running_or_notify_cancel()
        if self._begun:
            self._stop(self)
        return True

    def settle(self, error: BaseException | None, result: R) -> None:
        """Give it its outcome, unless it has been cancelled."""
        if not self._may_settle():
            return
        self.set_running_or_notify_cancel()
        if error is None:
            self.set_result(result)
        else:
            self.set_exception(error)

    def _may_settle(self) -> bool:
        # There is one outcome: whoever comes first says which.
        with self._lock:
            first, self._settled = not self._settled, True
            return first
