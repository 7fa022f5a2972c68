"""Setting limits, by way of pynisher, for the process that this is."""

from __future__ import annotations

import math
import resource
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from multiprocessing import Pipe
from typing import TYPE_CHECKING

from amltk.backends.base import needs
from amltk.exceptions import MemoryLimitException, PluginNotInstalledError

if TYPE_CHECKING:
    from pynisher.limiters import Limiter

__all__ = ["limit_cpu_time", "limiter", "memory_limited"]

INTERVAL = 5
"""Seconds of CPU time from when the system asks a process to end to when it makes it."""


@cache
def limiter() -> Limiter:
    """What pynisher has for this system.

    Raises:
        BackendNotInstalledError: If pynisher is not installed.
    """
    with needs("pynisher", extra="pynisher", what="PynisherPlugin", raises=PluginNotInstalledError):
        from pynisher.limiters import Limiter  # noqa: PLC0415
    unused, output = Pipe()
    with unused, output:
        return Limiter.create(func=limiter, output=output)  # it is to limit, and to call nothing


def limit_cpu_time(seconds: float) -> None:
    """Have this process end when it has used up so much CPU time from now on.

    What pynisher sets knows whole seconds only, rounded up here. A timer is as exact as the system
    counts, whatever the process does in C; but those that it starts do not inherit it, and somebody
    may put it to another use.
    """
    whole = math.ceil(time.process_time() + seconds)
    soft, hard = (math.inf if n == resource.RLIM_INFINITY else n for n in limits_of_cpu_time())
    if whole < soft:  # or else there is a lower one already
        limiter().limit_cpu_time(whole, interval=int(min(INTERVAL, hard - whole)))
    for number in (signal.SIGPROF, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGPROF, signal.SIGXCPU))
    signal.setitimer(signal.ITIMER_PROF, seconds)


def limits_of_cpu_time() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_CPU)


@contextmanager
def memory_limited(n_bytes: int | None, name: str) -> Generator[None]:
    """In here, have this process get no more address space than this.

    Args:
        n_bytes: The limit; `None` for none.
        name: What the function is called that it is for.

    Raises:
        MemoryLimitException: If it has as much already.
    """
    if n_bytes is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    require_room(n_bytes, name)
    limiter().limit_memory(
        n_bytes if before[0] == resource.RLIM_INFINITY else min(n_bytes, before[0])
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def require_room(n_bytes: int, name: str) -> None:
    from pynisher.util import Monitor  # noqa: PLC0415

    used = int(Monitor().memory("B"))
    if n_bytes <= used:
        raise MemoryLimitException(
            f"The `memory_limit` of {name}() is {n_bytes:,} bytes, and its process has {used:,} "
            "bytes of address space before it does anything: the interpreter, and all that is "
            "loaded into it. Give it clearly more than that."
        )
