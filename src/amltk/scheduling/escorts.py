"""Attempts at calls of tasks that have plugins, and what these have going along with them.

An attempt with companions has an outcome that is held back: the run asks whether it may deliver
it, and if not, the outcome arrives once more when the last companion has let it go.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

from typing_extensions import TypeVar

from amltk.scheduling.call import NOT_YET, Call, CallFuture
from amltk.scheduling.companions import Attempt, Companion, OpenRun
from amltk.scheduling.open_backend import OpenBackend
from amltk.scheduling.outcomes import guarded

__all__ = ["Escorts"]

R = TypeVar("R")


class RunOfCalls(OpenRun, Protocol):
    """What this needs of a run."""

    @property
    def pending(self) -> dict[Future[Any], CallFuture[Any]]:
        """The calls that are pending, by the future of the executor."""
        ...

    def watch(self, source: Future[Any], future: CallFuture[Any], /) -> None:
        """File a call under the executor's future, and wait for that."""
        ...

    def arrived(self, source: Future[Any], /) -> None:
        """Deliver what became of a call."""
        ...

    def tell_of(self, future: CallFuture[Any], /) -> None:
        """Tell everybody that a call was submitted."""
        ...


class Escort:
    """The companions of one attempt."""

    def __init__(
        self, companions: Iterable[Companion], failed: Callable[[BaseException], None]
    ) -> None:
        self._companions = {id(companion): companion for companion in companions}
        self._failed = failed
        self.was_told: bool = False
        """Whether the companions know that there is an outcome."""

    @property
    def is_gone(self) -> bool:
        """Whether all have let the outcome go."""
        return not self._companions

    def end(self, then: Callable[[], None]) -> None:
        """Tell the companions that there is an outcome.

        Args:
            then: Called when the last of them has let it go.
        """
        self.was_told = True
        for key, companion in tuple(self._companions.items()):
            let_go = partial(self._let_go, key, then)
            try:
                companion.attempt_ended(let_go)
            except BaseException as error:  # noqa: BLE001
                self._failed(error)
                let_go()

    def cancel(self) -> None:
        """Tell the companions that nobody waits any more."""
        while self._companions:
            _, companion = self._companions.popitem()
            guarded(self._failed, companion.attempt_cancelled)

    def _let_go(self, key: int, then: Callable[[], None]) -> None:
        if self._companions.pop(key, None) is not None and not self._companions:
            then()


class Escorts:
    """Begins attempts that plugins have a say in.

    Args:
        run: Where they belong to.
        executor: What computes them.
    """

    def __init__(self, run: RunOfCalls, executor: OpenBackend) -> None:
        self._run = run
        self._executor = executor
        self.of: dict[Future[Any], Escort] = {}
        """Those of the attempts that have companions, by the future of the executor."""

    def submit(self, call: Call[R], future: CallFuture[R]) -> None:
        """Begin the first attempt at a call, and tell everybody of it."""
        try:
            source = self.begin(call, future)
        except BaseException:
            future.source.cancel()  # if everybody was told of it, they hear that it is cancelled
            raise
        if future.source is NOT_YET:
            self._run.watch(source, future)
            self._run.tell_of(future)
        else:
            del self._run.pending[future.source]
            self._run.watch(source, future)

    def begin(self, call: Call[R], future: CallFuture[R]) -> Future[R]:
        """Hand an attempt to the executor, with its companions."""
        if future.owner is None or not future.owner.is_accompanied:
            return self._executor.submit(call)
        announce = partial(self._announce, future)
        attempt = Attempt(call, future, self._run, self._executor.abilities, announce)
        call, companions = future.owner.accompany(attempt)
        with self._withdrawn_unless_taken(companions):
            source = self._executor.submit(call)
        if companions:
            self.of[source] = Escort(companions, self._run.report)
        return source

    def abandon(self, source: Future[Any]) -> None:
        """Cancel an attempt that nobody waits for."""
        source.cancel()
        self._dismiss(source)

    def hold(self, source: Future[Any]) -> bool:
        """Whether companions hold back what became of an attempt; they are told that it is here."""
        escort = self.of.get(source)
        if escort is None:
            return False
        future = self._run.pending.get(source)
        if future is None or future.done():
            self._dismiss(source)
        elif not escort.was_told:
            escort.end(partial(self._run.arrived, source))
        if escort.is_gone:
            self.of.pop(source, None)
        return source in self.of

    def _dismiss(self, source: Future[Any]) -> None:
        escort = self.of.pop(source, None)
        if escort is not None:
            escort.cancel()

    def _announce(self, future: CallFuture[Any]) -> None:
        if future.source is NOT_YET:
            self._run.watch(Future(), future)  # stands in for the one that the executor will give
            self._run.tell_of(future)

    @contextmanager
    def _withdrawn_unless_taken(self, companions: Iterable[Companion]) -> Generator[None]:
        try:
            yield
        except BaseException:
            for companion in companions:
                guarded(self._run.report, companion.attempt_withdrawn)
            raise
