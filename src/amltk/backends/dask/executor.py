"""Calls that a Dask cluster computes.

    submit() ──▶ inbox ──▶ loop of the client ══ graph ══▶ scheduler ──▶ worker
    future  ◀───────────── loop of the client ◀═ outcome ═ scheduler ◀── worker

Calls are pickled when they are submitted, and unpickled in the worker by us: Dask sees nothing but
bytes. So it cannot take two calls for one because they look alike, nor keep a keyword of the
function for itself, nor take an argument for the name of another call.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from itertools import count
from typing import Any

import distributed
from typing_extensions import ParamSpec, TypeVar, override

from amltk.backends.abilities import Abilities
from amltk.backends.adapting import ON_A_CLUSTER_OF_OTHERS
from amltk.backends.dask.call import DaskCall
from amltk.backends.dask.courier import Courier
from amltk.backends.dask.future import DaskFuture
from amltk.backends.dask.outcomes import Outcomes, OutcomesFromScheduler
from amltk.backends.dask.packing import pack
from amltk.callbacks import name_of
from amltk.exceptions import ExecutorBrokenError, NotPicklableError

__all__ = ["DaskExecutor"]

P = ParamSpec("P")
R = TypeVar("R")


class DaskExecutor(Executor):
    """Hands calls to a Dask cluster.

    Dask cannot stop what a worker has begun, nor does it tell when a worker begins. Where outcomes come
    back in files, that is known: a call that is `running()` is not cancelled. Elsewhere the
    scheduler is asked what is running, and who cancels such a call abandons it.

    Args:
        client: The connection to the cluster.
        close: What to do when the executor was shut down and its last call is done: close the client,
            and what else belongs to it. It may take its time.
        end: What to do when it is terminated: the same at once, and end what is being computed, as
            far as it is ours to end; `close` if `None`.
        outcomes: How outcomes come back; from the scheduler if `None`.
        options: Where calls may run, in keywords of `Client.map`: `workers`, `resources`, `retries`,
            `allow_other_workers`.
    """

    def __init__(
        self,
        client: distributed.Client,
        *,
        close: Callable[[], None],
        end: Callable[[], None] | None = None,
        outcomes: Outcomes | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        options = options or {}
        self.client: distributed.Client = client
        """The connection to the cluster."""
        self._outcomes: Outcomes = outcomes or OutcomesFromScheduler(
            client, raising="retries" in options
        )
        self._courier = Courier(client, self._outcomes, options)
        self._close = close
        self._end = end or close
        self._numbers = count()
        self._pending: dict[Future[Any], DaskCall] = {}
        self._shut = False
        self._gave_up = ""
        self._closed = False
        self._changed = threading.Condition(threading.RLock())
        self._closing = threading.Lock()
        atexit.register(self.shutdown)

    @property
    def abilities(self) -> Abilities:
        """What can be relied on; calls can be ended if the workers are this executor's own."""
        return replace(ON_A_CLUSTER_OF_OTHERS, stops_running=self._end is not self._close)

    @override
    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Compute a call in the cluster.

        What cannot be pickled ends as the future's exception, a `NotPicklableError`; a worker that
        dies with the call as a `WorkerLostError`. A future of Dask among the arguments arrives as
        what it stands for.

        Raises:
            ExecutorBrokenError: If the connection to the cluster is closed, or the cluster has given
                up.
            RuntimeError: After `shutdown`.
        """
        self._require_open()
        future: DaskFuture[R] = DaskFuture(self._pending, self._outcomes)
        try:
            packed, needs = pack(fn, args, kwargs)
        except NotPicklableError as error:
            future.set_exception(error)
            return future
        call = DaskCall(future, name_of(fn), next(self._numbers), packed, needs)
        with self._changed:
            self._require_open()
            self._pending[future] = call
        future.add_done_callback(self._done)
        self._courier.take(call)
        return future

    @override
    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and close when those that are left are computed.

        Args:
            wait: Return only when that has happened.
            cancel_futures: Cancel the calls that no worker has begun.
        """
        with self._changed:
            self._shut = True
        if cancel_futures:
            self._cancel_queued()
        if wait:
            self._finish()
        else:
            threading.Thread(target=self._finish, name="amltk-dask-closer", daemon=True).start()

    def terminate(self) -> None:
        """Close at once; ends the workers with all they started, if they are this executor's own.

        Calls that no worker has begun are cancelled; of those that are being computed nobody hears.
        """
        with self._changed:
            self._shut = True
        self._cancel_queued()
        self._close_with(self._end)

    def give_up(self, why: str) -> None:
        """Take no more calls, and let all that are not done end with an `ExecutorBrokenError`.

        Args:
            why: Why the cluster cannot compute anything any more.
        """
        with self._changed:
            self._gave_up = why
        for call in self._calls():
            call.settle(ExecutorBrokenError(why))
            self._courier.drop(call)

    def tell_of_the_dead(self, about: Callable[[str], str]) -> None:
        """Have the errors of lost calls say what else is known of their worker.

        Args:
            about: Returns that for the address of one.
        """
        self._courier.about = about

    def _require_open(self) -> None:
        if self._shut:
            raise RuntimeError("Cannot submit to a DaskExecutor after its shutdown().")
        if self._gave_up:
            raise ExecutorBrokenError(self._gave_up)
        if self.client.status in {"closing", "closed"}:
            raise ExecutorBrokenError("The connection to the Dask cluster is closed.")

    def _done(self, future: Future[Any]) -> None:
        with self._changed:
            call = self._pending.pop(future)
            if not self._pending:
                self._changed.notify_all()
        if future.cancelled():
            future.set_running_or_notify_cancel()
            self._courier.drop(call)

    def _calls(self) -> tuple[DaskCall, ...]:
        return tuple(self._pending.values())

    def _cancel_queued(self) -> None:
        for call in self._calls():
            if not self._outcomes.has_begun(call):
                call.future.cancel()

    def _finish(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._pending)
        self._close_with(self._close)

    def _close_with(self, close: Callable[[], None]) -> None:
        with self._closing:
            if not self._closed:
                self._closed = True
                try:
                    close()
                finally:
                    self._outcomes.close()
        atexit.unregister(self.shutdown)

    @override
    def __repr__(self) -> str:
        return f"<DaskExecutor on {self.client}: {'shut down' if self._shut else 'open'}>"
