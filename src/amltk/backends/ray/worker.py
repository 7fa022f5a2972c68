"""A worker on Ray: what it does there, and what is known of it here.

For Ray it is an actor, a process that is ours until it is ended. So it is always known here which
call it is computing, and ending it ends no call of somebody else. With tasks, which Ray places
one by one, neither would be so; and each of them costs more.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import ray
from ray import cloudpickle

from amltk.backends.payload import outcome_of, said
from amltk.backends.ray.future import RayFuture
from amltk.backends.ray.room import WorkerOptions
from amltk.exceptions import BackendUnavailableError

__all__ = ["Computer", "Place", "RayJob", "RayWorker", "computer"]


class Place(NamedTuple):
    """Where a worker is."""

    node: str
    """The id of the node."""
    pid: int
    """Its process id there."""


class Computer:
    """What is in the worker's process."""

    def __init__(self) -> None:
        # Ray has SIGTERM raise SystemExit, which would look as if the call had raised it.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def place(self) -> Place:
        """Where this is."""
        return Place(ray.get_runtime_context().get_node_id(), os.getpid())

    def compute(self, packed: bytes) -> bytes:
        """Compute a call."""
        return bytes(outcome_of(packed, cloudpickle.dumps))


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
    place: Place | None = None
    """Where it is; `None` until it has said so, and is ready."""
    future: RayFuture | None = None
    """Of the call that it computes."""
    n_computed: int = 0
    """How many calls it has computed."""
    began: float = field(default_factory=time.monotonic)
    """When it was asked for."""
    idle_since: float = field(default_factory=time.monotonic)
    """When it computed something, or was asked for."""

    def ask_for_place(self, heard: Callable[[Future[Place]], object]) -> None:
        """Have somebody hear where it is, once it is ready."""
        place: ray.ObjectRef[Place] = self.actor.place.remote()
        place.future().add_done_callback(heard)

    def give(self, job: RayJob, heard: Callable[[Future[bytes]], object]) -> None:
        """Have it compute a call, and somebody hear of the outcome."""
        self.future = job.future
        outcome: ray.ObjectRef[bytes] = self.actor.compute.remote(job.packed)
        outcome.future().add_done_callback(heard)

    def has_computed(self) -> None:
        """It is done with its call."""
        self.future = None
        self.n_computed += 1
        self.idle_since = time.monotonic()
