"""Jobs of OAR."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from amltk.backends.jobqueue.question import JobState, Question, records
from amltk.backends.jobqueue.queued import Queued
from amltk.backends.jobqueue.walltime import Walltime

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

__all__ = ["OAR"]

BEGIN = re.compile(r"(?:Job_Id|id):\s*(\d+)", re.IGNORECASE)
ENDED = frozenset({"Error", "Terminated", "toError", "Finishing"})


def command(job_ids: Sequence[str]) -> Sequence[str]:
    """Ask for everything OAR knows of these jobs."""
    return ["oarstat", "--full", *(f"--job={job_id}" for job_id in job_ids)]


def read(output: str) -> Mapping[str, JobState]:
    """Read blocks that begin with `Job_Id: 12`."""
    return {job_id: state_of(values) for job_id, values in records(output, BEGIN).items()}


def state_of(values: Mapping[str, str]) -> JobState:
    """What the values of a job mean."""
    word = values.get("state", "unknown")
    reason = values.get("events" if word == "Error" else "message", "")
    return JobState(word, reason, gone=word in ENDED, hopeless=word == "Hold")


@dataclass(frozen=True, slots=True, kw_only=True)
class OAR(Queued):
    """Jobs of OAR, submitted with `oarsub`."""

    MANAGER: ClassVar[str] = "OAR"
    CONFIG: ClassVar[str] = "oar"
    SUBMIT: ClassVar[str] = "oarsub"
    CANCEL: ClassVar[str] = "oardel"
    WALLTIME: ClassVar[Walltime | None] = Walltime(r"\d+(:\d+){0,2}", "10:00:00")
    QUESTION: ClassVar[Question | None] = Question(command, read)

    project: str | None = None
    """The project that the jobs belong to."""
    resource_spec: str | None = None
    """What to ask for, as after `#OAR -l`; one node with `cores` if `None`."""
    memory_per_core_property_name: str | None = None
    """What this OAR calls the memory of a core, often "memcore"; if `None`, `memory` is a limit
    for the workers, and OAR is not asked for it."""

    @override
    def job_options(self) -> dict[str, object]:
        from amltk.backends.jobqueue.managed_job import configured  # noqa: PLC0415

        # Without a name dask-jobqueue warns each time it writes a job.
        named = configured(self, "memory_per_core_property_name") or "not_applicable"
        return {**Queued.job_options(self), "memory_per_core_property_name": named}

    @override
    def finish(self, job: Job) -> None:
        Queued.finish(self, job)
        for option, end in (("-O", "out"), ("-E", "err")):
            if f"#OAR {option}" not in job.job_header:
                log = shlex.quote(f"{job.log_directory}/%jobid%.{end}")
                job.job_header += f"\n#OAR {option} {log}"

    @override
    def job_type(self) -> type[Job]:
        from dask_jobqueue.oar import OARJob  # noqa: PLC0415

        return OARJob
