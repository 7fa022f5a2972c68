"""A Dask cluster on this machine: a scheduler in this process, and workers.

The `LocalCluster` of `distributed` would do, but for one thing: it gives up workers that die too often,
so that in the end a long run would have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import distributed
from distributed.core import Status
from distributed.system import MEMORY_LIMIT

from amltk.backends.base import n_cores
from amltk.backends.dask.logs import level_of
from amltk.backends.dask.loop import LoopThread
from amltk.backends.signals import start_trackers

if TYPE_CHECKING:
    from distributed.nanny import WorkerProcess

    from amltk.backends.dask.recipe import Dask

__all__ = ["DaskCluster"]

PATIENCE = 5.0
"""Seconds that a worker may take to end by itself."""


class DaskCluster:
    """A scheduler and its worker processes; they are there when this has been made.

    Args:
        recipe: What they are like.
        loop: Where all of it goes on.
    """

    def __init__(self, recipe: Dask, loop: LoopThread) -> None:
        self._recipe = recipe
        self._loop = loop
        self._n_workers = recipe.n_workers or n_cores()
        self._log_level = level_of(recipe.silence_logs)
        self._nannies: list[distributed.Nanny] = []
        start_trackers()
        [self._scheduler] = loop.do(self._start_scheduler())
        try:
            loop.do(*(self._start_worker(number) for number in range(self._n_workers)))
        except BaseException:
            self.end_workers()
            self.close()
            raise

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return self._scheduler.address

    def close(self) -> None:
        """End the workers, which have nothing to compute, and the scheduler."""
        processes = [nanny.process for nanny in self._nannies]
        closing = [nanny.close(timeout=PATIENCE) for nanny in self._nannies]
        self._loop.do(*closing, *map(end_start_of, processes))
        # Who was about to start a worker has done so all the same.
        self._loop.do(*map(end_start_of, processes))
        self._loop.do(self._scheduler.close())

    def end_workers(self) -> None:
        """End the processes of the workers with all they started, at once and for good."""
        from amltk.backends.process_trees import end_processes  # noqa: PLC0415

        for nanny in self._nannies:
            nanny.close_gracefully()  # or else it would start another one
        end_processes([nanny.pid for nanny in self._nannies if nanny.pid is not None])

    async def _start_scheduler(self) -> distributed.Scheduler:
        recipe = self._recipe
        scheduler = distributed.Scheduler(
            host=recipe.host,
            security=recipe.security,
            allowed_failures=0,
            dashboard=recipe.dashboard_address is not None,
            # Something listens there in any case, for those who ask after the scheduler's health.
            dashboard_address=recipe.dashboard_address or f"{recipe.host}:0",
        )
        await scheduler.start()
        return scheduler

    async def _start_worker(self, number: int) -> None:
        recipe = self._recipe
        nanny = distributed.Nanny(
            self.address,
            name=number,
            nthreads=recipe.threads_per_worker,
            memory_limit=self._memory_limit(),
            host=recipe.host,
            security=recipe.security,
            local_directory=recipe.local_directory,
            silence_logs=self._log_level,
        )
        self._nannies.append(nanny)
        await nanny.start()

    def _memory_limit(self) -> str | float | None:
        limit = self._recipe.memory_limit
        return MEMORY_LIMIT // self._n_workers if limit == "auto" else limit


async def end_start_of(process: WorkerProcess | None) -> None:
    """Do not wait for a worker that is to take the place of one which has died."""
    if process is not None and process.process is not None and process.status is Status.starting:
        await process.process.kill()
        await process.stopped.wait()
