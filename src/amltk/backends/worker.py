"""What runs in a worker process: take a call, compute it, send what came of it, again.

The protocol is one message each way per call. A worker says `READY` once it has started, or
sends the packed exception of its initializer and ends. It ends as well when its connection is
closed, which happens at the latest when the process that owns the pool is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Protocol

from amltk.backends.payload import Packed, outcome_of, pack_error
from amltk.backends.signals import leave_signals_alone

__all__ = ["READY", "STOP", "WorkerPlan", "compute", "serve"]

READY = b""
"""The first message of a worker that can take calls."""

STOP = b""
"""The message that tells a worker to end; a packed call is never empty."""


@dataclass(frozen=True)
class WorkerPlan:
    """How each worker of a pool is to behave."""

    initializer: Callable[..., object] | None
    initargs: tuple[object, ...]
    max_calls: int | None


class Talks(Protocol):
    """Takes and brings messages; a `multiprocessing.connection.Connection` does."""

    def recv_bytes(self) -> bytes:
        """Wait for the next message."""
        ...

    def send_bytes(self, message: Packed, /) -> object:
        """Send a message."""
        ...


def serve(connection: Connection, plan: WorkerPlan, inherited: Iterable[Connection] = ()) -> None:
    """Compute calls until there is nobody left to ask for them.

    Args:
        connection: Where calls come from and outcomes go.
        plan: What to do before the first call, and how many to compute.
        inherited: The pool's ends of connections, of which a forked worker has copies: while it
            keeps them open, nobody notices that the pool is gone.
    """
    leave_signals_alone()
    for other in inherited:
        other.close()
    with suppress(EOFError, OSError), connection:
        if initialized(connection, plan):
            compute(connection, plan.max_calls)


def initialized(connection: Connection, plan: WorkerPlan) -> bool:
    try:
        if plan.initializer is not None:
            plan.initializer(*plan.initargs)
    except BaseException as error:  # noqa: BLE001
        connection.send_bytes(pack_error(error, error))
        return False
    connection.send_bytes(READY)
    return True


def compute(
    connection: Talks,
    max_calls: int | None = None,
    dumps: Callable[[object], Packed] = ForkingPickler.dumps,
) -> None:
    """Compute calls until there are no more, or so many of them.

    Args:
        connection: Where calls come from and outcomes go.
        max_calls: How many at most.
        dumps: What pickles outcomes.

    Raises:
        EOFError, OSError: When nobody is at the other end any more.
    """
    computed = 0
    while max_calls is None or computed < max_calls:
        packed_call = connection.recv_bytes()
        if packed_call == STOP:
            return
        connection.send_bytes(outcome_of(packed_call, dumps))
        computed += 1
