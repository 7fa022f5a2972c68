"""How it is known what became of calls in a Dask cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from typing import Protocol

import distributed
from distributed.scheduler import KilledWorker
from typing_extensions import override

from amltk.backends.dask.call import DaskCall, Remote
from amltk.backends.dask.spool import Spool
from amltk.backends.dask.worker import Failed, leave_outcome, return_outcome

__all__ = ["Outcomes", "OutcomesFromScheduler", "OutcomesInFiles"]

FRESH = 1.0
"""Seconds for which what workers compute need not be asked again."""

ASKING = 3.0
"""Seconds that this may take."""


class Outcomes(Protocol):
    """A way for outcomes to come back."""

    compute: Callable[..., bytes | None]
    """What workers are asked to call."""

    async def fetch(self, call: DaskCall, remote: Remote) -> bytes | None:
        """Wait for the packed outcome; `None` if the call has to be sent again.

        Raises:
            BaseException: What Dask says if there will be no outcome.
        """
        ...

    def has_begun(self, call: DaskCall) -> bool:
        """Whether a worker has begun this call, which is not done yet."""
        ...

    def keep_from_beginning(self, call: DaskCall) -> bool:
        """See to it that no worker begins this call; returns whether none has, as far as is known."""
        ...

    def close(self) -> None:
        """There are no more calls."""
        ...


class OutcomesFromScheduler(Outcomes):
    """Outcomes are what the scheduler gets from workers, wherever these are.

    Args:
        client: The connection to the scheduler.
        raising: Whether the scheduler is to hear of calls that fail, to try them again.
    """

    def __init__(self, client: distributed.Client, *, raising: bool = False) -> None:
        self._client = client
        self._computed: set[str] = set()
        self._looked_at = -FRESH
        self.compute: Callable[..., bytes | None] = partial(return_outcome, raising=raising)

    @override
    async def fetch(self, call: DaskCall, remote: Remote) -> bytes | None:
        try:
            [packed] = await self._client.gather([remote], asynchronous=True)
        except Failed as failed:
            return failed.packed
        return packed

    @override
    def has_begun(self, call: DaskCall) -> bool:
        if time.monotonic() > self._looked_at + FRESH and not self._client.asynchronous:
            self._look()
        return call.remote is not None and call.remote.key in self._computed

    @override
    def keep_from_beginning(self, call: DaskCall) -> bool:
        return True

    @override
    def close(self) -> None:
        return

    def _look(self) -> None:
        answer: Future[set[str]] = Future()
        self._client.loop.add_callback(self._ask, answer)
        with suppress(OSError, RuntimeError, TimeoutError):  # then it is as it was
            self._computed = answer.result(ASKING)
        self._looked_at = time.monotonic()

    async def _ask(self, answer: Future[set[str]]) -> None:
        try:
            stacks = await self._client.call_stack()
        except BaseException as error:  # noqa: BLE001
            answer.set_exception(error)
        else:
            answer.set_result({key for stack in stacks.values() for key in stack})


class OutcomesInFiles(Outcomes):
    """Workers on this machine leave outcomes in files."""

    def __init__(self) -> None:
        self._spool = Spool()
        self.compute: Callable[..., bytes | None] = partial(leave_outcome, folder=self._spool.path)

    @override
    async def fetch(self, call: DaskCall, remote: Remote) -> bytes | None:
        error = await remote.exception()
        packed = self._spool.take(call.number)
        if packed is not None:
            return packed
        if isinstance(error, KilledWorker) and not self._spool.has_begun(call.number):
            return None  # it only waited there
        raise error or CancelledError(
            "it was cancelled" if remote.cancelled() else "its worker died"
        )

    @override
    def has_begun(self, call: DaskCall) -> bool:
        return self._spool.has_begun(call.number)

    @override
    def keep_from_beginning(self, call: DaskCall) -> bool:
        return self._spool.keep_from_beginning(call.number)

    @override
    def close(self) -> None:
        self._spool.close()
