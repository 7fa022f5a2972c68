"""Closing executors: when their work is done, or at once with everything they started."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Collection, Mapping
from concurrent.futures import Executor
from typing import Protocol, runtime_checkable

from amltk.backends.abandoned import abandon

__all__ = ["ProcessPool", "Terminable", "can_be_ended", "close_executor", "closed"]

BOOKKEEPING = 2.0
"""Seconds that an executor may take to notice that its workers are gone."""

closed: set[int] = set()
"""The ids of the executors that were closed here, and so cannot be used again."""


@runtime_checkable
class Terminable(Protocol):
    """An executor that can end its workers by itself."""

    def terminate(self) -> None:
        """End the workers and all they started, cancel what is left, and return."""
        ...


@runtime_checkable
class ProcessPool(Protocol):
    """What the process pools of the standard library and of loky have in common."""

    _processes: Mapping[int, object] | None
    """The worker processes, by process id."""
    _executor_manager_thread: threading.Thread | None
    """Ends once all worker processes have."""


def close_executor(executor: Executor, *, at_once: bool) -> None:
    """Shut an executor down.

    Args:
        executor: The executor.
        at_once: End what is being computed, as far as the executor has processes, and wait for
            nothing that cannot be ended; otherwise wait until all of it is done.
    """
    if id(executor) not in closed:
        closed.add(id(executor))
        weakref.finalize(executor, closed.discard, id(executor))
    if not at_once:
        executor.shutdown(wait=True)
    elif isinstance(executor, Terminable):
        executor.terminate()
    else:
        end_pool(executor)


def can_be_ended(executor: Executor) -> bool:
    """Whether what an executor is computing can be ended; not that of threads."""
    return isinstance(executor, Terminable | ProcessPool)


@runtime_checkable
class HasThreads(Protocol):
    """What the thread pool of the standard library is known by."""

    _threads: Collection[threading.Thread]
    """The threads that compute."""


def end_pool(executor: Executor) -> None:
    """End the processes of a pool of the standard library or loky, if it is one.

    If it has threads instead, they are abandoned.
    """
    pids, watcher = workers_and_watcher(executor)
    try:
        executor.shutdown(wait=False, cancel_futures=True)
    except TypeError:  # loky, and who else wrote it before Python 3.9 had this option
        executor.shutdown(wait=False)
    if pids:
        from amltk.backends.process_trees import end_processes  # noqa: PLC0415

        end_processes(pids)
    if isinstance(executor, HasThreads):
        abandon(executor._threads)  # noqa: SLF001
    if watcher is not None:
        watcher.join(BOOKKEEPING)


def workers_and_watcher(executor: object) -> tuple[tuple[int, ...], threading.Thread | None]:
    if not isinstance(executor, ProcessPool):
        return (), None
    return tuple(executor._processes or ()), executor._executor_manager_thread  # noqa: SLF001
