"""Jobs of Slurm."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from amltk.backends.jobqueue.question import JobState, Question
from amltk.backends.jobqueue.queued import Queued
from amltk.backends.jobqueue.walltime import Walltime

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

__all__ = ["Slurm"]

NEVER = frozenset({
    "AccountNotAllowed",
    "AssocMaxCpuPerJobLimit",
    "AssocMaxMemPerJob",
    "AssocMaxNodePerJobLimit",
    "AssocMaxWallDurationPerJobLimit",
    "BadConstraints",
    "DependencyNeverSatisfied",
    "InvalidAccount",
    "InvalidQOS",
    "JobHeldAdmin",
    "JobHeldUser",
    "MaxMemPerLimit",
    "PartitionConfig",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "QOSMaxCpuPerJobLimit",
    "QOSMaxMemoryPerJob",
    "QOSMaxNodePerJobLimit",
    "QOSMaxWallDurationPerJobLimit",
    "QOSNotAllowed",
    "QOSTimeLimit",
    "TimeLimit",
})  # fmt: skip
"""Reasons that Slurm gives for jobs which wait, and that do not pass by themselves."""

ENDED = frozenset({
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "COMPLETING", "DEADLINE", "FAILED", "NODE_FAIL",
    "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT",
})  # fmt: skip


def command(job_ids: Sequence[str]) -> Sequence[str]:
    """Ask for all jobs of this user: a single one that is gone would be an error."""
    del job_ids
    return [
        "squeue",
        "--noheader",
        "--states=all",
        "--format=%i|%T|%r",
        f"--user={os.getuid()}",
    ]


def read(output: str) -> Mapping[str, JobState]:
    """Read lines such as `12|PENDING|Resources`."""
    lines = (line.strip().split("|") for line in output.splitlines())
    return {job_id: state_of(*rest) for job_id, *rest in lines if len(rest) == len(("T", "r"))}


def state_of(word: str, reason: str) -> JobState:
    """What the words of Slurm mean."""
    return JobState(
        word,
        "" if reason == "None" else reason,
        gone=word in ENDED,
        hopeless=word == "PENDING" and (reason in NEVER or "held" in reason),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Slurm(Queued):
    """Jobs of Slurm, submitted with `sbatch`."""

    MANAGER: ClassVar[str] = "Slurm"
    CONFIG: ClassVar[str] = "slurm"
    SUBMIT: ClassVar[str] = "sbatch"
    CANCEL: ClassVar[str] = "scancel"
    WALLTIME: ClassVar[Walltime | None] = Walltime(
        r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}|infinite|unlimited", "10:00:00"
    )
    QUESTION: ClassVar[Question | None] = Question(command, read, names_all=True)

    account: str | None = None
    """Who pays for the jobs."""
    job_cpu: int | None = None
    """Cores to ask Slurm for; `cores` if `None`."""
    job_mem: str | None = None
    """Memory to ask Slurm for, as Slurm writes it, such as "6G"; `memory` if `None`."""

    @override
    def job_type(self) -> type[Job]:
        from dask_jobqueue.slurm import SLURMJob  # noqa: PLC0415

        return SLURMJob
