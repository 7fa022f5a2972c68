"""Jobs of Grid Engine."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from amltk.backends.jobqueue.question import JobState, Question
from amltk.backends.jobqueue.queued import Queued
from amltk.backends.jobqueue.walltime import Walltime

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

__all__ = ["SGE"]

STATE = 4
"""The column of `qstat` that says it; those before are id, priority, name and user."""


def command(job_ids: Sequence[str]) -> Sequence[str]:
    """Ask for all jobs of this user: `qstat` of one job says little of its state."""
    del job_ids
    return ["qstat", "-u", getpass.getuser()]


def read(output: str) -> Mapping[str, JobState]:
    """Read the table of jobs, whose states are letters such as `qw` or `Eqw`."""
    rows = (line.split() for line in output.splitlines())
    return {row[0]: state_of(row[STATE]) for row in rows if len(row) > STATE and row[0].isdigit()}


def state_of(letters: str) -> JobState:
    """What the letters mean: E is an error and h is held, either keeps a job from being run."""
    failed, held = "E" in letters, "h" in letters and "q" in letters
    reason = "`qstat -j` says why it could not be started" if failed else "held" if held else ""
    return JobState(letters, reason, hopeless=failed or held)


@dataclass(frozen=True, slots=True, kw_only=True)
class SGE(Queued):
    """Jobs of Grid Engine, submitted with `qsub`.

    Grid Engine is not asked for cores and memory unless `resource_spec` does it, since each site
    names them as it likes.
    """

    MANAGER: ClassVar[str] = "Grid Engine"
    CONFIG: ClassVar[str] = "sge"
    SUBMIT: ClassVar[str] = "qsub"
    CANCEL: ClassVar[str] = "qdel"
    WALLTIME: ClassVar[Walltime | None] = Walltime(r"\d+|(?=.*\d)\d*:\d*:\d*|infinity", "10:00:00")
    QUESTION: ClassVar[Question | None] = Question(command, read, names_all=True)

    project: str | None = None
    """The project that the jobs belong to."""
    resource_spec: str | None = None
    """What to ask for, as after `#$ -l`, such as "h_vmem=6G"."""

    @override
    def job_type(self) -> type[Job]:
        from dask_jobqueue.sge import SGEJob  # noqa: PLC0415

        return SGEJob
