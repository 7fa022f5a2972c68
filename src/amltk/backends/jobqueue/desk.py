"""Submitting and cancelling jobs with the commands of a manager."""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress

from dask_jobqueue.core import Job

from amltk.backends.jobqueue.commands import call

__all__ = ["Desk"]

logger: logging.Logger = logging.getLogger("amltk")

AT_A_TIME = 8
"""Commands of the manager that run at the same time."""

LATE = 5.0
"""Seconds that submissions may take which are under way when the cluster is closed."""

TRIES = 3
"""How often a job is cancelled, if the manager does not say that it was."""


class Desk:
    """Where jobs are handed in, and taken back.

    Args:
        is_over: Whether the job of this name says that it has ended.
        taken: Called with the name and the id of a job that the manager has taken.
        refused: Called with the name of a job that it has not, and why.
    """

    def __init__(
        self,
        is_over: Callable[[str], bool],
        taken: Callable[[str, str], None],
        refused: Callable[[str, Exception], None],
    ) -> None:
        self._is_over = is_over
        self._taken = taken
        self._refused = refused
        self._jobs: dict[str, Job] = {}
        self._submitting: set[asyncio.Task[None]] = set()
        self._cancelling: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_A_TIME)
        self._closed = False

    def submit(self, name: str, write: Callable[[str], Job]) -> None:
        """Submit a job, without waiting for it."""
        task = asyncio.create_task(self._submit(name, write), name=name)
        self._submitting.add(task)
        task.add_done_callback(self._submitting.discard)

    def bury(self, name: str) -> None:
        """A job has ended, and is to stay so: a manager may begin it again if its node has failed."""
        job = self._jobs.pop(name, None)
        if job is not None:
            self._begin(self._cancel_quietly(job))

    async def cancel(self, names: Iterable[str]) -> None:
        """Cancel jobs; logs a warning about those that cannot be.

        Who stops waiting for this does not stop it.
        """
        for name in names:
            job = self._jobs.pop(name, None)
            if job is not None:
                self._begin(self._cancel(job))
        if self._cancelling:
            await asyncio.wait(self._cancelling)

    async def close(self) -> None:
        """Cancel all jobs, those too that are just being submitted."""
        self._closed = True
        if self._submitting:
            _, late = await asyncio.wait(self._submitting, timeout=LATE)
            for task in late:
                logger.warning(
                    "The manager has not said yet whether it takes the job %s. If it does, the job "
                    "ends by itself when it finds nobody to work for.",
                    task.get_name(),
                )
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self.cancel(tuple(self._jobs))

    async def _submit(self, name: str, write: Callable[[str], Job]) -> None:
        async with self._turns:
            if self._closed:
                return
            try:
                job = write(name)
                await job.start()
            except Exception as error:  # noqa: BLE001
                self._refused(name, error)
            else:
                self._jobs[name] = job
                self._taken(name, str(job.job_id))

    def _begin(self, cancelling: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(cancelling)
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    async def _cancel_quietly(self, job: Job) -> None:
        with suppress(RuntimeError):
            await self._cancel_once(job)

    async def _cancel_once(self, job: Job) -> None:
        async with self._turns:
            await call([*shlex.split(job.cancel_command), str(job.job_id)])

    async def _cancel(self, job: Job) -> None:
        trouble: RuntimeError | None = None
        for attempt in range(1, TRIES + 1):
            try:
                await self._cancel_once(job)
            except RuntimeError as error:
                trouble = error
                await asyncio.sleep(attempt / TRIES)
                if self._is_over(job.name):
                    return
            else:
                return
        logger.warning("Job %s could not be cancelled: %s", job.job_id, trouble)
