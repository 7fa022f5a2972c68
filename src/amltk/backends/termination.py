"""Ending worker processes, and everything they started, at once.

A process is stopped before its children are looked up, so that it cannot start another one in
between; then all of them are asked to end (SIGTERM), and those that do not are made to.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import Protocol, runtime_checkable
from weakref import WeakSet

import psutil

__all__ = ["Terminable", "close_executor", "closed", "end_processes"]

GRACE = 0.3
"""Seconds between asking processes to end and making them."""

GLANCE = 0.002
"""Seconds between two looks at whether they are gone."""

BOOKKEEPING = 2.0
"""Seconds that an executor may take to notice that its workers are gone."""

closed: WeakSet[Executor] = WeakSet()
"""The executors that were closed here, and so cannot be used again."""


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
    closed.add(executor)
    if not at_once:
        executor.shutdown(wait=True)
    elif isinstance(executor, Terminable):
        executor.terminate()
    else:
        end_pool(executor)


def end_pool(executor: Executor) -> None:
    """End the processes of a pool of the standard library or loky, if it is one."""
    pids, watcher = workers_and_watcher(executor)
    try:
        executor.shutdown(wait=False, cancel_futures=True)
    except TypeError:  # loky, and who else wrote it before Python 3.9 had this option
        executor.shutdown(wait=False)
    end_processes(pids)
    if watcher is not None:
        watcher.join(BOOKKEEPING)


def workers_and_watcher(executor: object) -> tuple[tuple[int, ...], threading.Thread | None]:
    if not isinstance(executor, ProcessPool):
        return (), None
    return tuple(executor._processes or ()), executor._executor_manager_thread  # noqa: SLF001


def end_processes(pids: Iterable[int]) -> None:
    """End these processes and all that descend from them; returns when they are gone."""
    doomed = freeze(pids)
    for process in doomed:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
            process.resume()
    for process in those_left(doomed, seconds=GRACE):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    those_left(doomed, seconds=GRACE)


def those_left(processes: list[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Wait for processes to be gone, and return those that are not."""
    # Not psutil's own `wait`: it would take the exit codes away from those who own the processes.
    deadline = time.monotonic() + seconds
    while (left := [p for p in processes if is_alive(p)]) and time.monotonic() < deadline:
        time.sleep(GLANCE)
    return left


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def freeze(pids: Iterable[int]) -> list[psutil.Process]:
    """Stop processes and all that descend from them, and return them."""
    frozen: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            frozen += freeze_tree(psutil.Process(pid))
    return frozen


def freeze_tree(process: psutil.Process) -> list[psutil.Process]:
    process.suspend()
    frozen = [process]
    for child in process.children():
        with suppress(psutil.NoSuchProcess):
            frozen += freeze_tree(child)
    return frozen
