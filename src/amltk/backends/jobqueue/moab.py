"""Jobs of Moab, which stands in front of a Torque."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from amltk.backends.jobqueue.pbs import PBS_QUESTION, PBS_WALLTIME
from amltk.backends.jobqueue.question import Question
from amltk.backends.jobqueue.queued import Queued
from amltk.backends.jobqueue.walltime import Walltime

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

__all__ = ["Moab"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moab(Queued):
    """Jobs of Moab, submitted with `msub`."""

    MANAGER: ClassVar[str] = "Moab"
    CONFIG: ClassVar[str] = "moab"
    SUBMIT: ClassVar[str] = "msub"
    CANCEL: ClassVar[str] = "canceljob"
    WALLTIME: ClassVar[Walltime | None] = PBS_WALLTIME
    QUESTION: ClassVar[Question | None] = PBS_QUESTION

    account: str | None = None
    """Who pays for the jobs."""
    resource_spec: str | None = None
    """What to ask for, as after `#PBS -l`; made of `cores` and `memory` if `None`."""

    @override
    def job_type(self) -> type[Job]:
        from dask_jobqueue.moab import MoabJob  # noqa: PLC0415

        return MoabJob
