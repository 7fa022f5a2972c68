"""The runs of one executor: they are started and looked at, and what came of them is collected.

All of this belongs to one thread. It blocks for as long as Airflow or the storage takes for an
answer, and never waits for anything else.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterable
from concurrent.futures import InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import cloudpickle

from amltk.airflow.api import AirflowApi
from amltk.airflow.course import Course
from amltk.airflow.leftovers import Leftovers
from amltk.airflow.outcome import unpack
from amltk.airflow.rhythm import until_next_look
from amltk.airflow.storage import NOTHING, Storage
from amltk.backends.job import Job
from amltk.backends.payload import pack_call, said
from amltk.backends.stoppable_future import StoppableFuture
from amltk.callbacks import name_of
from amltk.exceptions import BackendUnavailableError, ExecutorBrokenError, WorkerLostError

__all__ = ["AirflowCall", "Runs", "Session"]

logger: logging.Logger = logging.getLogger("amltk")

ALL, ALL_SOON = 300.0, 15.0
"""Seconds until all runs are looked at, and not only those with which something has happened; and if
some were missing the last time."""

PYTHON = ".".join(platform.python_version_tuple()[:2])
"""The version of Python, as far as the code of functions depends on it."""


@dataclass(slots=True, eq=False)
class AirflowCall:
    """A call, and the run that computes it."""

    key: str
    """What its box is called."""
    run_id: str
    """What its run is called."""
    job: Job
    """What is called."""
    future: StoppableFuture[Any]
    """The future of the job."""
    box: str | None = None
    """Where its box is, once there is one."""
    course: Course = field(default_factory=Course)
    """What is known of its run."""

    def settle(self, error: BaseException | None, result: object = None) -> None:
        """Give the future its outcome, unless somebody has cancelled it."""
        self.future.begin()
        with suppress(InvalidStateError):
            self.job.settle(error, result)


@dataclass(frozen=True, slots=True)
class Session:
    """How an executor goes about it."""

    prefix: str
    """What the ids of all its runs begin with."""
    poll_interval: float
    """Seconds between two looks at the runs, at least."""
    patience: float
    """Seconds for which Airflow may give no answer before it is given up."""
    keep_runs: bool
    """Whether runs that are over stay in Airflow."""


class Runs:
    """What an executor has going on in Airflow.

    Args:
        api: Airflow.
        storage: Where calls and outcomes lie.
        session: How to go about it.
        clock: What time it is, in seconds.
    """

    def __init__(
        self, api: AirflowApi, storage: Storage, session: Session, clock: Callable[[], float]
    ) -> None:
        self.leftovers: Leftovers = Leftovers(api, keep=session.keep_runs, clock=clock)
        """Runs that nobody needs any more."""
        self._api = api
        self._storage = storage
        self._session = session
        self._clock = clock
        self._live: dict[str, AirflowCall] = {}
        self._since: datetime | None = None
        self._last_news = 0.0
        self._next_look = 0.0
        self._next_look_at_all = 0.0

    def __len__(self) -> int:
        return len(self._live)

    @property
    def next_look(self) -> float | None:
        """When it is time for a look, or `None`."""
        return self._next_look if self._live else None

    def live(self) -> tuple[AirflowCall, ...]:
        """The calls that have a run; any thread may ask."""
        return tuple(self._live.values())

    def has_begun(self, call: AirflowCall) -> bool:
        """Whether a call is being computed, also if Airflow has not said so; any thread may ask."""
        if call.box is None or call.future.running():
            return call.future.running()
        with suppress(Exception):
            return self._storage.look(call.key) != NOTHING
        return False

    def start(self, call: AirflowCall) -> None:
        """Have a call computed.

        What is wrong with the call itself, or with the storage, becomes its outcome.

        Raises:
            AirflowUnreachableError: If it may be that Airflow has not taken it: try again.
            AirflowRefusedError: If Airflow takes no calls.
        """
        try:
            box = self._boxed(call)
        except Exception as error:  # noqa: BLE001
            call.settle(error)
            return
        self._api.trigger(call.run_id, {"box": box, "python": PYTHON}, name_of(call.job.function))
        call.job.args = ()  # they may be large, and now lie in the storage
        call.job.kwargs = {}
        self._live[call.run_id] = call
        self._last_news = now = self._clock()
        self._next_look = min(self._next_look, now + self._session.poll_interval)

    def drop(self, call: AirflowCall) -> None:
        """Have a call not be computed any more."""
        self._live.pop(call.run_id, None)
        if call.box is not None:
            self._storage.remove(call.key)
            self.leftovers.end(call.run_id, has_begun=call.course.has_begun)

    def drop_cancelled(self) -> None:
        """Stop what somebody has cancelled."""
        for call in [call for call in self._live.values() if call.future.cancelled()]:
            self.drop(call)

    def look(self) -> None:
        """See how the runs are.

        Raises:
            AirflowUnreachableError: If Airflow does not say.
            AirflowRefusedError: If it does not want to say.
        """
        began = self._clock()
        at_all = began >= self._next_look_at_all
        seen = self._api.look(self._session.prefix, None if at_all else self._since)
        now = self._clock()
        for call in self._live.values():
            if call.run_id in seen.states:
                self._hear(call, seen.states[call.run_id], now)
            elif at_all:
                call.course.overlook(now)
        self._since = seen.at
        if at_all:
            self._warn_unless_it_is_well()
            some_missing = any(call.course.overlooked for call in self._live.values())
            self._next_look_at_all = now + (ALL_SOON if some_missing else ALL)
        quiet = now - self._last_news
        self._next_look = now + until_next_look(quiet, now - began, self._session.poll_interval)

    def collect(self) -> None:
        """Give calls what came of them."""
        for call in [call for call in self._live.values() if call.course.to_collect]:
            self._collect(call)

    def give_up(self, queue: Iterable[AirflowCall], why: str) -> None:
        """Settle all calls, with what came of them if that is there already.

        Args:
            queue: Calls of which nobody knows that they have a run.
            why: What is wrong with Airflow.
        """
        for call in (*self._live.values(), *queue):
            call.settle(*self._last_word(call, why))
        self.abandon_all()

    def abandon_all(self) -> None:
        """Have nothing go on; the boxes go with the storage."""
        for call in self._live.values():
            self.leftovers.end(call.run_id, has_begun=call.course.has_begun)
        self._live.clear()

    def _warn_unless_it_is_well(self) -> None:
        if not self._api.scheduler_is_well():
            logger.warning(
                "The scheduler of the Airflow at %s is not running: %d calls wait until it is",
                self._api.url,
                len(self._live),
            )

    def _boxed(self, call: AirflowCall) -> str:
        if call.box is None:
            job = call.job
            packed = pack_call(job.function, job.args, job.kwargs, dumps=cloudpickle.dumps)
            try:
                call.box = self._storage.put(call.key, bytes(packed))
            except Exception as error:
                raise BackendUnavailableError(
                    f"Cannot put {name_of(job.function)}() into the storage: {said(error)}"
                ) from error
        return call.box

    def _hear(self, call: AirflowCall, state: str | None, now: float) -> None:
        had_begun = call.course.has_begun
        if call.course.hear(state, now):
            self._last_news = now
        if call.course.has_begun and not had_begun:
            call.future.begin()

    def _collect(self, call: AirflowCall) -> None:
        now = self._clock()
        call.course.to_collect = call.course.is_over
        try:
            found = self._storage.look(call.key)
        except Exception as error:  # noqa: BLE001 - it is read again, for a while
            if call.course.is_over and not call.course.may_still_settle(now):
                self._end_as_lost(call, f"what came of it cannot be read: {said(error)}")
            return
        if found.outcome is not None:
            call.settle(*unpack(found.outcome))
            self._forget(call)
            self.leftovers.delete(call.run_id)
        elif (why := call.course.why_lost(found, now)) is not None:
            self._end_as_lost(call, why)

    def _last_word(self, call: AirflowCall, why: str) -> tuple[BaseException | None, Any]:
        found = NOTHING
        with suppress(Exception):
            found = self._storage.look(call.key)
        if found.outcome is not None:
            return unpack(found.outcome)
        # It may have a run though Airflow did not say so: that answer may have been lost.
        if call.run_id in self._live or found.started is not None:
            return self._loss(call, why), None
        name = name_of(call.job.function)
        return ExecutorBrokenError(f"{name}() was not computed: {why}"), None

    def _end_as_lost(self, call: AirflowCall, why: str) -> None:
        # Its run is not deleted: the log there is all that is left of it.
        call.settle(self._loss(call, why))
        self._forget(call)

    def _forget(self, call: AirflowCall) -> None:
        del self._live[call.run_id]
        self._storage.remove(call.key)

    def _loss(self, call: AirflowCall, why: str) -> WorkerLostError:
        return WorkerLostError(
            f"{name_of(call.job.function)}() is lost: {why}. It was not started again. If there is "
            f"a log, it is with the run {call.run_id} of the DAG {self._api.dag_id!r} at "
            f"{self._api.url}"
        )
