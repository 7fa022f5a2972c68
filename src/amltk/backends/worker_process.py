"""One worker process, as its pool sees it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from amltk.backends.payload import Packed
from amltk.backends.process_trees import end_processes
from amltk.backends.signals import deaf_from_birth, start_trackers
from amltk.backends.start_method import ProcessContext
from amltk.backends.worker import STOP, WorkerPlan, serve
from amltk.callbacks import name_of
from amltk.filtered_warnings import WarningFilter

__all__ = ["WorkerProcess", "death_of", "how_it_ended", "start"]

EXIT_CODE = 5.0
"""Seconds that the exit code of a process that is gone may take to arrive."""

# From 3.12 on Python warns of threads whose locks a fork copies. Ours are none that a worker needs.
FORKED_WITH_THREADS = WarningFilter(
    "ignore", ".*multi-threaded, use of fork", DeprecationWarning, "", 0, append=False
)


class WorkerProcess:
    """A process with a connection to it.

    `death` is a file descriptor that becomes readable when the process is gone. Where the system
    has them it is a pidfd: the end of the connection is no proof, because a child that the worker
    started may hold a copy of it.
    """

    def __init__(
        self, context: ProcessContext, plan: WorkerPlan, siblings: Iterable[WorkerProcess]
    ) -> None:
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        method = context.get_start_method()
        inherited = [w.connection for w in (*siblings, self)] if method == "fork" else []
        self._process = context.Process(target=serve, args=(theirs, plan, inherited))
        start(self._process, method)
        theirs.close()
        self.pid: int = self._process.pid or 0
        self.death: int
        self.death, self._owns_death = death_of(self.pid, self._process.sentinel)
        self.ready: bool = False
        self.computed: int = 0
        self.exitcode: int | None = None

    def send(self, message: Packed) -> None:
        """Send a call; if the worker is gone, its death is about to be noticed."""
        try:
            self.connection.send_bytes(message)
        except OSError:
            return

    def receive(self) -> bytes | None:
        """The next message, or `None` if there will be none."""
        try:
            return self.connection.recv_bytes()
        except (EOFError, OSError):
            return None

    def has_message(self) -> bool:
        """Whether something is left to receive."""
        try:
            return self.connection.poll()
        except OSError:
            return False

    def tell_to_end(self) -> None:
        """Let the process end by itself, as soon as it has nothing to compute."""
        self.send(STOP)

    def end(self, until: float) -> None:
        """See to it that the process ends.

        Args:
            until: When it is made to, on the monotonic clock.
        """
        if not wait([self.death], max(0.0, until - time.monotonic())):
            end_processes([self.pid])
        if self._process.exitcode is None:
            self._process.join(EXIT_CODE)
        self.exitcode = self._process.exitcode
        self.connection.close()
        if self._owns_death:
            os.close(self.death)
        with suppress(ValueError):  # its exit code was taken by somebody else in this program
            self._process.close()

    def death_before_ready(self) -> str:
        """What to say of a worker that never got to its first call."""
        return (
            f"A worker process ended ({how_it_ended(self.exitcode)}) before it was ready. With the "
            "start methods 'spawn' and 'forkserver' the program has to keep what it runs under "
            '`if __name__ == "__main__":`, since workers import it'
        )

    def death_during(self, function: Callable[..., object]) -> str:
        """What to say of a worker that died with a call."""
        return (
            f"The worker process {self.pid} died ({how_it_ended(self.exitcode)}) while it computed "
            f"{name_of(function)}(). This call is lost and was not started again; others are not "
            "affected. If it ran out of memory, use fewer workers or smaller calls."
        )


def start(process: BaseProcess, method: str) -> None:
    """Start a process that does not hear Ctrl-C, as far as the way it comes to be allows that."""
    with ExitStack() as stack:
        if method == "spawn":
            start_trackers()
        if method != "forkserver":  # the server would keep the mask, and others use it, too
            stack.enter_context(deaf_from_birth())
        if method == "fork":
            stack.enter_context(FORKED_WITH_THREADS())
        process.start()


def death_of(pid: int, sentinel: int) -> tuple[int, bool]:
    """A descriptor that becomes readable when the process is gone, and whether to close it."""
    try:
        return os.pidfd_open(pid), True
    except (AttributeError, OSError):
        return sentinel, False


def how_it_ended(exitcode: int | None) -> str:
    """What the exit code of a process says, in words."""
    if exitcode is None or exitcode >= 0:
        return f"exit code {exitcode}"
    try:
        return f"killed by {signal.Signals(-exitcode).name}"
    except ValueError:  # the most of the real-time signals have no name
        return f"killed by signal {-exitcode}"
