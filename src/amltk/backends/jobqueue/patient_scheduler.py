"""A scheduler of dask that gives workers no more calls than they compute.

Dask likes to hand calls out ahead of time. When a worker dies it cannot tell which of them was
computed, and takes all of them for lost.

This module imports distributed, so it is imported only when a cluster is opened.
"""

from __future__ import annotations

from typing import Any

from distributed import Scheduler
from distributed.scheduler import TaskState
from typing_extensions import override

__all__ = ["patient_scheduler"]


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
