"""An executor whose workers are those of an Airflow."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Executor, Future

from typing_extensions import ParamSpec, TypeVar, override

from amltk.airflow.manager import Manager
from amltk.backends.abilities import Abilities
from amltk.backends.airflow import Airflow
from amltk.backends.job import Job
from amltk.backends.stoppable_future import StoppableFuture

__all__ = ["AirflowExecutor"]

P = ParamSpec("P")
R = TypeVar("R")

AT_ONCE = 2.0
"""Seconds that `terminate` waits for Airflow to take note of it."""


class AirflowExecutor(Executor):
    """Has each call computed by a run of a DAG in Airflow.

    Made by `amltk.backends.Airflow(...).open()`.

    Args:
        manager: What talks to Airflow.
    """

    abilities: Abilities = Airflow.abilities
    """What can be relied on: what the recipe says."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        # The manager does not know its executor, so one that is forgotten is shut down.
        weakref.finalize(self, manager.shut_down)

    @override
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Have a call computed.

        Its future is running when Airflow says that its task is, and can be cancelled then, too.
        What cannot be pickled ends as its exception, a `NotPicklableError`; a worker that dies, or
        an Airflow that is stopped, as a `WorkerLostError`.

        Raises:
            ExecutorBrokenError: If Airflow takes no calls any more.
            RuntimeError: After `shutdown`.
        """
        future: StoppableFuture[R] = StoppableFuture(self._manager.wake)
        self._manager.take(Job(future, fn, args, kwargs), future)
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; those that are left are computed, unless they are cancelled.

        Args:
            wait: Return only when that is done, and nothing is left in Airflow and in the storage.
            cancel_futures: Cancel the calls that are not being computed.
        """
        self._manager.shut_down(cancel_queued=cancel_futures)
        if wait:
            self._manager.join()

    def terminate(self) -> None:
        """Cancel all calls, also those that are being computed, and end.

        Airflow takes about ten seconds to really end what is being computed. Meanwhile, and for a
        minute at most, the runs are deleted in the background; `shutdown` waits for that. If
        Python exits in the meantime, what is left stays there, which the log says.
        """
        self._manager.abandon()
        self._manager.join(AT_ONCE)

    @override
    def __repr__(self) -> str:
        return f"<AirflowExecutor at {self._manager.url}: {self._manager.state}>"
