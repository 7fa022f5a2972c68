"""The thread that owns the workers of an executor on Ray.

    submit ──▶ queue ──▶ desk's thread ══ call ════▶ worker
    future ◀──────────── desk's thread ◀═ outcome ══ worker
                         desk's thread ◀── inbox ◀── Ray's thread

Each worker is given one call at a time, so it is always known who computes what. Ray says when
workers are ready, and when they are gone, in a thread of its own, where nothing may take long; all
that happens there is that this is put into the inbox. Other threads touch nothing but that and the
queue.
"""

from __future__ import annotations

import atexit
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial

import ray
from typing_extensions import TypeVar

from amltk.backends.payload import said, unpack_outcome
from amltk.backends.ray.ending import Ender
from amltk.backends.ray.future import RayFuture
from amltk.backends.ray.inbox import Inbox
from amltk.backends.ray.line import KEY, NotWelcomeError
from amltk.backends.ray.losses import lost
from amltk.backends.ray.recipe import Ray
from amltk.backends.ray.room import Room, worker_options
from amltk.backends.ray.session import Session
from amltk.backends.ray.worker import Place, RayJob, RayWorker, computer
from amltk.callbacks import name_of
from amltk.exceptions import ExecutorBrokenError

__all__ = ["Desk"]

GLANCE = 1.0
"""Seconds between two looks at what Ray has room for, and at whether it is still there."""

LINGER = 2.0
"""Seconds that a worker with nothing to do keeps its place from others."""

SHIFT = 30.0
"""Seconds after which a worker gives up its place if somebody else may be waiting for it."""

FAILED_STARTS = 3
"""Workers in a row that cannot be started, until the executor counts as broken."""

WORD = 10.0
"""Seconds that Ray may take to say why a worker says nothing more, until that is ended."""

SETTLING = 5.0
"""Seconds that Ray may take to say that workers are ended."""

R = TypeVar("R")


