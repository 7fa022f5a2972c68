"""In front of a pool that breaks as a whole when one of its workers dies.

Such a pool takes everything with it that it was given. So it is given no more calls at a time than
it has workers; the others wait here, and when the pool breaks they go on with a new one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import nullcontext
from functools import partial
from typing import Any

from typing_extensions import ParamSpec, TypeVar, override

from amltk.backends.job import Job
from amltk.backends.payload import Packed, unpack_outcome
from amltk.backends.signals import deaf_from_birth
from amltk.backends.termination import end_pool

__all__ = ["ReopeningPool"]

P = ParamSpec("P")
R = TypeVar("R")

Pack = Callable[[Callable[..., object], tuple[object, ...], Mapping[str, object]], Packed]
Compute = Callable[[bytes], Packed]


class ReopeningPool(Executor):
    """Hands calls to a pool, as many at a time as it can run, and opens another if it breaks.

    Args:
        open_pool: Makes a pool, or gets one.
        at_most: Calls that the pool has in hand at any time.
        owned: Whether the pool is shut down with this executor; otherwise it is left as it is.
        pack: Packs a call; called here.
        compute: Computes a packed call and packs what comes of it; called in the worker.
    """

    def __init__(
        self,
        open_pool: Callable[[], Executor],
        at_most: int,
        *,
        owned: bool,
        pack: Pack,
        compute: Compute,
    ) -> None:
        self._open_pool = open_pool
        self._at_most = at_most
        self._owned = owned
        self._pack = pack
        self._compute = compute
        self._pool = open_pool()
        self._queue: deque[Job] = deque()
        self._in_hand = 0
        self._shut = False
        self._awaited = False
        self._changed = threading.Condition(threading.RLock())

    @override
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Compute a call in a worker of the pool.

        Raises:
            RuntimeError: After `shutdown`.
        """
        future: Future[R] = Future()
        with self._changed:
            if self._shut:
                raise RuntimeError("Cannot submit to an executor after its shutdown().")
            self._queue.append(Job(future, fn, args, kwargs))
            self._hand_out()
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; those that are left are computed, unless they are cancelled."""
        with self._changed:
            self._shut = True
            self._awaited = self._awaited or wait
            while cancel_futures and self._queue:
                self._queue.pop().cancel()
            if wait:
                self._changed.wait_for(self._is_done)
        if self._owned and self._is_done():
            self._pool.shutdown(wait=wait)

    def terminate(self) -> None:
        """Cancel what waits, and end the workers with all they started.

        The workers of a pool that is not owned go on: they may be computing for somebody else.
        """
        self.shutdown(wait=False, cancel_futures=True)
        if self._owned:
            end_pool(self._pool)

    def _is_done(self) -> bool:
        return not self._queue and not self._in_hand

    def _hand_out(self) -> None:
        while self._queue and self._in_hand < self._at_most:
            job = self._queue.popleft()
            if job.future.set_running_or_notify_cancel():
                self._in_hand += 1
                self._hand(job)

    def _hand(self, job: Job) -> None:
        try:
            inner = self._give_to_pool(bytes(self._pack(job.function, job.args, job.kwargs)))
        except Exception as error:  # noqa: BLE001
            self._in_hand -= 1
            job.future.set_exception(error)
        else:
            inner.add_done_callback(partial(self._done, job))

    def _give_to_pool(self, packed: bytes) -> Future[Packed]:
        with deaf_from_birth() if self._owned else nullcontext():  # the pool may start workers
            try:
                return self._pool.submit(self._compute, packed)
            except BrokenExecutor:  # it broke with an earlier call: this one goes to a new pool
                self._pool = self._open_pool()
                return self._pool.submit(self._compute, packed)

    def _done(self, job: Job, inner: Future[Packed]) -> None:
        job.settle(*outcome_in(inner))
        with self._changed:
            self._in_hand -= 1
            self._hand_out()
            self._changed.notify_all()
            # Who waits for the end shuts the pool, too: it can wait for the pool's processes.
            to_shut = self._shut and self._is_done() and not self._awaited
        if to_shut and self._owned:
            self._pool.shutdown(wait=False)


def outcome_in(inner: Future[Packed]) -> tuple[BaseException | None, Any]:
    error = inner.exception()
    return unpack_outcome(inner.result()) if error is None else (error, None)
