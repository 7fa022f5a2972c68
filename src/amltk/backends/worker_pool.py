"""A pool of processes in which a worker that dies costs the one call it was computing.

    submit() ──▶ queue ──▶ manager thread ══ call ══▶ worker process
    future  ◀── outcome ◀── manager thread ◀═ outcome ══ worker process

Each worker has a connection of its own and is given one call at a time, so it is always known
who computes what: when a worker dies that call is lost, nothing else is, and a new worker takes
its place. The manager thread owns the workers; other threads only append to the queue and wake it.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from concurrent.futures import Executor, Future

from typing_extensions import ParamSpec, TypeVar, override

from amltk.backends.job import Job
from amltk.backends.pool_manager import PoolManager
from amltk.backends.process_trees import end_processes
from amltk.backends.start_method import ProcessContext, StartMethod, context_for
from amltk.backends.worker import WorkerPlan

__all__ = ["WorkerPool"]

P = ParamSpec("P")
R = TypeVar("R")


class WorkerPool(Executor):
    """Worker processes, each of which computes one call at a time.

    Args:
        max_workers: Number of processes.
        mp_context: How they are started: a start method, a context, or Python's default.
        initializer: Called in each worker before its first call. If it raises, the pool is broken.
        initargs: Arguments of the initializer.
        max_tasks_per_child: Calls after which a worker is replaced; never if `None`.
    """

    def __init__(
        self,
        max_workers: int,
        *,
        mp_context: StartMethod | ProcessContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[object, ...] = (),
        max_tasks_per_child: int | None = None,
    ) -> None:
        plan = WorkerPlan(initializer, initargs, max_tasks_per_child)
        self._manager = PoolManager(max_workers, context_for(mp_context), plan)
        # The manager does not know its pool, so one that is forgotten shuts down by itself.
        self._manager.end_with(self)
        atexit.register(self._manager.shut_down_and_join)

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers that are alive."""
        return self._manager.pids()

    @override
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Compute a call in one of the workers.

        What cannot be pickled ends as the future's exception, a `NotPicklableError`; a worker that
        dies with the call as a `WorkerLostError`.

        Raises:
            ExecutorBrokenError: If workers cannot be started, or their initializer raised.
            RuntimeError: After `shutdown`.
        """
        future: Future[R] = Future()
        self._manager.take(Job(future, fn, args, kwargs))
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the workers once they have computed those that are left.

        Args:
            wait: Return only when all workers are gone.
            cancel_futures: Cancel the calls that no worker has begun.
        """
        atexit.unregister(self._manager.shut_down_and_join)
        self._manager.shut_down(cancel_queued=cancel_futures)
        if wait:
            self._manager.join()

    def terminate(self) -> None:
        """End the workers with all they started, at once.

        Calls that no worker has begun are cancelled; those that are being computed end as
        `WorkerLostError`.
        """
        self.shutdown(wait=False, cancel_futures=True)
        end_processes(self.pids)
        self._manager.join()

    @override
    def __repr__(self) -> str:
        return f"<WorkerPool of {self._manager.max_workers} processes: {self._manager.state}>"
