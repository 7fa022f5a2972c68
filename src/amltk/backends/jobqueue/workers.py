"""What dask's scheduler knows of workers and calls, in terms of jobs.

This module imports distributed, so it is imported only when a cluster is opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from distributed import Scheduler, SchedulerPlugin
from typing_extensions import override

__all__ = ["Workers"]


class Workers:
    """Listens to dask's scheduler, and answers questions about it; in the thread of its loop.

    Args:
        scheduler: The scheduler.
        joined: Called with the name and the address of a worker that is there.
        left: Called with the address of a worker that is gone.
        busy: Called when there are more calls.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        joined: Callable[[str, str], None],
        left: Callable[[str], None],
        busy: Callable[[], None],
    ) -> None:
        self._scheduler = scheduler
        scheduler.add_plugin(_Listener(joined, left, busy), name="amltk-workers")

    def n_calls(self) -> int:
        """The number of calls that have no outcome yet."""
        scheduler = self._scheduler
        processing = sum(len(worker.processing) for worker in scheduler.workers.values())
        return processing + len(scheduler.queued) + len(scheduler.unrunnable)

    def idle(self) -> frozenset[str]:
        """The addresses of workers that compute nothing and hold no result."""
        workers = self._scheduler.workers.items()
        return frozenset(a for a, w in workers if not w.processing and not w.has_what)

    async def remove(self, addresses: Iterable[str], *, expected: bool) -> None:
        """Take workers off the scheduler.

        Args:
            addresses: Theirs.
            expected: That they are gone; otherwise what they were computing is lost with them.
        """
        for address in tuple(addresses):
            await self._scheduler.remove_worker(
                address, stimulus_id="amltk-remove-worker", expected=expected
            )


class _Listener(SchedulerPlugin):
    def __init__(
        self,
        joined: Callable[[str, str], None],
        left: Callable[[str], None],
        busy: Callable[[], None],
    ) -> None:
        self._joined = joined
        self._left = left
        self._busy = busy

    @override
    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        self._joined(str(scheduler.workers[worker].name), worker)

    @override
    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        self._left(worker)

    @override
    def update_graph(self, scheduler: Scheduler, **kwargs: Any) -> None:
        self._busy()
