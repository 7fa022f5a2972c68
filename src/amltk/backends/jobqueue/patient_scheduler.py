"""A scheduler of dask that gives workers no more calls than they compute, and lets them finish those.

Dask likes to hand calls out ahead of time. When a worker dies it cannot tell which of them was
computed, and takes all of them for lost. When a worker leaves (`--lifetime`), dask has another one
compute anew what it was computing.

This module imports distributed, so it is imported only when a cluster is opened.
"""

from __future__ import annotations

import asyncio
from typing import Any

from distributed import Scheduler, Status
from distributed.scheduler import TaskState
from typing_extensions import override

__all__ = ["patient_scheduler"]

GLANCE = 0.1
"""Seconds between two looks at what a worker has to finish."""


def patient_scheduler(**options: Any) -> Scheduler:
    """Make a scheduler that keeps all calls which no worker has time for.

    Args:
        options: What `distributed.Scheduler` takes.
    """
    return _PatientScheduler(**options)


class _PatientScheduler(Scheduler):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.WORKER_SATURATION: float = 1.0

    @override
    def is_rootish(self, ts: TaskState) -> bool:
        # Such a task may wait here, and not on a worker.
        return not (ts.resource_restrictions or ts.worker_restrictions or ts.host_restrictions)

    @override
    async def retire_workers(self, workers: list[str] | None = None, **how: Any) -> object:
        for address in workers or ():
            await self._finish(address)
        return await super().retire_workers(workers, **how)

    async def _finish(self, address: str) -> None:
        """Give a worker no more calls, and wait until what it has computed was fetched."""
        worker = self.workers.get(address)
        if worker is not None:
            self.handle_worker_status_change(Status.closing_gracefully, worker, "amltk-retire")
        while self._is_busy(address):  # noqa: ASYNC110 - nobody says when it is not any more
            await asyncio.sleep(GLANCE)

    def _is_busy(self, address: str) -> bool:
        worker = self.workers.get(address)
        return worker is not None and bool(worker.processing or worker.has_what)
