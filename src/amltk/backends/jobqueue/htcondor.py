"""Jobs of HTCondor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from amltk.backends.jobqueue.base import JobQueue
from amltk.backends.jobqueue.checks import require_mapping
from amltk.backends.jobqueue.question import JobState, Question

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

__all__ = ["HTCondor"]

WORDS: Mapping[str, str] = {
    "1": "idle", "2": "running", "3": "removed", "4": "completed", "5": "held", "7": "suspended",
}  # fmt: skip


def command(job_ids: Sequence[str]) -> Sequence[str]:
    """Ask for three attributes of these jobs."""
    return ["condor_q", *job_ids, "-autoformat:j", "JobStatus", "HoldReason"]


def read(output: str) -> Mapping[str, JobState]:
    """Read lines such as `12.0 5 why it is held`."""
    lines = (line.split(None, 2) for line in output.splitlines())
    return {line[0]: state_of(*line[1:]) for line in lines if len(line) > 1}


def state_of(number: str, reason: str = "undefined") -> JobState:
    """What the numbers of HTCondor mean."""
    word = WORDS.get(number, number)
    return JobState(
        word,
        "" if reason == "undefined" else reason,
        gone=word in {"removed", "completed"},
        hopeless=word == "held",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HTCondor(JobQueue):
    """Jobs of HTCondor, submitted with `condor_submit`."""

    MANAGER: ClassVar[str] = "HTCondor"
    CONFIG: ClassVar[str] = "htcondor"
    SUBMIT: ClassVar[str] = "condor_submit"
    CANCEL: ClassVar[str] = "condor_rm"
    QUESTION: ClassVar[Question | None] = Question(command, read, names_all=True)

    disk: str | None = None
    """Disk space of a job, such as "4 GB"; HTCondor has to be told."""
    job_extra_directives: Mapping[str, str] | None = field(default=None, hash=False)
    """More lines for the submit description: each key and its value."""
    submit_command_extra: Sequence[str] | None = None
    """More arguments for `condor_submit`."""
    cancel_command_extra: Sequence[str] | None = None
    """More arguments for `condor_rm`."""

    @override
    def __post_init__(self) -> None:
        require_mapping("job_extra_directives", self.job_extra_directives)
        JobQueue.__post_init__(self)

    @override
    def job_type(self) -> type[Job]:
        from dask_jobqueue.htcondor import HTCondorJob  # noqa: PLC0415

        return HTCondorJob
