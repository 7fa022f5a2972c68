"""The thread that owns the workers of a pool.

It sleeps until a worker has something to say, a worker is gone, or another thread has put
something into the queue. Once it runs, only this thread touches workers; the lock is for what other
threads see: the queue, and whether there is still somebody to wake.
"""

from __future__ import annotations

import os
import selectors
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable

from amltk.backends.job import Job
from amltk.backends.payload import pack_call, unpack_outcome
from amltk.backends.start_method import ProcessContext
from amltk.backends.worker import READY, WorkerPlan
from amltk.backends.worker_process import WorkerProcess
from amltk.callbacks import name_of
from amltk.exceptions import ExecutorBrokenError, WorkerLostError

__all__ = ["PoolManager"]

GRACE = 5.0
"""Seconds that workers may take to end, all of them together, before they are made to."""

FAILED_STARTS = 3
"""Workers that die one after the other before they are ready, until the pool counts as broken."""


class PoolManager:
    """Starts workers, hands them jobs, and settles the futures."""

    def __init__(self, max_workers: int, context: ProcessContext, plan: WorkerPlan) -> None:
        self.max_workers = max_workers
        self.broken: str | None = None
        """Why the pool takes no more work, if it is broken."""
        self._context = context
        self._plan = plan
        self._queue: deque[Job] = deque()
        self._workers: dict[int, WorkerProcess] = {}
        self._busy: dict[int, Job] = {}
        self._idle: list[WorkerProcess] = []
        self._leaving: set[int] = set()
        self._starting = 0
        self._failed_starts = 0
        self._lock = threading.RLock()
        self._shut = False
        self._closed = False
        self._awake = False
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe()
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._woken)
        if context.get_start_method() == "fork":
            # All of them now: later there are threads, and a fork copies them half.
            for _ in range(max_workers):
                self._start_worker()
        self._thread = threading.Thread(target=self._run, name="amltk-worker-pool", daemon=True)
        self._thread.start()

    # What other threads call.

    @property
    def state(self) -> str:
        """What can be said of it in a word."""
        return "broken" if self.broken else "shut down" if self._shut else "open"

    def pids(self) -> tuple[int, ...]:
        """The process ids of the workers."""
        return tuple(self._workers)

    def end_with(self, pool: object) -> None:
        """Shut down when nobody has this object any more."""
        self._pool = weakref.ref(pool, lambda _: self.shut_down())

    def take(self, job: Job) -> None:
        """Put a job at the end of the queue.

        Raises:
            ExecutorBrokenError: If the pool is broken.
            RuntimeError: If it is shut down.
        """
        with self._lock:
            if self.broken:
                raise ExecutorBrokenError(self.broken)
            if self._shut:
                raise RuntimeError("Cannot submit to a WorkerPool after its shutdown().")
            self._queue.append(job)
        if not self._awake:
            self._wake()

    def shut_down(self, *, cancel_queued: bool = False) -> None:
        """End when all jobs are done."""
        with self._lock:
            self._shut = True
            cancelled = self._empty_queue() if cancel_queued else ()
        for job in cancelled:
            job.cancel()
        self._wake()

    def join(self) -> None:
        """Wait for the end, unless this is the manager's own thread."""
        if self._thread is not threading.current_thread():
            self._thread.join()

    def shut_down_and_join(self) -> None:
        """End when all jobs are done, and wait for it: what happens at the interpreter's exit."""
        self.shut_down()
        self.join()

    def _wake(self) -> None:
        with self._lock:
            if not self._awake and not self._closed:
                self._awake = True
                os.write(self._wake_writer, b".")

    def _empty_queue(self) -> Iterable[Job]:
        queue, self._queue = self._queue, deque()
        return queue

    # What happens in the manager's thread.

    def _run(self) -> None:
        try:
            self._hand_out()
            while self._goes_on():
                for key, _ in self._selector.select():
                    key.data()
                self._hand_out()  # before looking whether to go on: it may leave nothing to do
        except BaseException as error:  # noqa: BLE001
            self._break(f"The manager of the worker pool failed: {error!r}", error)
            self._fail(self._busy.values(), error)
        finally:
            self._close()

    def _goes_on(self) -> bool:
        # Decided under the lock: nobody can put a job into the queue of a manager that is leaving.
        with self._lock:
            return bool(self._queue or self._busy or not self._shut)

    def _woken(self) -> None:
        os.read(self._wake_reader, 4096)
        self._awake = False  # before the queue is looked at: who adds to it later wakes us again

    def _hand_out(self) -> None:
        while self._idle and (job := self._next_job()) is not None:
            if job.future.set_running_or_notify_cancel():
                self._hand(job, self._idle.pop())
        missing = len(self._queue) - self._starting
        staying = len(self._workers) - len(self._leaving)
        for _ in range(min(missing, self.max_workers - staying)):
            self._start_worker()

    def _next_job(self) -> Job | None:
        with self._lock:
            return self._queue.popleft() if self._queue else None

    def _hand(self, job: Job, worker: WorkerProcess) -> None:
        try:
            packed = pack_call(job.function, job.args, job.kwargs)
        except BaseException as error:  # noqa: BLE001
            self._idle.append(worker)
            job.future.set_exception(error)
            return
        self._busy[worker.pid] = job
        worker.send(packed)

    def _start_worker(self) -> None:
        worker = WorkerProcess(self._context, self._plan, self._workers.values())
        self._workers[worker.pid] = worker
        self._starting += 1
        self._selector.register(worker.connection, selectors.EVENT_READ, lambda: self._hear(worker))
        self._selector.register(worker.death, selectors.EVENT_READ, lambda: self._gone(worker))

    def _hear(self, worker: WorkerProcess) -> None:
        message = worker.receive()
        if message is None:
            self._bury(worker)
        else:
            self._understand(worker, message)

    def _gone(self, worker: WorkerProcess) -> None:
        # It may have finished its call before it died.
        while worker.has_message() and (message := worker.receive()) is not None:
            self._understand(worker, message)
        self._bury(worker)

    def _understand(self, worker: WorkerProcess, message: bytes) -> None:
        if worker.ready:
            self._settle(worker, message)
        elif message == READY:
            self._starting -= 1
            self._failed_starts = 0
            worker.ready = True
            self._idle.append(worker)
        else:
            error, _ = unpack_outcome(message)
            self._break(f"The initializer of a worker raised {error!r}", error)

    def _settle(self, worker: WorkerProcess, message: bytes) -> None:
        job = self._busy.pop(worker.pid)
        worker.computed += 1
        if worker.computed == self._plan.max_calls:
            self._leaving.add(worker.pid)  # it ends by itself, and another one may start
        else:
            self._idle.append(worker)
        try:
            self._hand_out()  # first give the worker something to do, then tell of its outcome
        finally:
            job.settle(*unpack_outcome(message))

    def _bury(self, worker: WorkerProcess) -> None:
        if worker.pid not in self._workers:
            return
        self._retire(worker)
        if not worker.ready:
            self._never_ready(worker)
        job = self._busy.pop(worker.pid, None)
        if job is not None:
            job.future.set_exception(WorkerLostError(worker.death_during(job.function)))

    def _never_ready(self, worker: WorkerProcess) -> None:
        self._starting -= 1
        self._failed_starts += 1
        if self._failed_starts >= FAILED_STARTS:
            self._break(worker.death_before_ready())

    def _retire(self, worker: WorkerProcess, *, until: float = 0.0) -> None:
        del self._workers[worker.pid]
        self._leaving.discard(worker.pid)
        if worker in self._idle:
            self._idle.remove(worker)
        self._selector.unregister(worker.connection)
        self._selector.unregister(worker.death)
        worker.end(until)

    def _break(self, why: str, cause: BaseException | None = None) -> None:
        with self._lock:
            self.broken = self.broken or why
            self._shut = True
            lost = self._empty_queue()
        self._fail((job for job in lost if job.future.set_running_or_notify_cancel()), cause)

    def _fail(self, jobs: Iterable[Job], cause: BaseException | None) -> None:
        for job in jobs:
            error = ExecutorBrokenError(f"{self.broken}. No result from {name_of(job.function)}().")
            error.__cause__ = cause
            job.future.set_exception(error)

    def _close(self) -> None:
        for worker in self._workers.values():
            worker.tell_to_end()
        until = time.monotonic() + GRACE
        for worker in tuple(self._workers.values()):
            self._retire(worker, until=until)
        with self._lock:
            self._closed = True
            self._selector.close()
            os.close(self._wake_reader)
            os.close(self._wake_writer)
