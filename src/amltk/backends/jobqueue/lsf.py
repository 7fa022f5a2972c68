"""Jobs of LSF."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from typing_extensions import override

from amltk.backends.jobqueue.question import JobState, Question
from amltk.backends.jobqueue.queued import Queued
from amltk.backends.jobqueue.walltime import Walltime

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

__all__ = ["LSF"]

GONE = re.compile(r"Job <(\d+)> is not found")
ENDED = frozenset({"DONE", "EXIT", "ZOMBI"})


def command(job_ids: Sequence[str]) -> Sequence[str]:
    """Ask for three columns, without a head."""
    return ["bjobs", "-noheader", "-o", "jobid stat pend_reason delimiter='|'", *job_ids]


def read(output: str) -> Mapping[str, JobState]:
    """Read lines such as `12|PEND|New job is waiting for scheduling`."""
    gone = {job_id: JobState("gone", gone=True) for job_id in GONE.findall(output)}
    lines = (line.strip().split("|", 2) for line in output.splitlines())
    there = {
        job_id: state_of(*rest) for job_id, *rest in lines if len(rest) == len(("stat", "why"))
    }
    return {**gone, **there}


def state_of(word: str, reason: str) -> JobState:
    """What the words of LSF mean: a job that is suspended while it waits is held."""
    return JobState(
        word, "" if reason == "-" else reason, gone=word in ENDED, hopeless=word == "PSUSP"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LSF(Queued):
    """Jobs of LSF, submitted with `bsub`."""

    MANAGER: ClassVar[str] = "LSF"
    CONFIG: ClassVar[str] = "lsf"
    SUBMIT: ClassVar[str] = "bsub"
    CANCEL: ClassVar[str] = "bkill"
    WALLTIME: ClassVar[Walltime | None] = Walltime(r"(\d+:)?\d+(/\S+)?", "10:00")
    QUESTION: ClassVar[Question | None] = Question(command, read)

    project: str | None = None
    """The project that the jobs belong to."""
    ncpus: int | None = None
    """Cores to ask LSF for; `cores` if `None`."""
    mem: int | None = None
    """Memory to ask LSF for, in bytes; `memory` if `None`."""
    lsf_units: Literal["kb", "mb", "gb", "tb", "pb", "eb"] | None = None
    """The unit in which LSF counts memory; as its `lsf.conf` says if `None`."""
    use_stdin: bool | None = None
    """Whether the job script goes to the standard input of `bsub`, or it is told the file."""

    @override
    def job_type(self) -> type[Job]:
        from dask_jobqueue.lsf import LSFJob  # noqa: PLC0415

        return LSFJob
