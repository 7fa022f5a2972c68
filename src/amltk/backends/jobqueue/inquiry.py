"""Asking the manager about jobs, not more often than it is worth."""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from amltk.backends.jobqueue.commands import Answer, answer_of, path_of
from amltk.backends.jobqueue.question import JobState, Question
from amltk.backends.jobqueue.roster import Held, Phase

__all__ = ["Inquiry"]

logger: logging.Logger = logging.getLogger("amltk")

OFTEN, SELDOM = 1.0, 15.0
"""Seconds between two questions about jobs without workers: few while they are new."""

CHECKING = 60.0
"""Seconds between two questions about jobs whose workers are there."""

PATIENCE = 20.0
"""Seconds that the manager may take to answer."""

SURE = 2
"""How often in a row a manager has to say that a job is gone, or never can run."""


class Inquiry:
    """What a manager says of jobs.

    Args:
        question: How to ask it; `None` if there is no way.
        submit_command: The command that submits, beside which the one that is asked may be.
    """

    def __init__(self, question: Question | None, submit_command: str) -> None:
        self._question = question
        self._beside = shlex.split(submit_command)[0]
        self._said: Counter[str] = Counter()
        self._named: set[str] = set()  # jobs that it has spoken of
        self._last = 0.0

    def is_due(self, jobs: Iterable[Held], now: float) -> bool:
        """Whether it is time to ask about these jobs."""
        known = [job for job in jobs if job.job_id]
        if self._question is None or not known:
            return False
        ages = [now - job.since for job in known if job.phase is not Phase.WORKING]
        pause = max(OFTEN, min(SELDOM, min(ages) / 10)) if ages else CHECKING
        return now - self._last >= pause

    async def ask(self, job_ids: Collection[str], now: float) -> Mapping[str, JobState]:
        """The states of jobs, as far as the manager says anything about them.

        Those that it has not said twice to be gone or hopeless are neither: what has just been
        submitted is not in every list yet.
        """
        self._last = now
        states = await self._states(job_ids)
        return {job_id: self._doubted(job_id, state) for job_id, state in states.items()}

    def _doubted(self, job_id: str, state: JobState) -> JobState:
        if not (state.gone or state.hopeless):
            del self._said[job_id]
            return state
        self._said[job_id] += 1
        return state if self._said[job_id] >= SURE else state.doubted()

    async def _states(self, job_ids: Collection[str]) -> Mapping[str, JobState]:
        if self._question is None:
            return {}
        answer = await self._answer(self._question.command(tuple(job_ids)))
        if answer is None:
            return {}
        said = self._question.read(f"{answer.printed}\n{answer.complaints}")
        states = {job_id: said[job_id] for job_id in job_ids if job_id in said}
        if self._question.names_all and answer.code == 0:
            # One that was never there may be with another cluster, which `submit_command` chose.
            gone = self._named.intersection(job_ids) - states.keys()
            states |= dict.fromkeys(gone, JobState("not in the queue any more", gone=True))
        self._named.update(states)
        return states

    async def _answer(self, command: Sequence[str]) -> Answer | None:
        program, *arguments = command
        path = path_of(program, beside=self._beside)
        if path is None:
            return None
        try:
            return await answer_of([path, *arguments], patience=PATIENCE)
        except RuntimeError as error:
            logger.debug("Cannot ask about jobs: %s", error)
            return None
