"""The thread that talks to Airflow on behalf of an executor.

It takes turns: drop what was cancelled, look at how the runs are, tidy up, start what was submitted,
collect what came of it. In between it sleeps until it is time for one of these, or another thread
wakes it. Other threads only add to the queue and cancel futures, of which this one hears in its next
turn.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import threading
import time
from collections import deque
from typing import Any

from amltk.airflow.answers import AirflowRefusedError, AirflowUnreachableError
from amltk.airflow.api import AirflowApi
from amltk.airflow.rhythm import FIRST_RETRY, Trouble
from amltk.airflow.runs import AirflowCall, Runs, Session
from amltk.airflow.storage import Storage
from amltk.backends.job import Job
from amltk.backends.payload import said
from amltk.backends.stoppable_future import StoppableFuture
from amltk.exceptions import ExecutorBrokenError

__all__ = ["Manager"]

logger: logging.Logger = logging.getLogger("amltk")

TIDYING = 60.0
"""Seconds that tidying up may take in the end. The rest then stays."""

LEAVING = 5.0
"""Seconds that Python waits for it before it exits, if everything was cancelled."""

TRIES_UNTIL_SAID = 4
"""Requests without an answer until the log says so; some are nothing to speak of."""


class Manager:
    """Has calls computed, and settles their futures.

    Args:
        api: Airflow; it is closed in the end.
        storage: Where calls and outcomes lie; it is removed in the end.
        session: How to go about it.
    """

    def __init__(self, api: AirflowApi, storage: Storage, session: Session) -> None:
        self.broken: str | None = None
        """Why it takes no more calls, if something is wrong."""
        self._api = api
        self._storage = storage
        self._prefix = session.prefix
        self._runs = Runs(api, storage, session, clock=time.monotonic)
        self._trouble = Trouble(session.patience)
        self._next_try = 0.0
        self._queue: deque[AirflowCall] = deque()
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()  # a signal handler may interrupt whoever has it
        self._woken = threading.Event()
        self._shut = False
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="amltk-airflow", daemon=True)
        self._thread.start()
        atexit.register(self.shut_down_and_join)

    # What other threads call.

    @property
    def state(self) -> str:
        """What can be said of it in a word."""
        return "broken" if self.broken else "shut down" if self._shut else "open"

    @property
    def url(self) -> str:
        """Where Airflow is."""
        return self._api.url

    def take(self, job: Job, future: StoppableFuture[Any]) -> None:
        """Put a job at the end of the queue.

        Raises:
            ExecutorBrokenError: If something is wrong with Airflow.
            RuntimeError: After it was shut down.
        """
        with self._lock:
            if self.broken:
                raise ExecutorBrokenError(self.broken)
            if self._shut:
                raise RuntimeError("Cannot submit to an AirflowExecutor after its shutdown().")
            key = f"{next(self._numbers):06}"
            self._queue.append(AirflowCall(key, self._prefix + key, job, future))
        self.wake()

    def wake(self) -> None:
        """Have the thread see what is new."""
        self._woken.set()

    def shut_down(self, *, cancel_queued: bool = False) -> None:
        """End when all calls are done."""
        with self._lock:
            self._shut = True
            calls = self._all_calls() if cancel_queued else ()
        for call in calls:
            if not self._runs.has_begun(call):
                call.future.cancel()
        self.wake()

    def abandon(self) -> None:
        """Cancel everything, and end."""
        with self._lock:
            self._shut = self._abandoned = True
            calls = self._all_calls()
        for call in calls:
            call.future.cancel()
        self.wake()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end, unless this is the thread itself."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def shut_down_and_join(self) -> None:
        """End when all calls are done, and wait for it: what happens at the interpreter's exit."""
        self.shut_down()
        self.join(LEAVING if self._abandoned else None)
        if self._thread.is_alive():  # or it has said it itself
            self._say_what_is_left()

    def _all_calls(self) -> tuple[AirflowCall, ...]:
        return (*tuple(self._queue), *self._runs.live())

    # What happens in the thread.

    def _run(self) -> None:
        try:
            while self._goes_on():
                self._woken.wait(self._until_next_turn())
                self._woken.clear()
                self._take_turn()
        except BaseException as error:  # noqa: BLE001
            self._break(f"The thread that talks to Airflow failed: {said(error)}")
        finally:
            self._close()

    def _goes_on(self) -> bool:
        # Under the lock: nobody can add to the queue of somebody who is leaving.
        with self._lock:
            return not self._abandoned and bool(self._queue or self._runs or not self._shut)

    def _until_next_turn(self) -> float | None:
        now = time.monotonic()
        if self._trouble.since is not None:
            return max(0.0, self._next_try - now)
        if self._queue:
            return 0.0
        times = (self._runs.next_look, self._runs.leftovers.due)
        due = min((time for time in times if time is not None), default=None)
        return None if due is None else max(0.0, due - now)

    def _take_turn(self) -> None:
        self._runs.drop_cancelled()
        if time.monotonic() < self._next_try:
            return
        try:
            self._look()
            self._runs.leftovers.tidy()
            self._start_some()
        except AirflowUnreachableError as error:
            self._no_answer(error)
        except AirflowRefusedError as error:
            self._break(str(error))
        else:
            self._trouble.is_over()
        self._runs.collect()

    def _look(self) -> None:
        if self._is_time_to_look():
            self._runs.look()

    def _is_time_to_look(self) -> bool:
        due = self._runs.next_look
        return due is not None and due <= time.monotonic()

    def _start_some(self) -> None:
        while self._queue:
            call = self._queue[0]
            if call.future.cancelled():
                self._runs.drop(call)
            else:
                self._runs.start(call)
            self._queue.popleft()
            if self._is_time_to_look():
                break

    def _no_answer(self, error: AirflowUnreachableError) -> None:
        now = time.monotonic()
        wait = self._trouble.until_next_try(now)
        if wait is None:
            self._break(f"Given up after {self._trouble.patience:g} s without an answer: {error}")
        else:
            self._next_try = now + wait
        if self._trouble.tries == TRIES_UNTIL_SAID:
            logger.warning("Airflow is waited for: %s", error)

    def _break(self, why: str) -> None:
        with self._lock:
            self.broken = why
            self._shut = True
            queue, self._queue = self._queue, deque()
        self._runs.give_up(queue, why)

    def _close(self) -> None:
        for call in self._queue:
            self._runs.drop(call)
        self._runs.abandon_all()
        self._remove_storage()  # from now on no run does anything
        if self.broken is None:
            self._tidy_up()
        self._api.close()
        atexit.unregister(self.shut_down_and_join)

    def _remove_storage(self) -> None:
        try:
            self._storage.close()
        except Exception as error:  # noqa: BLE001
            logger.warning("Something is left in the storage of Airflow's calls: %s", said(error))

    def _tidy_up(self) -> None:
        leftovers = self._runs.leftovers
        until = time.monotonic() + TIDYING
        while (due := leftovers.due) is not None and time.monotonic() < until:
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                leftovers.tidy()
            except AirflowUnreachableError:
                time.sleep(FIRST_RETRY)
        self._say_what_is_left()

    def _say_what_is_left(self) -> None:
        if n_left := len(self._runs.leftovers):
            logger.warning("%d runs are left in Airflow, and will do nothing", n_left)
