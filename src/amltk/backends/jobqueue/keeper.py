"""Sees to it that there are as many jobs as there is work for, and says what happens to them.

    dask's scheduler ── joined, left ──▶ ┌────────┐ ── what happened ──▶ ┌────────┐
    marks that jobs leave ──── ended ──▶ │ Keeper │                      │ Roster │
    the manager ──────── its answers ──▶ └────────┘ ◀─ what is to be done└────────┘
                                             └──▶ submit, cancel, warn, give up

All of it happens in the thread of dask's event loop, which is that of dask's scheduler as well.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

from dask_jobqueue.core import Job
from distributed import Scheduler

from amltk.backends.jobqueue.base import JobQueue
from amltk.backends.jobqueue.desk import Desk
from amltk.backends.jobqueue.inquiry import Inquiry
from amltk.backends.jobqueue.managed_job import slots_of
from amltk.backends.jobqueue.question import JobState
from amltk.backends.jobqueue.roster import Held, Limits, Phase, Roster, Steps
from amltk.backends.jobqueue.run_directory import RunDirectory, end_of_log
from amltk.backends.jobqueue.workers import Workers

__all__ = ["Keeper", "pause"]

logger: logging.Logger = logging.getLogger("amltk")

TICK = 0.5
"""Seconds between two looks."""

LOOKS_FOR_LOGS = 4
"""How often to look for the log of a job that has ended: it may be a moment late."""


class Keeper:
    """Keeps the jobs of one run.

    Args:
        recipe: What they are like.
        write: Writes a job of a given name.
        scheduler: Whom their workers work for.
        directory: Where jobs say that they have ended.
        give_up: Called with a reason, once nothing can be computed any more.
    """

    def __init__(
        self,
        recipe: JobQueue,
        write: Callable[[str], Job],
        scheduler: Scheduler,
        directory: RunDirectory,
        give_up: Callable[[str], None],
    ) -> None:
        sample = write("sample")
        least = recipe.min_workers if recipe.adaptive else recipe.n_workers
        self._roster = Roster(
            Limits(recipe.n_workers, least, slots_of(sample), recipe.start_timeout)
        )
        self._manager = recipe.MANAGER
        self._write = write
        self._directory = directory
        self._logs = Path(sample.log_directory)
        self._give_up = give_up
        self._woken = asyncio.Event()
        self._workers = Workers(
            scheduler, joined=self._joined, left=self._left, busy=self._woken.set
        )
        self._desk = Desk(directory.has_ended, self._taken, self._refused)
        self._inquiry = Inquiry(recipe.QUESTION, sample.submit_command)
        self._prefix = recipe.name or directory.path.name.removeprefix(".")
        self._n_submitted = 0
        self._reports: list[str] = []
        self._ending: set[str] = set()
        self._jobs_of: dict[str, Held] = {}
        self._under_way: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._begin(self._work())

    async def close(self) -> None:
        """End all jobs."""
        await asyncio.shield(self._begin_to_close())

    def about(self, worker: str) -> str:
        """Which job the worker at an address is of, or was, and the end of that one's log."""
        job = self._jobs_of.get(worker)
        if job is None:
            return ""
        words = end_of_log(self._logs, job.job_id)
        return f" It was a worker of job {job.job_id or job.name} of {self._manager}.\n{words}".rstrip()

    def _begin_to_close(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        return self._closing

    async def _close(self) -> None:
        under_way = tuple(self._under_way)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await self._desk.close()

    def _end_with(self, why: str) -> None:
        self._give_up(why)
        self._begin_to_close()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001
            self._end_with(f"The jobs of {self._manager} are not kept any more: {error!r}")

    async def _work(self) -> None:
        while self._closing is None:
            self._look_for_the_dead()
            steps = self._roster.look(time.monotonic(), self._workers.n_calls(), self._idle())
            if steps.give_up:
                self._end_with(steps.give_up + self._words_of_who_waits())
                return
            self._do(steps)
            self._woken.clear()
            await pause(self._woken, TICK)

    def _do(self, steps: Steps) -> None:
        if steps.note:
            self._reports.append(steps.note + self._words_of_who_waits())
        self._report()
        for name in steps.lost:
            self._begin(self._give_up_on(self._roster.jobs[name]))
        for name in steps.end:
            self._begin(self._dismiss(self._roster.jobs[name]))
        for _ in range(steps.start):
            self._submit()

    def _report(self) -> None:
        for note in self._reports:
            logger.warning("%s", note)
        self._reports.clear()

    # Jobs begin.

    def _submit(self) -> None:
        name = f"{self._prefix}-w{self._n_submitted}"
        self._n_submitted += 1
        self._roster.submitting(name, time.monotonic())
        self._desk.submit(name, self._write)

    def _taken(self, name: str, job_id: str) -> None:
        self._roster.taken(name, job_id, time.monotonic())
        self._woken.set()

    def _refused(self, name: str, error: Exception) -> None:
        why = f"{self._manager} has not taken a job: {error}"
        self._roster.refused(name, why, time.monotonic())
        self._reports.append(why)
        self._woken.set()

    def _joined(self, worker: str, address: str) -> None:
        # Where a job has several workers, they have its name and a number.
        known = worker in self._roster.jobs
        name = worker if known else worker.rpartition("-")[0]
        self._roster.joined(name, address, time.monotonic())
        if name in self._roster.jobs:
            self._jobs_of[address] = self._roster.jobs[name]
        self._woken.set()

    # Jobs end.

    def _left(self, address: str) -> None:
        for job in self._roster.jobs.values():
            if address in job.workers:
                self._roster.left(job.name, address, time.monotonic())
        self._woken.set()

    def _look_for_the_dead(self) -> None:
        for name, code in self._directory.ends().items():
            job = self._roster.jobs.get(name)
            if job is not None and job.job_id and not job.workers:
                self._begin(self._bury(job, f"with exit code {code}"))
        now = time.monotonic()
        if self._inquiry.is_due(self._roster.jobs.values(), now):
            self._begin(self._inquire(now))

    async def _inquire(self, now: float) -> None:
        known = {job.job_id: job for job in self._roster.jobs.values() if job.job_id}
        for job_id, state in (await self._inquiry.ask(known, now)).items():
            job = known[job_id]
            job.says = str(state)
            if state.gone:
                self._begin(self._bury(job, str(state)))
            elif state.hopeless and job.phase is Phase.WAITING:
                self._begin(self._despair(job, state))

    async def _bury(self, job: Held, how: str) -> None:
        """A job has ended, and nobody here has ended it."""
        if not self._is_first_to_end(job):
            return
        early = job.phase is Phase.WAITING
        self._desk.bury(job.name)
        await self._workers.remove(job.workers, expected=False)
        what = "ended before its worker was there" if early else "was lost"
        words = await self._last_words(job)
        self._say_that_it_ended(job, f"Job {job.job_id} of {self._manager} {what} ({how}).{words}")

    async def _give_up_on(self, job: Held) -> None:
        """The workers of a job are lost, and the job itself seems to go on."""
        if self._is_first_to_end(job):
            await self._desk.cancel([job.name])
            words = await self._last_words(job)
            why = (
                f"Job {job.job_id} of {self._manager} has lost its worker, which did not come back."
            )
            self._say_that_it_ended(job, why + words)

    async def _despair(self, job: Held, state: JobState) -> None:
        """A job waits, and always will."""
        if self._is_first_to_end(job):
            await self._desk.cancel([job.name])
            why = f"Job {job.job_id} of {self._manager} never can run ({state})."
            self._roster.hopeless(job.name, why, time.monotonic())
            self._reports.append(why)
            self._woken.set()

    async def _dismiss(self, job: Held) -> None:
        """There is no work for a job."""
        if (not job.workers or job.name in self._idle()) and self._is_first_to_end(job):
            self._roster.dismissed(job.name)
            await self._workers.remove(job.workers, expected=True)
            await self._desk.cancel([job.name])

    def _is_first_to_end(self, job: Held) -> bool:
        is_first = job.name not in self._ending
        self._ending.add(job.name)
        return is_first

    def _say_that_it_ended(self, job: Held, why: str) -> None:
        self._roster.ended(job.name, why, time.monotonic())
        self._reports.append(why)
        self._woken.set()

    def _idle(self) -> frozenset[str]:
        idle = self._workers.idle()
        return frozenset(j.name for j in self._roster.jobs.values() if j.workers <= idle)

    def _words_of_who_waits(self) -> str:
        """The log of a job that runs, it seems, and whose worker is not there."""
        waiting = [job for job in self._roster.jobs.values() if job.phase is Phase.WAITING]
        words = (end_of_log(self._logs, job.job_id) for job in waiting)
        return next((f"\n{said}" for said in words if said), "")

    async def _last_words(self, job: Held) -> str:
        for _ in range(LOOKS_FOR_LOGS):
            words = end_of_log(self._logs, job.job_id)
            if words:
                return f"\n{words}"
            await asyncio.sleep(TICK)
        return f" It has left no log in {self._logs}."


async def pause(woken: asyncio.Event, seconds: float) -> None:
    """Wait for so long, or until there is a reason to look."""
    # Not `wait_for`: before Python 3.12 it may not hear that it is cancelled as the pause ends.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()
