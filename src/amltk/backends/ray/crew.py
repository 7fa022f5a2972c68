"""The workers of an executor on Ray: they come, are given calls, and end.

All of it happens in the thread of the desk. Ray says when workers are ready, and when they are gone,
in a thread of its own, where nothing may take long; all that happens there is that this is put into
the inbox.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

import ray
from ray.exceptions import RayActorError
from typing_extensions import TypeVar

from amltk.backends.payload import said, unpack_outcome
from amltk.backends.ray.connector import Connector
from amltk.backends.ray.ending import Ender
from amltk.backends.ray.future import RayFuture
from amltk.backends.ray.inbox import Inbox
from amltk.backends.ray.line import KEY, Line
from amltk.backends.ray.losses import lost
from amltk.backends.ray.recipe import Ray
from amltk.backends.ray.room import worker_options
from amltk.backends.ray.session import Session
from amltk.backends.ray.worker import Place, RayJob, RayWorker, computer

__all__ = ["Crew"]

LINGER = 2.0
"""Seconds that a worker with nothing to do keeps its place from others."""

SHIFT = 30.0
"""Seconds after which a worker gives up its place if somebody else may be waiting for it."""

FAILED_STARTS = 3
"""Workers in a row that cannot be started, until the executor counts as broken."""

WORD = 10.0
"""Seconds that Ray may take to say why a worker says nothing more, until that is ended."""

NOTHING = "nothing; the connection to it broke, or Ray is gone."

R = TypeVar("R")

logger: logging.Logger = logging.getLogger("amltk")


class Crew:
    """Starts workers, gives each of them one call at a time, and settles the futures.

    Args:
        recipe: What each call asks for.
        session: The Ray that they are on.
        inbox: What the thread of the desk is to do next.
        changed: Called when a worker may be given a call, or there may be room for another one.
        broken: Called with the reason when no worker can be started.
    """

    def __init__(
        self,
        recipe: Ray,
        session: Session,
        inbox: Inbox,
        changed: Callable[[], object],
        broken: Callable[[str], object],
    ) -> None:
        self._max_computed = recipe.max_tasks_per_child
        self._session = session
        self._inbox = inbox
        self._changed = changed
        self._broken = broken
        self._computer = computer(worker_options(recipe))
        self._ender = Ender(session)
        self._connector = Connector()
        self._workers: set[RayWorker] = set()
        self._idle: list[RayWorker] = []
        self._ending: set[RayWorker] = set()
        self._failed_starts = 0
        self.n_starting: int = 0
        """How many are not ready yet."""

    @property
    def n(self) -> int:
        """How many there are, without those that are being ended."""
        return len(self._workers)

    @property
    def n_idle(self) -> int:
        """How many have nothing to do."""
        return len(self._idle)

    @property
    def is_at_work(self) -> bool:
        """Whether one of them computes a call, or is being ended."""
        return bool(self._ending) or self.n > self.n_idle + self.n_starting

    # They are given calls.

    def has_idle(self) -> bool:
        """Whether a worker has nothing to do; whoever was ended meanwhile is none."""
        while self._idle and self._idle[-1].has_ended():
            self._fall_silent(self._idle[-1])
        return bool(self._idle)

    def give(self, job: RayJob) -> None:
        """Have one that has nothing to do compute a call."""
        worker = self._idle.pop()
        worker.future = job.future
        if worker.line is not None:
            self._inbox.send(worker.line, job.packed)

    def stop(self, future: RayFuture) -> None:
        """End the worker that computes a call, with all that it has started."""
        for worker in self._workers:
            if worker.future is future:
                self._workers.remove(worker)
                self._ending.add(worker)
                self._ender.end(worker)
                self._changed()
                return

    def cancel_all(self) -> None:
        """Cancel all that they compute."""
        for worker in tuple(self._workers):
            if worker.future is not None:
                worker.future.cancel()  # which stops it

    # They come.

    def start(self) -> None:
        """Ask Ray for another one."""
        key = secrets.token_bytes(KEY)
        worker = RayWorker(self._computer.remote(key), key)
        self._workers.add(worker)
        self.n_starting += 1
        worker.ask_for_place(self._to_inbox(self._ready, worker))

    def _to_inbox(
        self, what: Callable[[RayWorker, Future[R]], None], worker: RayWorker
    ) -> Callable[[Future[R]], None]:
        def put(arrived: Future[R]) -> None:
            self._inbox.put(partial(what, worker, arrived))

        return put

    def _ready(self, worker: RayWorker, arrived: Future[Place]) -> None:
        if worker not in self._workers:
            return  # it was not needed any more
        try:
            worker.place = arrived.result()
            worker.serve(self._to_inbox(self._gone, worker))
        except Exception as error:  # noqa: BLE001 - whatever Ray raises
            self._never_ready(worker, said(error))
        else:
            heard = self._to_inbox(self._connected, worker)
            self._connector.connect(worker.place, worker.key, heard)

    def _connected(self, worker: RayWorker, arrived: Future[Line]) -> None:
        try:
            line = self._connector.take(arrived)
        except Exception as error:  # noqa: BLE001
            if worker in self._workers:
                self._never_ready(worker, f"it cannot be reached, at {worker.place}: {said(error)}")
            return
        if worker not in self._workers:
            line.close()
            return
        worker.line, worker.is_ready = line, True
        self.n_starting -= 1
        self._failed_starts = 0
        self._inbox.listen(line, partial(self._hear, worker))
        self._idle.append(worker)
        self._changed()

    def _never_ready(self, worker: RayWorker, why: str) -> None:
        self._retire(worker)
        self._failed_starts += 1
        if self._failed_starts >= FAILED_STARTS:
            self._broken(f"Ray cannot start a worker: {why}")
        elif worker.place is not None:
            logger.warning("A worker on Ray is of no use, another one may be: %s", why)
        self._changed()

    # They are heard of.

    def _hear(self, worker: RayWorker) -> None:
        try:
            outcome = worker.read()
        except Exception:  # noqa: BLE001 - the line, or too big for this machine
            self._fall_silent(worker)
        else:
            if outcome is not None:
                self._computed(worker, outcome)

    def _fall_silent(self, worker: RayWorker) -> None:
        self._hang_up(worker)  # why, Ray will say
        worker.silent_since = time.monotonic()

    def _computed(self, worker: RayWorker, outcome: bytes) -> None:
        future = worker.future
        worker.has_computed()
        if worker in self._workers:
            if self._is_due(worker):
                self._retire(worker)
            else:
                self._idle.append(worker)
            self._changed()  # first give the worker something to do, then tell of its outcome
        if future is not None:
            future.settle(*unpack_outcome(outcome))

    def _gone(self, worker: RayWorker, arrived: Future[None]) -> None:
        error, outcome = arrived.exception(), worker.last_words()
        if worker in self._workers and not worker.is_ready:
            self._never_ready(worker, f"it ended: {error!r}")
            return
        self._hang_up(worker)
        self._workers.discard(worker)
        self._ending.discard(worker)
        if not isinstance(error, RayActorError):  # it is there, but nobody can talk to it
            self._kill(worker)
        if outcome is not None:
            self._computed(worker, outcome)
        self._lose(worker, error)
        self._changed()

    def _lose(self, worker: RayWorker, cause: BaseException | None) -> None:
        future, worker.future = worker.future, None
        if future is not None:
            loss = lost(future.function, NOTHING if cause is None else said(cause))
            loss.__cause__ = cause
            future.settle(loss, None)

    # They go.

    def _hang_up(self, worker: RayWorker) -> None:
        if worker.line is not None:
            self._inbox.forget(worker.line)
            worker.line.close()
            worker.line = None
        if worker in self._idle:
            self._idle.remove(worker)

    def _is_due(self, worker: RayWorker) -> bool:
        """Whether another one is to take its place."""
        if worker.n_computed == self._max_computed:
            return True
        is_over = time.monotonic() - worker.began > SHIFT
        return is_over and not self._session.is_alone()

    def _retire(self, worker: RayWorker) -> None:
        self._hang_up(worker)
        self._workers.remove(worker)
        self.n_starting -= not worker.is_ready
        self._kill(worker)

    def _kill(self, worker: RayWorker) -> None:
        if self._session.answers():
            with suppress(Exception):
                ray.kill(worker.actor)

    def make_room(self) -> None:
        """Leave the places of workers to others that have nothing to do, or not even begun."""
        long_ago = time.monotonic() - LINGER
        for worker in tuple(self._workers):
            if worker.future is None and worker.idle_since < long_ago:
                self._retire(worker)

    def end_the_silent(self) -> None:
        """Of these Ray has not said that they are gone; but their connection is."""
        long_ago = time.monotonic() - WORD
        for worker in self._workers:
            if worker.silent_since < long_ago:
                self._kill(worker)

    def lose_all(self) -> None:
        """They are gone, and with them what they were computing."""
        for worker in (*self._workers, *self._ending):
            self._hang_up(worker)
            self._lose(worker, None)
        self._workers.clear()
        self._ending.clear()
        self.n_starting = 0

    def close(self) -> None:
        """End all of them; returns when those are gone that had to be."""
        self._ender.close()
        if not self._session.ends_if_left_now():
            for worker in tuple(self._workers):
                self._retire(worker)
                self._lose(worker, None)
        self._connector.close()  # now that nobody is there who could keep it waiting
        self.lose_all()
