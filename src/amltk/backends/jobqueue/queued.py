"""What the recipes of all managers have in common that have queues, directives and time limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import override

from amltk.backends.jobqueue.base import JobQueue
from amltk.backends.jobqueue.checks import require_lines

__all__ = ["Queued"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(JobQueue):
    """Jobs that are submitted to a queue, as a script that begins with directives."""

    queue: str | None = None
    """The queue or partition that jobs are submitted to."""
    walltime: str | None = None
    """How long a job may run, as the manager writes it; what a job computes then is lost."""
    job_extra_directives: Sequence[str] | None = None
    """More options for the manager, each a line of the job script, such as "--gres=gpu:1"."""

    @override
    def __post_init__(self) -> None:
        require_lines("job_extra_directives", self.job_extra_directives)
        JobQueue.__post_init__(self)
