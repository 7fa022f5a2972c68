"""A worker on Ray: what it does there, and what is known of it here.

For Ray it is an actor, a process that is ours until it is ended. So it is always known here which
call it is computing, and ending it ends no call of somebody else. With tasks, which Ray places
one by one, neither would be so; and each of them costs more.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import ray
from ray import cloudpickle
from ray.util import get_node_ip_address

from amltk.backends.payload import said
from amltk.backends.ray.future import RayFuture
from amltk.backends.ray.line import Line, accepted, listening
from amltk.backends.ray.room import WorkerOptions
from amltk.backends.worker import compute
from amltk.exceptions import BackendUnavailableError

__all__ = ["Computer", "Place", "RayJob", "RayWorker", "computer"]

IN_FLIGHT = 1.0
"""Seconds after which nothing of what a worker sent is on its way any more."""


class Place(NamedTuple):
    """Where a worker is."""

    node: str
    """The id of the node."""
    pid: int
    """Its process id there."""
    host: str
    """The address of the node."""
    port: int
    """Where it listens for whoever gives it calls."""


class Computer:
    """What is in the worker's process.

    Args:
        key: What whoever gives it calls has to know.
    """

    def __init__(self, key: bytes) -> None:
        # Ray has SIGTERM raise SystemExit, which would look as if the call had raised it.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._key = key
        self._host = get_node_ip_address()
        self._listener = listening(self._host)

    def place(self) -> Place:
        """Where this is."""
        node = ray.get_runtime_context().get_node_id()
        return Place(node, os.getpid(), self._host, self._listener.getsockname()[1])

    def serve(self) -> None:
        """Compute calls until nobody is there any more to give some."""
        with self._listener:
            line = accepted(self._listener, self._key)
        with suppress(EOFError, OSError):
            compute(line, dumps=cloudpickle.dumps)
        line.close()


def computer(options: WorkerOptions) -> ray.ActorClass:
    """What makes workers, each of which asks for this.

    Raises:
        BackendUnavailableError: If it makes no sense to Ray.
    """
    try:
        return ray.remote(**options)(Computer)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BackendUnavailableError(
            f"Ray refuses what each call asks for, {options}: {said(error)}"
        ) from error


class RayJob(NamedTuple):
    """A call that waits for a worker."""

    future: RayFuture
    """Where the outcome goes."""
    packed: bytes
    """The call."""


@dataclass(slots=True, eq=False)
class RayWorker:
    """A worker, as it is known here."""

    actor: ray.ActorHandle
    """What Ray calls it."""
    key: bytes = field(repr=False)
    """What it wants to hear from whoever gives it calls."""
    place: Place | None = None
    """Where it is; `None` until it has said so."""
    is_ready: bool = False
    """Whether it can be given calls, or could once."""
    line: Line | None = None
    """What it is talked to on; `None` until it is ready, and when that is closed."""
    future: RayFuture | None = None
    """Of the call that it computes."""
    n_computed: int = 0
    """How many calls it has computed."""
    began: float = field(default_factory=time.monotonic)
    """When it was asked for."""
    idle_since: float = field(default_factory=time.monotonic)
    """When it computed something, or was asked for."""
    silent_since: float = math.inf
    """When the line to it was closed at the other end."""

    def ask_for_place(self, heard: Callable[[Future[Place]], object]) -> None:
        """Have somebody hear where it is, once it is ready."""
        place: ray.ObjectRef[Place] = self.actor.place.remote()
        place.future().add_done_callback(heard)

    def serve(self, ended: Callable[[Future[None]], object]) -> None:
        """Have it wait for calls, and somebody hear of its end."""
        end: ray.ObjectRef[None] = self.actor.serve.remote()
        end.future().add_done_callback(ended)

    def has_ended(self) -> bool:
        """Whether it is gone, to be asked while it has nothing to do: then it has nothing to say."""
        return self.line is None or self.line.is_readable(0)

    def read(self) -> bytes | None:
        """What came of its call, if all of it is here.

        Raises:
            EOFError, OSError: If nothing comes any more.
        """
        return self.line.read() if self.line is not None else None

    def last_words(self) -> bytes | None:
        """What came of its call, of a worker that is gone, if that is still on its way."""
        if self.future is None or self.future.done():
            return None
        with suppress(EOFError, OSError, MemoryError):
            while self.line is not None and self.line.is_readable(IN_FLIGHT):
                if (message := self.read()) is not None:
                    return message
        return None

    def has_computed(self) -> None:
        """It is done with its call."""
        self.future = None
        self.n_computed += 1
        self.idle_since = time.monotonic()
