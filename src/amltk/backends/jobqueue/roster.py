"""Which jobs there are, what became of them, and what is to be done about it.

A `Roster` is told what happened and decides; the `Keeper` asks it and acts. It has no clock (the
time comes in as a number), submits nothing and asks nobody, so every order of events can be tried
on it by hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

from typing_extensions import override

__all__ = ["Held", "Limits", "Phase", "Roster", "Steps"]

IDLE = 10.0
"""Seconds that a job is kept for which there is no work, since more may come."""

RETURN = 20.0
"""Seconds in which the worker of a job has to be back, which its nanny starts again."""

EARLY_DEATHS = 3
"""Jobs in a row that end before their workers are there, until no more are submitted."""

REFUSALS = 6
"""How often in a row a manager may refuse a job after it has taken others; about a minute."""

PAUSE = 60.0
"""The longest that the next submission is put off after a failure."""

FIRST_NOTE = 15.0
"""Seconds without any worker after which the user is told; then it is told half as often."""


class Phase(Enum):
    """How far a job has come."""

    SUBMITTING = "is being submitted"
    """The manager has not said yet that it takes the job."""
    WAITING = "has no worker yet"
    """It is in the queue, or starting."""
    WORKING = "has workers"
    """One of its workers is there, at least."""
    MISSING = "has lost its workers"
    """They were there, and may come back."""


@dataclass(slots=True)
class Held:
    """A job."""

    name: str
    """What its workers are called."""
    since: float
    """When its phase began."""
    phase: Phase = Phase.SUBMITTING
    """How far it has come."""
    job_id: str = ""
    """What the manager calls it."""
    says: str = ""
    """What the manager said of it last."""
    workers: set[str] = field(default_factory=set[str])
    """The addresses of its workers."""
    spare_since: float | None = None
    """Since when there is no work for it."""

    def enter(self, phase: Phase, now: float) -> None:
        """Begin a phase."""
        self.phase, self.since = phase, now

    @override
    def __str__(self) -> str:
        return f"job {self.job_id or self.name} ({self.says or self.phase.value})"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many jobs there are to be."""

    most: int
    """Never more than these."""
    least: int
    """Never less, once there was time to submit them."""
    slots: int
    """Calls that a job computes at a time."""
    start_timeout: float | None = None
    """Seconds in which the first worker has to be there."""

    def wanted(self, calls: int) -> int:
        """The number of jobs for so many calls."""
        return max(self.least, min(self.most, math.ceil(calls / self.slots)))


@dataclass(frozen=True, slots=True)
class Steps:
    """What is to be done."""

    start: int = 0
    """Submit so many jobs."""
    end: tuple[str, ...] = ()
    """End the jobs of these names: there is no work for them."""
    lost: tuple[str, ...] = ()
    """End the jobs of these names: their workers have not come back."""
    note: str = ""
    """Something that the user should hear of."""
    give_up: str = ""
    """Why nothing can be computed any more."""


