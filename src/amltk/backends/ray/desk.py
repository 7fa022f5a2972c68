"""The thread that owns the workers of an executor on Ray.

    submit ──▶ queue ──▶ desk's thread ══ call ════▶ worker
    future ◀──────────── desk's thread ◀═ outcome ══ worker
                         desk's thread ◀── inbox ◀── Ray's thread

Each worker is given one call at a time, so it is always known who computes what. Other threads touch
nothing but the queue and the inbox.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from typing_extensions import TypeVar

from amltk.backends.payload import said
from amltk.backends.ray.crew import Crew
from amltk.backends.ray.future import RayFuture
from amltk.backends.ray.inbox import Inbox
from amltk.backends.ray.recipe import Ray
from amltk.backends.ray.room import Room
from amltk.backends.ray.session import Session
from amltk.backends.ray.worker import RayJob
from amltk.callbacks import name_of
from amltk.exceptions import ExecutorBrokenError

__all__ = ["Desk"]

GLANCE = 1.0
"""Seconds between two looks at what Ray has room for, and at whether it is still there."""

SETTLING = 5.0
"""Seconds that Ray may take to say that workers are ended."""

GONE = "Ray is gone: it died, or somebody else has shut it down"

R = TypeVar("R")


class Desk:
    """Starts workers, hands them calls, and settles the futures.

    Args:
        recipe: What each call asks for.
        session: The Ray that is used; it is released when there is nothing left to do.
    """

    def __init__(self, recipe: Ray, session: Session) -> None:
        self._session = session
        self._room = Room(recipe)
        self._inbox = Inbox()
        self._crew = Crew(recipe, session, self._inbox, self._hand_out, self._break)
        self._queue: deque[RayJob] = deque()
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
            raise ExecutorBrokenError(GONE)

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
        self._inbox.put(partial(self._crew.stop, future))

    def _empty_queue(self) -> deque[RayJob]:
        queue, self._queue = self._queue, deque()
        return queue

    # What happens in the desk's thread.

    def _run(self) -> None:
        try:
            while self._goes_on():
                for message in self._inbox.next(self._seconds_to_sleep()):
                    message()
                    del message  # it knows a worker, which is gone for Ray when nobody knows it
        except BaseException as error:  # noqa: BLE001
            self._break(f"The thread that owns the workers on Ray failed: {said(error)}")
        finally:
            self._close()

    def _goes_on(self) -> bool:
        with self._lock:
            if self._abandoned:
                return False
            return bool(self._queue or self._crew.is_at_work or not self._shut)

    def _seconds_to_sleep(self) -> float:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + GLANCE
            self._look_around()
        return self._next_look - now

    # Calls go out.

    def _hand_out(self) -> None:
        crew = self._crew
        while crew.has_idle() and (job := self._next_job()) is not None:
            if job.future.begin():
                crew.give(job)
        with self._lock:
            while self._queue and self._queue[0].future.done():  # cancelled
                self._queue.popleft()
            missing = len(self._queue) - crew.n_starting
            self._is_hungry = crew.n_idle > 0 or crew.n < self._room.limit
        missing = min(missing, self._room.limit - crew.n)
        if missing > 0 and self._session.answers():
            for _ in range(missing):
                crew.start()

    def _next_job(self) -> RayJob | None:
        with self._lock:
            self._is_hungry = not self._queue  # who submits from now on says so
            return self._queue.popleft() if self._queue else None

    def _end_all(self) -> None:
        if self._session.ends_if_left_now():
            self._abandoned = True
        self._crew.cancel_all()

    # Once a second.

    def _look_around(self) -> None:
        if not self._session.is_there():
            self._crew.lose_all()
            self._break(GONE)
            return
        if not self._session.answers():
            return
        if self._queue or not self._room.limit:
            self._room.look(self._crew.n - self._crew.n_starting, len(self._queue))
        if not self._queue and not self._session.is_alone():
            self._crew.make_room()
        self._crew.end_the_silent()
        self._hand_out()

    # The end.

    def _break(self, why: str) -> None:
        with self._lock:
            self._broken = self._broken or why
            jobs = self._empty_queue()
        for job in jobs:
            no_result = f"{self._broken}. No result from {name_of(job.future.function)}()."
            job.future.settle(ExecutorBrokenError(no_result), None)

    def _close(self) -> None:
        self._crew.close()
        self._inbox.close()
        self._session.release()
        atexit.unregister(self.shut_down_and_join)
