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
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from amltk.backends.abandoned import ended_when_abandoned
from amltk.backends.payload import pack_call, unpack_outcome
from amltk.backends.process_trees import end_processes
from amltk.backends.sequential import run_job
from amltk.backends.start_method import ProcessContext, StartMethod
from amltk.backends.worker_process import death_of, how_it_ended
from amltk.callbacks import name_of
from amltk.exceptions import (
    CpuTimeoutException,
    MemoryLimitException,
    WallTimeoutException,
    WorkerLostError,
)
from amltk.pynisher.cpu_meter import CpuMeter
from amltk.pynisher.enforcing import limiter
from amltk.pynisher.inside import Order, live
from amltk.pynisher.limits import Bounds, Limits
from amltk.pynisher.mailbox import Mailbox
from amltk.pynisher.packing import dumps
from amltk.pynisher.starting import context_here, started
from amltk.scheduling import interrupts

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

OUT_OF_CPU_TIME = (-signal.SIGPROF, -signal.SIGXCPU)
"""How a process ends that has used up its CPU time."""

OUT_OF_MEMORY = (-signal.SIGSEGV, -signal.SIGABRT, 1)
"""How one ends whose libraries crash, or leave the program, when they do not get their memory:
OpenBLAS, for one, says so and exits with 1."""


def call_within(
    limits: Limits,
    method: StartMethod | None,
    function: Callable[..., Any],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> Any:
    """Call a function in a process of its own; returns or raises what it did, or what it hit.

    Without any limits there is no process.
    """
    held_back = interrupts.held_back
    bounds = Bounds.of(limits)
    if not bounds.by_kind():
        return run_job(function, args, kwargs)
    limiter()  # loads pynisher here, so that every process that is forked has it
    context = context_here(method)
    begun = time.monotonic()
    call = function, args, kwargs
    # A forked process has a copy of everything.
    sent = call if context.get_start_method() == "fork" else bytes(pack_call(*call, dumps))
    limited = LimitedProcess(Order(name_of(function), sent, bounds), context)
    try:
        with ended_when_abandoned(limited.pid):
            packed = limited.outcome(begun, held_back)
    finally:
        limited.end()
    if packed is None:
        raise limited.why_it_died()
    error, result = unpack_outcome(packed)
    if error is not None:
        raise error
    return result


class LimitedProcess:
    """A process with one call to make.

    Args:
        order: What to do in it.
        context: How to start it.
    """

    def __init__(self, order: Order, context: ProcessContext) -> None:
        self._order = order
        self._method = context.get_start_method()
        self._process, self._reader = started(context, live, order)
        self._mailbox = Mailbox()
        self._meter: CpuMeter | None = None
        self.pid: int = pid_of(self._process)
        self._death, self._owns_death = death_of(self.pid, self._process.sentinel)
        self._exitcode: int | None = None

    def outcome(self, begun: float, held_back: int) -> bytes | None:
        """Wait for what comes of the call, packed; `None` if the process dies before.

        Args:
            begun: When the call began, on the monotonic clock.
            held_back: How often Ctrl-C had been held back then.

        Raises:
            WallTimeoutException: If it takes too long.
            CpuTimeoutException: If it has used up its CPU time together with what it has started.
            KeyboardInterrupt: If this is where Ctrl-C goes, and it came since then.
        """
        hears_ctrl_c = threading.current_thread() is threading.main_thread()
        watched = [self._reader.fileno(), self._death]
        while self._mailbox.outcome is None:
            if hears_ctrl_c and interrupts.held_back > held_back:
                raise KeyboardInterrupt
            now = time.monotonic()
            ready = wait(watched, min(LOOK, self._wall_time_left(now - begun), self._pause(now)))
            if ready == [self._death]:
                return None
            if ready and not self._read():
                watched = [self._death]
        return self._mailbox.outcome

    def _wall_time_left(self, passed: float) -> float:
        bound = self._order.bounds.wall_time
        left = LOOK if bound is None else bound - passed
        if left <= 0:
            raise WallTimeoutException(
                f"{self._order.name}() was ended, since it did not end within its "
                f"`wall_time_limit` of {bound:g} s. Give it more time, or less to do."
            )
        return left

    def _pause(self, now: float) -> float:
        bound = self._order.bounds.cpu_time
        if bound is None or not self._mailbox.has_begun:
            return LOOK
        if self._meter is None:  # what the process did to come this far does not count
            self._meter = CpuMeter(self.pid, bound)
        pause = self._meter.pause(now)
        if pause <= 0:
            raise self._out_of_cpu_time(bound)
        return pause

    def _out_of_cpu_time(self, bound: float) -> CpuTimeoutException:
        return CpuTimeoutException(
            f"{self._order.name}() was ended, since it has used up its `cpu_time_limit` of "
            f"{bound:g} s. Give it more time, or less to do."
        )

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
        if bounds.cpu_time is not None and self._exitcode in OUT_OF_CPU_TIME:
            return self._out_of_cpu_time(bounds.cpu_time)
        if bounds.memory is not None and self._may_have_lacked_memory():
            return MemoryLimitException(
                f"The process of {name}() died ({how}) with a `memory_limit` of {bounds.memory:,} "
                "bytes. Libraries do that which cannot go on without the memory they ask for. "
                "Give it more; if it dies all the same, this was not the reason."
            )
        return WorkerLostError(
            f"The limited process {self.pid} of {name}() died ({how}) before the call had an "
            f"outcome. {self._hint()}"
        )

    def _may_have_lacked_memory(self) -> bool:
        crashed = self._mailbox.has_begun and self._exitcode in OUT_OF_MEMORY
        return crashed or self._mailbox.is_setting_up

    def _hint(self) -> str:
        if self._mailbox.has_begun or self._method == "fork":
            return "This call is lost and was not started again; others are not affected."
        return (
            "It had not begun: with the start methods 'spawn' and 'forkserver' the program has to "
            'keep what it runs under `if __name__ == "__main__":`, since the process imports it.'
        )


# Ctrl-C in a call that runs in the thread of the run interrupts it there.
interrupts.CALLS_USER_CODE.add(LimitedProcess.outcome.__code__)


def pid_of(limited: BaseProcess) -> int:
    if limited.pid is None:
        raise ValueError(f"{limited!r} has not been started.")
    return limited.pid


def exitcode_of(limited: BaseProcess) -> int | None:
    """How a process that is gone has ended."""
    until = time.monotonic() + EXIT_CODE
    # Another thread that starts a process collects all exit codes, and may have it already without
    # having written it down.
    while (code := limited.exitcode) is None and time.monotonic() < until:
        time.sleep(0.001)
    return code
