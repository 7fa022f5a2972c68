"""What is to end together with a thread that nobody waits for any more.

Python cannot stop a thread, but what the thread waits for may be a process, and that can be ended.
So a thread says which process that is, and whoever abandons the thread ends it.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from weakref import WeakSet

__all__ = ["abandon", "ended_when_abandoned"]

# No lock: a process may be forked at any moment, and would have a copy of it that nobody releases.
# First the one is written, then the other is read, on both sides, so one of them sees it.
abandoned: WeakSet[threading.Thread] = WeakSet()
awaited: dict[threading.Thread, int] = {}


@contextmanager
def ended_when_abandoned(pid: int) -> Generator[None]:
    """While this thread is in here, that process ends with all it started if it is abandoned."""
    thread = threading.current_thread()
    awaited[thread] = pid
    try:
        if thread in abandoned:
            end([pid])
        yield
    finally:
        del awaited[thread]


def abandon(threads: Iterable[threading.Thread]) -> None:
    """Wait for these threads no more; returns when the processes that they wait for are gone."""
    threads = tuple(threads)
    abandoned.update(threads)
    end([pid for thread in threads if (pid := awaited.get(thread)) is not None])


def end(pids: list[int]) -> None:
    if pids:
        from amltk.backends.process_trees import end_processes  # noqa: PLC0415

        end_processes(pids)
