"""How much CPU time a process has used together with all that descend from it.

The system limits each process by itself, and one that starts others again and again would never be
at its end. So somebody else adds up, and looks again no sooner than all cores together could use up
what is left.
"""

from __future__ import annotations

import os
from contextlib import suppress

import psutil

__all__ = ["CpuMeter", "cpu_time_of"]

SHORTEST = 0.1
"""Seconds between two looks, at least: each goes through all processes of the system."""

ROUNDED_OFF = 0.02
"""Seconds by which two figures of the system may say too much: it counts hundredths of user time and
of system time. A process alone has its exact end from a timer."""


class CpuMeter:
    """Adds up from when it is made.

    Args:
        pid: The process.
        bound: Seconds of CPU time that it may use from now on, with all that descend from it.
    """

    def __init__(self, pid: int, bound: float) -> None:
        self._pid = pid
        self._most = cpu_time_of(pid) + bound + ROUNDED_OFF
        self._next_look = 0.0

    def pause(self, now: float) -> float:
        """Seconds until the next look; nothing is left if it is none.

        Args:
            now: The time, on the monotonic clock.
        """
        if now >= self._next_look:
            left = self._most - cpu_time_of(self._pid)
            if left <= 0:
                return 0.0
            self._next_look = now + max(SHORTEST, left / (os.cpu_count() or 1))
        return self._next_look - now


def cpu_time_of(pid: int) -> float:
    """Seconds that a process and those that descend from it have used.

    Of those that have ended, what their parents have been told of; nothing if there is no such
    process.
    """
    used = 0.0
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        # Parents come first: what a child has used is told its parent when it has ended, and would
        # count twice otherwise.
        for each in (process, *process.children(recursive=True)):
            used += own_cpu_time_of(each)
    return used


def own_cpu_time_of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system
