"""Ending processes, and everything they started, at once.

A process is stopped before its children are looked up, so that it cannot start another one in
between; then all of them are asked to end (SIGTERM), and those that do not are made to. What
knows of processes, psutil, is slow to import, so only those import this who have some.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import psutil

__all__ = ["end_processes"]

GRACE = 0.3
"""Seconds between asking processes to end and making them."""

DYING = 5.0
"""Seconds that processes may take to be gone once they are made to: on a busy machine those with
many threads, or much memory, take longer than one would think."""

GLANCE = 0.002
"""Seconds between two looks at whether they are gone."""


def end_processes(pids: Iterable[int], *, grace: float = GRACE) -> None:
    """End these processes and all that descend from them; returns when they are gone.

    Args:
        pids: The processes.
        grace: Seconds between asking them to end and making them.
    """
    doomed = freeze(pids)
    for process in doomed:
        attempt(process.terminate)
        attempt(process.resume)
    for process in those_left(doomed, seconds=grace):
        attempt(process.kill)
    those_left(doomed, seconds=DYING)


def attempt(step: Callable[[], None]) -> None:
    """Do this to a process; it may be gone already, or belong to somebody else."""
    with suppress(psutil.Error):
        step()


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
    except psutil.Error:
        return False


def freeze(pids: Iterable[int]) -> list[psutil.Process]:
    """Stop processes and all that descend from them, and return them."""
    frozen: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            frozen += freeze_tree(psutil.Process(pid))
    return frozen


def freeze_tree(process: psutil.Process) -> list[psutil.Process]:
    attempt(process.suspend)
    frozen = [process]
    with suppress(psutil.Error):
        for child in process.children():
            frozen += freeze_tree(child)
    return frozen
