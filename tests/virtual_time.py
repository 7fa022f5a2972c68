"""An event loop whose clock moves only when it is told to.

What usually decides how a program with timeouts behaves, how fast the machine is, has no say here:
`run_until_idle` runs what is ready and returns when nothing is, and `advance` makes it later.

The one thing the loop really waits for are threads that were started since it was made, since they
are going to call back.
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable
from typing import Any

from typing_extensions import override

STUCK = 20.0
"""Real seconds after which a thread that has not called back never will."""


class IdleSelector(selectors.DefaultSelector):
    """Tells when the loop would wait, instead of waiting."""

    def __init__(self, on_idle: Callable[[], None]) -> None:
        super().__init__()
        self._on_idle = on_idle
        self._not_ours = set(threading.enumerate())

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Looked at first: a thread that is not there any more has called back before the look.
        threads = set(threading.enumerate()) - self._not_ours
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if not threads:
            self._on_idle()
            return []
        ready = super().select(STUCK)
        if not ready:
            raise RuntimeError(f"Nothing happens any more, and these are still there: {threads}")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Runs until nothing is ready, at a time of its own; collects what asyncio complains about."""

    def __init__(self) -> None:
        super().__init__(IdleSelector(self.stop))
        self.now = 0.0
        """What time it is, in seconds."""
        self.complaints: list[dict[str, Any]] = []
        """What asyncio would have printed."""
        self.set_exception_handler(lambda _, context: self.complaints.append(context))

    @override
    def time(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Make it later; timers that are due run with the next `run_until_idle`."""
        self.now += seconds

    def run_until_idle(self) -> None:
        """Run everything that is ready, and what becomes ready by that."""
        self.run_forever()