class Roster:
    """The jobs of one run.

    Args:
        limits: How many there are to be.
    """

    def __init__(self, limits: Limits) -> None:
        self.jobs: dict[str, Held] = {}
        """Those that the manager has, or is being given, by their names."""
        self.limits: Limits = limits
        self._trouble = ""
        self._hopeless = False
        self._early_deaths = 0
        self._refusals = 0
        self._was_taken = False
        self._had_workers = False
        self._not_before = -math.inf
        self._first: float | None = None
        self._next_note = FIRST_NOTE

    # It is told what happened.

    def submitting(self, name: str, now: float) -> None:
        """A job is being submitted."""
        self.jobs[name] = Held(name, now)
        self._first = now if self._first is None else self._first

    def taken(self, name: str, job_id: str, now: float) -> None:
        """The manager has taken it."""
        held = self.jobs[name]
        held.job_id = job_id
        self._was_taken = True
        self._refusals = 0
        if held.phase is Phase.SUBMITTING:  # its worker may have been faster than the manager
            held.enter(Phase.WAITING, now)

    def refused(self, name: str, why: str, now: float) -> None:
        """The manager has not taken it."""
        del self.jobs[name]
        self._refusals += 1
        self._put_off(why, now, self._refusals)

    def joined(self, name: str, worker: str, now: float) -> None:
        """A worker of the job is there."""
        held = self.jobs.get(name)
        if held is None:
            return
        held.workers.add(worker)
        if held.phase is not Phase.WORKING:
            held.enter(Phase.WORKING, now)
        self._had_workers = True
        self._early_deaths = self._refusals = 0
        self._next_note = FIRST_NOTE

    def left(self, name: str, worker: str, now: float) -> None:
        """A worker of the job is gone."""
        held = self.jobs.get(name)
        if held is None:
            return
        held.workers.discard(worker)
        if not held.workers:
            held.enter(Phase.MISSING, now)

    def ended(self, name: str, why: str, now: float) -> None:
        """The job is not there any more, and nobody here has ended it."""
        held = self.jobs.pop(name)
        if held.phase in {Phase.SUBMITTING, Phase.WAITING}:
            self._early_deaths += 1
            self._put_off(why, now, self._early_deaths)

    def hopeless(self, name: str, why: str, now: float) -> None:
        """The manager says that the job never can run; it is not counted on any more."""
        del self.jobs[name]
        self._hopeless = not self._had_workers
        self._early_deaths += 1
        self._put_off(why, now, self._early_deaths)

    def dismissed(self, name: str) -> None:
        """The job is being ended, since there is no work for it."""
        self.jobs.pop(name, None)

    # It says what is to be done.

    def look(self, now: float, calls: int, idle: frozenset[str] = frozenset()) -> Steps:
        """Decide what is to be done now.

        Args:
            now: Seconds on any clock that only goes forward.
            calls: Number of calls that are not done.
            idle: The names of the jobs whose workers have nothing to do.
        """
        give_up = self._why_to_give_up(now)
        if give_up:
            return Steps(give_up=give_up)
        missing = self.limits.wanted(calls) - len(self.jobs)
        return Steps(
            start=max(0, missing) if now >= self._not_before else 0,
            end=self._spare(now, -missing, idle),
            lost=self._lost(now),
            note=self._note(now),
        )

    def _put_off(self, why: str, now: float, failures: int) -> None:
        self._trouble = why
        self._not_before = now + min(PAUSE, 2.0**failures)

    def _why_to_give_up(self, now: float) -> str:
        if any(job.workers for job in self.jobs.values()):
            return ""
        if any(job.phase is Phase.SUBMITTING for job in self.jobs.values()):
            return self._too_late(now)
        refusals = REFUSALS if self._was_taken else 1
        if self._hopeless or self._early_deaths >= EARLY_DEATHS:
            return self._trouble
        if self._refusals >= refusals and not self.jobs:
            return self._trouble
        return self._too_late(now)

    def _too_late(self, now: float) -> str:
        seconds = self.limits.start_timeout
        if seconds is None or self._had_workers or self._first is None:
            return ""
        if now - self._first < seconds:
            return ""
        return f"No worker has come within `start_timeout={seconds:g}` seconds: {self}. {self._trouble}".strip()

    def _lost(self, now: float) -> tuple[str, ...]:
        return tuple(
            job.name
            for job in self.jobs.values()
            if job.phase is Phase.MISSING and now - job.since >= RETURN
        )

    def _spare(self, now: float, surplus: int, idle: frozenset[str]) -> tuple[str, ...]:
        spare: list[Held] = []
        for job in reversed(self.jobs.values()):
            if surplus > 0 and (job.phase is Phase.WAITING or job.name in idle):
                job.spare_since = now if job.spare_since is None else job.spare_since
                spare.append(job)
            else:
                job.spare_since = None
        spare.sort(key=lambda job: job.phase is not Phase.WAITING)
        ready = [j.name for j in spare if j.spare_since is not None and now - j.spare_since >= IDLE]
        return tuple(ready[: max(0, surplus)])

    def _note(self, now: float) -> str:
        without = {Phase.SUBMITTING, Phase.WAITING}
        waiting = [job for job in self.jobs.values() if job.phase in without]
        if not waiting or any(job.workers for job in self.jobs.values()):
            return ""
        seconds = now - min(job.since for job in waiting)
        if seconds < self._next_note:
            return ""
        self._next_note *= 2
        return f"There are no workers yet, since {seconds:.0f} s: {self}."

    @override
    def __str__(self) -> str:
        return ", ".join(str(job) for job in self.jobs.values()) or "no job was taken"
