"""Calls that failed, and wait for the time of their next attempt.

Meanwhile they are pending like every other call. In place of the executor's future there is one
that nobody computes: who cancels the call cancels that.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from amltk.scheduling.call import Call, CallFuture

__all__ = ["Waiting"]


class Timer(Protocol):
    """What can be kept from happening."""

    def cancel(self) -> None:
        """Keep it from happening."""
        ...


class Waiting:
    """The calls of one run that wait for another attempt.

    Args:
        call_later: Calls a function after so many seconds.
        pending: The calls that are pending, by the future of the executor; a waiting one is under
            the future that stands in for that.
        watch: Files a call under the executor's future, and waits for that.
        begin: Hands a call to the executor.
        conclude: Ends a call with what it raised.
    """

    def __init__(
        self,
        call_later: Callable[[float, Callable[[], None]], Timer],
        pending: dict[Future[Any], CallFuture[Any]],
        watch: Callable[[Future[Any], CallFuture[Any]], None],
        begin: Callable[[Call[Any]], Future[Any]],
        conclude: Callable[[CallFuture[Any], BaseException], None],
    ) -> None:
        self._call_later = call_later
        self._pending = pending
        self._watch = watch
        self._begin = begin
        self._conclude = conclude
        self._timers: dict[Future[Any], tuple[Timer, BaseException]] = {}

    def add(self, future: CallFuture[Any], error: BaseException, seconds: float) -> None:
        """Have a call that raised this attempted again after so many seconds."""
        stand_in: Future[Any] = Future()
        self._watch(stand_in, future)
        timer = self._call_later(seconds, lambda: self._attempt(stand_in))
        self._timers[stand_in] = timer, error

    def end(self) -> None:
        """Attempt nothing any more: each call ends with what it raised last."""
        for stand_in, (timer, error) in tuple(self._timers.items()):
            timer.cancel()
            self._end(stand_in, error)

    def _attempt(self, stand_in: Future[Any]) -> None:
        _, error = self._timers[stand_in]
        future = self._pending.get(stand_in)
        if future is None or future.owner is None or future.done():
            del self._timers[stand_in]  # it was cancelled meanwhile
            return
        try:
            call = future.owner.next_attempt()
            source = None if call is None else self._begin(call)
        except Exception as failure:  # noqa: BLE001
            self._end(stand_in, failure)
            return
        if source is None:
            self._end(stand_in, error)
        else:
            del self._timers[stand_in], self._pending[stand_in]
            self._watch(source, future)

    def _end(self, stand_in: Future[Any], error: BaseException) -> None:
        del self._timers[stand_in]
        future = self._pending.get(stand_in)
        if future is not None and not future.done():
            del self._pending[stand_in]
            self._conclude(future, error)
