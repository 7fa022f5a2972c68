"""Threads that can be abandoned.

Python cannot stop a thread, and its own pool makes the interpreter wait for every thread when it
exits: after Ctrl-C a program would go on for as long as its longest call takes. The threads here
are daemons, so a call that nobody waits for does not keep the program alive.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import ClassVar

from typing_extensions import ParamSpec, TypeVar, override

from amltk.backends.abandoned import abandon
from amltk.backends.abilities import Abilities
from amltk.backends.job import Job
from amltk.exceptions import ExecutorBrokenError

__all__ = ["ThreadPool"]

P = ParamSpec("P")
R = TypeVar("R")


class ThreadPool(Executor):
    """Threads that compute calls, started as they are needed.

    Args:
        max_workers: Number of threads.
        name: What the names of the threads begin with.
        begin: Called in each thread before its first call. If it raises, the pool is broken.
    """

    abilities: ClassVar[Abilities] = Abilities(functions="any", overhead=2e-5)

    def __init__(
        self, max_workers: int, *, name: str, begin: Callable[[], object] | None = None
    ) -> None:
        self._max_workers = max_workers
        self._name = name
        self._begin = begin
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.RLock()  # a signal handler may shut the pool during `submit`
        self._shut = False
        self._broken: ExecutorBrokenError | None = None
        atexit.register(self.shutdown)

    @override
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Compute a call in one of the threads.

        Raises:
            ExecutorBrokenError: If what threads begin with raised.
            RuntimeError: After `shutdown`.
        """
        future: Future[R] = Future()
        with self._lock:
            if self._broken is not None:
                raise ExecutorBrokenError(str(self._broken)) from self._broken.__cause__
            if self._shut:
                raise RuntimeError("Cannot submit to a ThreadPool after its shutdown().")
            self._queue.put(Job(future, fn, args, kwargs))
            self._see_to_a_thread()
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; those that are left are computed, unless they are cancelled.

        Args:
            wait: Return only when all threads have ended.
            cancel_futures: Cancel the calls that no thread has begun.
        """
        with self._lock:
            self._shut = True
            cancelled = self._queued() if cancel_futures else []
            self._send_home()
        for job in cancelled:  # not under the lock: whoever hears of it may submit
            job.cancel()
        for thread in self._threads if wait else ():
            thread.join()
        atexit.unregister(self.shutdown)

    def terminate(self) -> None:
        """Cancel what no thread has begun, and abandon what is being computed."""
        self.shutdown(wait=False, cancel_futures=True)
        abandon(self._threads)

    def _see_to_a_thread(self) -> None:
        if self._idle:
            self._idle -= 1
        elif len(self._threads) < self._max_workers:
            name = f"{self._name}-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _work(self) -> None:
        if not self._has_begun():
            return
        while (job := self._next_job()) is not None:
            compute(job)
            del job  # while the thread waits, it keeps nothing alive

    def _has_begun(self) -> bool:
        try:
            if self._begin is not None:
                self._begin()
        except BaseException as error:  # noqa: BLE001
            self._break(error)
        return self._broken is None

    def _next_job(self) -> Job | None:
        with self._lock:  # as `submit`: what is put while this looks, it does not overlook
            try:
                return self._queue.get_nowait()
            except Empty:
                self._idle += 1
        return self._queue.get()

    def _break(self, cause: BaseException) -> None:
        with self._lock:
            self._broken = ExecutorBrokenError(f"The initializer of a thread raised {cause!r}")
            self._broken.__cause__ = cause
            lost = self._queued()
            self._send_home()
        for job in lost:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(self._broken)

    def _send_home(self) -> None:
        for _ in self._threads:
            self._queue.put(None)

    def _queued(self) -> list[Job]:
        jobs: list[Job] = []
        with suppress(Empty):
            while True:
                job = self._queue.get_nowait()
                jobs += [] if job is None else [job]
        return jobs

    @override
    def __repr__(self) -> str:
        state = "broken" if self._broken else "shut down" if self._shut else "open"
        return f"<ThreadPool of {self._max_workers} threads: {state}>"


def compute(job: Job) -> None:
    if not job.future.set_running_or_notify_cancel():
        return
    try:
        result = job.function(*job.args, **job.kwargs)
    except BaseException as error:  # noqa: BLE001
        job.future.set_exception(error)
    else:
        job.future.set_result(result)
