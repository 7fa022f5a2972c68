"""Jobs of PBS: OpenPBS, PBS Professional and Torque."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from amltk.backends.jobqueue.question import JobState, Question, records
from amltk.backends.jobqueue.queued import Queued
from amltk.backends.jobqueue.walltime import Walltime

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

__all__ = ["PBS", "PBS_QUESTION", "PBS_WALLTIME"]

BEGIN = re.compile(r"Job Id:\s*(\d+)")
GONE = re.compile(r"(?:Unknown Job Id\D*(?=\d)|(?=\d+\S* Job has finished))(\d+)")
WORDS: Mapping[str, str] = {"Q": "queued", "R": "running", "H": "held", "W": "waiting"}
ENDED = frozenset({"C", "E", "F", "X"})


def command(job_ids: Sequence[str]) -> Sequence[str]:
    """Ask for everything PBS knows of these jobs."""
    return ["qstat", "-f", *job_ids]


def read(output: str) -> Mapping[str, JobState]:
    """Read blocks that begin with `Job Id: 12.server`, and complaints about jobs that are gone."""
    gone = {job_id: JobState("gone", gone=True) for job_id in GONE.findall(output)}
    there = {job_id: state_of(values) for job_id, values in records(output, BEGIN).items()}
    return {**gone, **there}


def state_of(values: Mapping[str, str]) -> JobState:
    """What the values of a job mean."""
    letter, comment = values.get("job_state", ""), values.get("comment", "")
    return JobState(
        WORDS.get(letter, letter or "unknown"),
        comment,
        gone=letter in ENDED,
        hopeless=letter == "H" or (letter == "Q" and comment.startswith("Can Never Run")),
    )


PBS_QUESTION = Question(command, read)
PBS_WALLTIME = Walltime(r"\d+(:\d+){0,3}(\.\d+)?", "10:00:00")


@dataclass(frozen=True, slots=True, kw_only=True)
class PBS(Queued):
    """Jobs of PBS, submitted with `qsub`."""

    MANAGER: ClassVar[str] = "PBS"
    CONFIG: ClassVar[str] = "pbs"
    SUBMIT: ClassVar[str] = "qsub"
    CANCEL: ClassVar[str] = "qdel"
    WALLTIME: ClassVar[Walltime | None] = PBS_WALLTIME
    QUESTION: ClassVar[Question | None] = PBS_QUESTION

    account: str | None = None
    """Who pays for the jobs."""
    resource_spec: str | None = None
    """What to ask for, as after `#PBS -l`; made of `cores` and `memory` if `None`."""

    @override
    def job_type(self) -> type[Job]:
        from dask_jobqueue.pbs import PBSJob  # noqa: PLC0415

        return PBSJob
