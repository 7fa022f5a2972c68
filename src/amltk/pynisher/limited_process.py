"""The process that a limited call runs in, as whoever waits for it sees it.

    call_within() ══ order ══▶ live()      a process of its own, in a session of its own
          ▲                      │
          └──── outcome ═════════┘         or its death, or the end of its time

Whatever comes first, in the end the process is gone, and all that it has started with it. It is
ended here, and not by pynisher, which lets five seconds pass and leaves other signal handlers behind
than it has found. The limits themselves are pynisher's.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from multiprocessing import forkserver, get_context, process
from multiprocessing.connection import Connection, wait
from typing import Any

from amltk.backends.abandoned import ended_when_abandoned
from amltk.backends.base import needs
from amltk.backends.payload import pack_call, unpack_outcome
from amltk.backends.process_trees import end_processes
from amltk.backends.start_method import ProcessContext, StartMethod, context_for
from amltk.backends.worker_process import death_of, how_it_ended, start
from amltk.callbacks import name_of
from amltk.exceptions import (
    CpuTimeoutException,
    MemoryLimitException,
    WallTimeoutException,
    WorkerLostError,
)
from amltk.pynisher.inside import Order, live
from amltk.pynisher.limits import Bounds
from amltk.pynisher.mailbox import Mailbox
from amltk.pynisher.packing import dumps
from amltk.scheduling.interrupts import CALLS_USER_CODE

__all__ = ["call_within"]

GRACE = 0.1
"""Seconds between asking those who have had their time to end and making them."""

FAREWELL = 0.3
"""Seconds that a process may take to end by itself after its call has."""

EXIT_CODE = 1.0
"""Seconds that the exit code of a process that is gone may take to arrive."""

PIECE = 1 << 20
"""Bytes that are read at once, at most."""

LOOK = 3600.0
"""Seconds that are waited at once: the system cannot wait for weeks."""

OUT_OF_CPU_TIME = (signal.SIGPROF, signal.SIGXCPU)
OUT_OF_MEMORY = (signal.SIGSEGV, signal.SIGABRT)
"""What code dies of that does not look whether it got the memory it asked for."""


def call_within(
    bounds: Bounds,
    method: StartMethod | None,
    function: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> Any:
    """Call a function in a process of its own; returns or raises what it did, or what it hit."""
    with needs("pynisher", extra="pynisher"):
        import_module("pynisher.limiters")  # here, where every process that is forked has it
    context = context_here(method)
    begun = time.monotonic()
    call = function, args, kwargs
    # A forked process has a copy of everything.
    sent = call if context.get_start_method() == "fork" else bytes(pack_call(*call, dumps))
    limited = LimitedProcess(Order(name_of(function), sent, bounds), context)
    try:
        with ended_when_abandoned(limited.pid):
            packed = limited.outcome(begun)
    finally:
        limited.end()
    if packed is None:
        raise limited.why_it_died()
    error, result = unpack_outcome(packed)
    if error is not None:
        raise error
    return result


def context_here(method: StartMethod | None) -> ProcessContext:
    """How processes are started in this one, which may be a worker."""
    context = context_for(method)
    if context.get_start_method() == "forkserver":
        try:
            forkserver.ensure_running()  # before the time of the call counts
        except ChildProcessError:
            # It runs, but for the process that this one was forked from. Python sees no difference.
            return get_context("spawn")
    return context


class LimitedProcess:
    """A process with one call to make.

    Args:
        order: What to do in it.
        context: How to start it.
    """

    def __init__(self, order: Order, context: ProcessContext) -> None:
        self._order = order
        self._method = context.get_start_method()
        with starting:
            reader, writer = context.Pipe(duplex=False)
            self._process = context.Process(target=live, args=(writer, order), daemon=True)
            start_here(self._process, self._method)
            writer.close()
        self._reader: Connection = reader
        self._mailbox = Mailbox()
        self.pid: int = pid_of(self._process)
        self._death, self._owns_death = death_of(self.pid, self._process.sentinel)
        self._exitcode: int | None = None

    def outcome(self, begun: float) -> bytes | None:
        """Wait for what comes of the call, packed; `None` if the process dies before.

        Raises:
            WallTimeoutException: If it takes too long since `begun`, on the monotonic clock.
        """
        seconds = self._order.bounds.wall_time
        until = None if seconds is None else begun + seconds
        watched = [self._reader.fileno(), self._death]
        while self._mailbox.outcome is None:
            left = LOOK if until is None else until - time.monotonic()
            if left <= 0:
                raise WallTimeoutException(
                    f"{self._order.name}() was ended, since it did not end within its "
                    f"`wall_time_limit` of {seconds:g} s. Give it more time, or less to do."
                )
            ready = wait(watched, min(left, LOOK))
            if ready == [self._death]:
                return None
            if ready and not self._read():
                watched = [self._death]
        return self._mailbox.outcome

    def _read(self) -> bool:
        piece = os.read(self._reader.fileno(), PIECE)
        self._mailbox.add(piece)
        return bool(piece)  # or else there will be no more

    def end(self) -> None:
        """See to it that the process and all that it has started are gone."""
        patience = 0.0 if self._mailbox.outcome is None else FAREWELL
        if not wait([self._death], patience):
            end_processes([self.pid], grace=GRACE)
        # Those whose parent is gone already are not found as its children; they are of its group,
        # whose number nobody else can have before its exit code is taken.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._exitcode = exitcode_of(self._process)
        self._reader.close()
        if self._owns_death:
            os.close(self._death)
        with suppress(ValueError):  # its exit code was taken by somebody else in this program
            self._process.close()

    def why_it_died(self) -> Exception:
        """What to say of a process that ended before its call did."""
        name, bounds, how = self._order.name, self._order.bounds, how_it_ended(self._exitcode)
        by = -(self._exitcode or 0)
        if bounds.cpu_time is not None and by in OUT_OF_CPU_TIME:
            return CpuTimeoutException(
                f"{name}() was ended, since it has used up its `cpu_time_limit` of "
                f"{bounds.cpu_time:g} s. Give it more time, or less to do."
            )
        if bounds.memory is not None and (by in OUT_OF_MEMORY or self._mailbox.is_setting_up):
            return MemoryLimitException(
                f"The process of {name}() died ({how}) with a `memory_limit` of {bounds.memory:,} "
                "bytes. Programs do so that cannot go on without the memory that they ask for. "
                "Give it more; if it dies nevertheless, this was not the reason."
            )
        return WorkerLostError(
            f"The limited process {self.pid} of {name}() died ({how}) before the call had an "
            f"outcome. {self._hint()}"
        )

    def _hint(self) -> str:
        if self._mailbox.has_begun or self._method == "fork":
            return "This call is lost and was not started again; others are not affected."
        return (
            "It had not begun: with the start methods 'spawn' and 'forkserver' the program has to "
            'keep what it runs under `if __name__ == "__main__":`, since the process imports it.'
        )


# Ctrl-C in a call that runs in the thread of the run interrupts it there.
CALLS_USER_CODE.add(LimitedProcess.outcome.__code__)

# Threads start processes one after the other: none is forked with the pipes of another one, and
# what belongs to all threads is changed by one of them at a time.
starting = threading.Lock()


def make_starting_possible() -> None:
    """In a process that was forked while a thread had the lock, which is not there any more."""
    global starting  # noqa: PLW0603
    starting = threading.Lock()


os.register_at_fork(after_in_child=make_starting_possible)


def start_here(limited: process.BaseProcess, method: str) -> None:
    """Start a process, even where the worker that this one is must not have any, says Python.

    It fears for them because nobody would end them. Ours end with it.
    """
    this = process.current_process()
    was = this.daemon
    if was:
        this.daemon = False
    try:
        start(limited, method)
    finally:
        if was:
            this.daemon = was


def pid_of(limited: process.BaseProcess) -> int:
    if limited.pid is None:
        raise ValueError(f"{limited!r} has not been started.")
    return limited.pid


def exitcode_of(limited: process.BaseProcess) -> int | None:
    """How a process that is gone has ended."""
    until = time.monotonic() + EXIT_CODE
    # Another thread that starts a process collects all exit codes, and may have it already without
    # having written it down.
    while (code := limited.exitcode) is None and time.monotonic() < until:
        time.sleep(0.001)
    return code