class Desk:
    """Starts workers, hands them calls, and settles the futures.

    Args:
        recipe: What each call asks for.
        session: The Ray that is used; it is released when there is nothing left to do.
    """

    def __init__(self, recipe: Ray, session: Session) -> None:
        self._recipe = recipe
        self._session = session
        self._computer = computer(worker_options(recipe))
        self._ender = Ender(session)
        self._room = Room(recipe)
        self._inbox = Inbox()
        self._key = secrets.token_bytes(KEY)
        self._queue: deque[RayJob] = deque()
        self._workers: set[RayWorker] = set()
        self._idle: list[RayWorker] = []
        self._ending: set[RayWorker] = set()
        self._starting = 0
        self._failed_starts = 0
        self._next_look = 0.0
        self._lock = threading.RLock()  # a signal handler may end everything during `submit`
        self._is_hungry = True
        self._shut = False
        self._abandoned = False
        self._broken: str | None = None
        atexit.register(self.shut_down_and_join)
        self._thread = threading.Thread(target=self._run, name="amltk-ray-desk", daemon=True)
        self._thread.start()

    # What other threads call.

    @property
    def state(self) -> str:
        """What can be said of it in a word."""
        return "broken" if self._broken else "shut down" if self._shut else "open"

    def submit(self, function: Callable[..., R], packed: bytes) -> RayFuture[R]:
        """Have a call computed.

        Raises:
            ExecutorBrokenError: If Ray is gone, or workers cannot be started.
            RuntimeError: After it was shut down.
        """
        future = RayFuture(function, self._stop_soon)
        with self._lock:
            self.require_open()
            self._queue.append(RayJob(future, packed))
            is_hungry, self._is_hungry = self._is_hungry, False
        if is_hungry:
            self._inbox.put(self._hand_out)
        return future

    def require_open(self) -> None:
        """Raise unless it takes calls; see `submit`."""
        if self._shut:
            raise RuntimeError("Cannot submit to a RayExecutor after its shutdown().")
        if self._broken is not None:
            raise ExecutorBrokenError(self._broken)
        if not self._session.is_there():
            raise ExecutorBrokenError("Ray is gone: it died, or somebody else has shut it down")

    def shut_down(self, *, cancel_queued: bool = False) -> None:
        """End when all calls are computed."""
        with self._lock:
            self._shut = True
            cancelled = self._empty_queue() if cancel_queued else ()
        for job in cancelled:
            job.future.cancel()
        self._inbox.put(self._hand_out)

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end, so many seconds at most, unless this is the desk's own thread."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def shut_down_and_join(self) -> None:
        """End when all calls are computed, and wait for it: what happens when Python exits."""
        self.shut_down()
        self.join()

    def end(self) -> None:
        """Cancel all calls, end what they have started, and return when that is done."""
        self.shut_down(cancel_queued=True)
        self._inbox.put(self._end_all)
        self.join(SETTLING)
        self._abandoned = True
        self._inbox.put(self._hand_out)
        self.join()

    def _stop_soon(self, future: RayFuture[R]) -> None:
        self._inbox.put(partial(self._stop, future))

    def _empty_queue(self) -> deque[RayJob]:
        queue, self._queue = self._queue, deque()
        return queue

    # What happens in the desk's thread.

    def _run(self) -> None:
        try:
            while self._goes_on():
                for message in self._inbox.next(self._seconds_to_sleep()):
                    message()
        except Exception as error:  # noqa: BLE001
            self._break(f"The thread that owns the workers on Ray failed: {said(error)}")
        finally:
            self._close()

    def _goes_on(self) -> bool:
        with self._lock:
            if self._abandoned:
                return False
            return bool(self._queue or self._ending or self._n_busy() or not self._shut)

    def _n_busy(self) -> int:
        return len(self._workers) - len(self._idle) - self._starting

    def _seconds_to_sleep(self) -> float:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + GLANCE
            self._look_around()
        return self._next_look - now

    # Calls go out.

    def _hand_out(self) -> None:
        while self._idle and (job := self._next_job()) is not None:
            if job.future.begin():
                self._idle.pop().give(job)
        with self._lock:
            while self._queue and self._queue[0].future.done():  # cancelled
                self._queue.popleft()
            missing = len(self._queue) - self._starting
            self._is_hungry = bool(self._idle) or len(self._workers) < self._room.limit
        missing = min(missing, self._room.limit - len(self._workers))
        if missing > 0 and self._session.answers():
            for _ in range(missing):
                self._start_worker()

    def _next_job(self) -> RayJob | None:
        with self._lock:
            return self._queue.popleft() if self._queue else None

    def _start_worker(self) -> None:
        worker = RayWorker(self._computer.remote(self._key))
        self._workers.add(worker)
        self._starting += 1
        worker.ask_for_place(self._to_inbox(self._ready, worker))

    def _to_inbox(
        self, what: Callable[[RayWorker, Future[R]], None], worker: RayWorker
    ) -> Callable[[Future[R]], None]:
        def put(arrived: Future[R]) -> None:
            self._inbox.put(partial(what, worker, arrived))

        return put

    # Workers are heard of.

    def _ready(self, worker: RayWorker, arrived: Future[Place]) -> None:
        if worker not in self._workers:
            return  # it was not needed any more
        self._starting -= 1
        try:
            place = arrived.result()
            line = worker.connect(place, self._key, self._to_inbox(self._gone, worker))
        except Exception as error:  # noqa: BLE001 - Ray's, or of the connection
            self._never_ready(worker, error)
        else:
            self._failed_starts = 0
            self._inbox.listen(line, partial(self._hear, worker))
            self._idle.append(worker)
        self._hand_out()

    def _never_ready(self, worker: RayWorker, error: Exception) -> None:
        self._retire(worker)
        self._failed_starts += 1
        if self._failed_starts >= FAILED_STARTS:
            where = "" if worker.place is None else f" that can be reached, {worker.place}"
            self._break(f"Ray cannot start a worker{where}: {said(error)}")

    def _hear(self, worker: RayWorker) -> None:
        try:
            outcome = worker.read()
        except (EOFError, OSError, NotWelcomeError):
            self._hang_up(worker)  # why, Ray will say
            worker.silent_since = time.monotonic()
        else:
            if outcome is not None:
                self._computed(worker, outcome)

    def _computed(self, worker: RayWorker, outcome: bytes) -> None:
        future = worker.future
        worker.has_computed()
        if worker in self._workers:
            if self._is_due(worker):
                self._retire(worker)
            else:
                self._idle.append(worker)
            self._hand_out()  # first give the worker something to do, then tell of its outcome
        if future is not None:
            future.settle(*unpack_outcome(outcome))

    def _gone(self, worker: RayWorker, arrived: Future[None]) -> None:
        outcome = worker.last_words()
        self._hang_up(worker)
        self._workers.discard(worker)
        self._ending.discard(worker)
        if outcome is not None:
            self._computed(worker, outcome)
        elif worker.future is not None:
            self._lose(worker, arrived.exception())
        self._hand_out()

    def _lose(self, worker: RayWorker, cause: BaseException | None) -> None:
        future, worker.future = worker.future, None
        if future is not None:
            why = "nothing; the connection to it broke." if cause is None else said(cause)
            loss = lost(future.function, why)
            loss.__cause__ = cause
            future.settle(loss, None)

    def _hang_up(self, worker: RayWorker) -> None:
        if worker.line is not None:
            self._inbox.forget(worker.line)
            worker.line.close()
            worker.line = None
        if worker in self._idle:
            self._idle.remove(worker)

    def _is_due(self, worker: RayWorker) -> bool:
        """Whether another one is to take its place."""
        if worker.n_computed == self._recipe.max_tasks_per_child:
            return True
        is_over = time.monotonic() - worker.began > SHIFT
        return is_over and not self._session.is_alone()

    def _retire(self, worker: RayWorker) -> None:
        self._hang_up(worker)
        self._workers.remove(worker)
        if self._session.answers():
            with suppress(Exception):
                ray.kill(worker.actor)

    def _stop(self, future: RayFuture) -> None:
        for worker in self._workers:
            if worker.future is future:
                self._end(worker)
                self._hand_out()
                return

    def _end(self, worker: RayWorker) -> None:
        self._workers.remove(worker)
        self._ending.add(worker)
        self._ender.end(worker)

    def _end_all(self) -> None:
        self._abandoned = self._session.ends_if_left_now()
        for worker in tuple(self._workers):
            if worker.future is not None:
                worker.future.cancel()  # which stops it

    # Once a second.

    def _look_around(self) -> None:
        if not self._session.is_there():
            self._lose_all()
            return
        if not self._session.answers():
            return
        if self._queue or not self._room.limit:
            self._room.look(len(self._workers) - self._starting, len(self._queue))
        if not self._session.is_alone():
            self._make_room()
        self._end_the_silent()
        self._hand_out()

    def _make_room(self) -> None:
        """Leave the places of workers to others that have nothing to do, or not even begun."""
        if self._queue:
            return
        long_ago = time.monotonic() - LINGER
        for worker in tuple(self._workers):
            if worker.future is None and worker.idle_since < long_ago:
                self._starting -= worker not in self._idle
                self._retire(worker)

    def _end_the_silent(self) -> None:
        """Of these Ray has not said that they are gone; but their connection is."""
        long_ago = time.monotonic() - WORD
        for worker in self._workers:
            if worker.silent_since < long_ago:
                with suppress(Exception):
                    ray.kill(worker.actor)

    # The end.

    def _lose_all(self) -> None:
        for worker in (*self._workers, *self._ending):
            self._hang_up(worker)
            self._lose(worker, None)
        self._workers.clear()
        self._ending.clear()
        self._starting = 0
        self._break("Ray is gone: it died, or somebody else has shut it down")

    def _break(self, why: str) -> None:
        with self._lock:
            self._broken = self._broken or why
            jobs = self._empty_queue()
        for job in jobs:
            no_result = f"{self._broken}. No result from {name_of(job.future.function)}()."
            job.future.settle(ExecutorBrokenError(no_result), None)

    def _close(self) -> None:
        self._ender.close()
        if not self._session.ends_if_left_now():
            for worker in tuple(self._workers):
                self._retire(worker)
        for worker in (*self._workers, *self._ending):
            self._hang_up(worker)
        self._inbox.close()
        self._session.release()
        atexit.unregister(self.shut_down_and_join)
