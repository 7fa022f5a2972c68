"""Calls that failed, and wait for the time of their next attempt.

Meanwhile they are pending like every other call. In place of the executor's future there is one
that nobody computes: who cancels the call cancels that.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from amltk.callbacks import INTERRUPTS
from amltk.scheduling.call import Call, CallFuture

__all__ = ["Waiting"]


class Timer(Protocol):
    """What can be kept from happening."""

    def cancel(self) -> None:
        """Keep it from happening."""
        ...


class Attempts(Protocol):
    """What this needs of a run."""

    @property
    def pending(self) -> dict[Future[Any], CallFuture[Any]]:
        """The calls that are pending, by the future of the executor.

        A waiting one is under the future that stands in for that.
        """
        ...

    @property
    def goes_on(self) -> bool:
        """Whether there is no reason to end yet; if there is, calls wait to be told of it."""
        ...

    def later(self, seconds: float, what: Callable[[], None], /) -> Timer:
        """Have a function called after so many seconds."""
        ...

    def watch(self, source: Future[Any], future: CallFuture[Any], /) -> None:
        """File a call under the executor's future, and wait for that."""
        ...

    def conclude(self, future: CallFuture[Any], error: BaseException, /) -> None:
        """End a call with what it raised."""
        ...

    def report(self, error: BaseException, /) -> None:
        """Have the run decide about what came in between."""
        ...


class Begins(Protocol):
    """What begins attempts."""

    def begin(self, call: Call[Any], future: CallFuture[Any], /) -> Future[Any]:
        """Hand an attempt at a call to the executor."""
        ...

    def abandon(self, source: Future[Any], /) -> None:
        """Cancel an attempt that nobody waits for."""
        ...


class Waiting:
    """The calls of one run that wait for another attempt.

    Args:
        run: Hears what becomes of them.
        attempts: Makes the attempts.
    """

    def __init__(self, run: Attempts, attempts: Begins) -> None:
        self._run = run
        self._attempts = attempts
        self._timers: dict[Future[Any], tuple[Timer, BaseException]] = {}

    def add(self, future: CallFuture[Any], error: BaseException, seconds: float) -> None:
        """Have a call that raised this attempted again after so many seconds."""
        stand_in: Future[Any] = Future()
        self._run.watch(stand_in, future)
        timer = self._run.later(seconds, lambda: self._attempt(stand_in))
        self._timers[stand_in] = timer, error
        stand_in.add_done_callback(self._forget)

    def end(self) -> None:
        """Attempt nothing any more: each call ends with what it raised last."""
        for stand_in, (_, error) in tuple(self._timers.items()):
            self._end(stand_in, error)

    def _forget(self, stand_in: Future[Any]) -> None:
        timer, _ = self._timers.pop(stand_in)
        timer.cancel()

    def _attempt(self, stand_in: Future[Any]) -> None:
        future = self._run.pending[stand_in]
        owner = future.owner
        if owner is None or not self._run.goes_on:
            return
        try:
            call = owner.next_attempt()
            if stand_in.done():
                return  # it was cancelled by a callback that heard of the attempt
            source = None if call is None else self._attempts.begin(call, future)
        except INTERRUPTS as interrupt:
            self._run.report(interrupt)
        except BaseException as failure:  # noqa: BLE001
            self._end(stand_in, failure)
        else:
            self._go_on(stand_in, source)

    def _go_on(self, stand_in: Future[Any], source: Future[Any] | None) -> None:
        if stand_in.done():  # it was cancelled by the job, which ran at once
            if source is not None:
                self._attempts.abandon(source)
        elif source is None:
            self._end(stand_in, self._timers[stand_in][1])
        else:
            self._forget(stand_in)
            self._run.watch(source, self._run.pending.pop(stand_in))

    def _end(self, stand_in: Future[Any], error: BaseException) -> None:
        if stand_in in self._timers:  # or else it was cancelled meanwhile
            self._forget(stand_in)
            self._run.conclude(self._run.pending.pop(stand_in), error)
