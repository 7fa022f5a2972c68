"""The future of a call in a Dask cluster, which asks whether the call has begun."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from typing_extensions import TypeVar, override

from amltk.backends.dask.call import DaskCall
from amltk.backends.dask.outcomes import Outcomes

__all__ = ["DaskFuture"]

R = TypeVar("R")


class DaskFuture(Future[R]):
    """A future that knows no more than others, but asks when it is asked.

    Args:
        pending: The calls that are not done, by their futures.
        outcomes: Who knows what became of them.
    """

    def __init__(self, pending: Mapping[Future[Any], DaskCall], outcomes: Outcomes) -> None:
        super().__init__()
        self._pending = pending
        self._outcomes = outcomes

    @override
    def running(self) -> bool:
        """Whether a worker computes the call."""
        call = self._pending.get(self)
        return call is not None and not self.done() and self._outcomes.has_begun(call)

    @override
    def cancel(self) -> bool:
        """Cancel the call, unless it is done, or known to be running."""
        call = self._pending.get(self)
        if call is None or self.done():
            return super().cancel()
        return self._outcomes.keep_from_beginning(call) and super().cancel()
