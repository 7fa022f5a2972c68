"""What worker processes make of signals.

Ctrl-C goes to every process of the terminal, but what happens to workers the run decides: they
must not hear it, from their first instruction on. What else a forked worker inherits of signal
handling belongs to the process it was copied from.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from multiprocessing import resource_tracker

__all__ = ["deaf_from_birth", "leave_signals_alone", "start_trackers"]


@contextmanager
def deaf_from_birth() -> Generator[None]:
    """Processes that are started in here get no Ctrl-C before they `leave_signals_alone`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # they inherit this mask
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def start_trackers() -> None:
    """Start what would start with the first worker that is not forked, and undo the mask then."""
    resource_tracker.ensure_running()
    lokys = sys.modules.get("loky.backend.resource_tracker")
    if lokys is not None:
        lokys.ensure_running()


def leave_signals_alone() -> None:
    """What a worker does first: ignore Ctrl-C, and have no handlers but the default ones."""
    signal.set_wakeup_fd(-1)  # it is that of the event loop in the process we were forked from
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
