"""One job as dask-jobqueue writes it, without what stands in our way.

This module imports dask-jobqueue, so it is imported only where a job is written.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from types import new_class

from dask import config
from dask_jobqueue.core import Job
from distributed import Security
from typing_extensions import override

from amltk.backends.jobqueue.base import JobQueue
from amltk.backends.jobqueue.commands import call
from amltk.backends.jobqueue.run_directory import LOGS, leave_exit_code, shared_directory

__all__ = ["Home", "configured", "new_job", "slots_of"]

SHELLS = ("sh", "bash", "dash", "ksh", "zsh", "condor_submit")
"""What job scripts are read by that knows `trap`; HTCondor has `sh` read them."""


WORKER, DASHBOARD = "distributed.cli.dask_worker", "--dashboard-address"
"""dask's own worker, and how it is told where to show its health and its dashboard."""


@dataclass(frozen=True, slots=True)
class Home:
    """What a job has to know of the program that it works for."""

    scheduler: str
    """The address of dask's scheduler."""
    protocol: str
    """How they talk."""
    security: Security | None
    """The credentials, as paths that the nodes see; `None` if there are none."""
    directory: str
    """The directory of the run."""


class _ManagedJob(Job):
    """Comes between dask-jobqueue's `Job` and that of a manager.

    Args:
        scheduler: The address of dask's scheduler.
        name: What the workers are called.
        directory: Where the job says that it has ended.
        log_directory: Where it leaves its log; that is not made here, just named.
        options: What `Job` takes.
    """

    def __init__(
        self,
        scheduler: str,
        name: str,
        *,
        directory: str,
        log_directory: str,
        **options: object,
    ) -> None:
        super().__init__(scheduler=scheduler, name=name, log_directory=os.curdir, **options)
        self.log_directory = log_directory
        if WORKER in self._command_template and DASHBOARD not in self._command_template:
            # Nobody has to show credentials there.
            self._command_template: str = f"{self._command_template} {DASHBOARD} 127.0.0.1:0"
        if any(word.rpartition("/")[2] in SHELLS for word in re.split(r"[!\s]+", self.shebang)):
            farewell = leave_exit_code(directory, name)
            self._job_script_prologue: Sequence[str] = [farewell, *self._job_script_prologue]

    @staticmethod
    @override
    async def _call(cmd: Sequence[str], *, shell: bool = False, **_: object) -> str:
        return await call(cmd, shell=shell)


def new_job(recipe: JobQueue, home: Home, name: str) -> Job:
    """Write a job, and submit nothing.

    Raises:
        ValueError: If neither the recipe nor dask-jobqueue's configuration says how big it is, or
            the configuration has no such section.
    """
    logs = configured(recipe, "log_directory")
    try:
        job = _managed(recipe.job_type())(
            home.scheduler,
            name,
            directory=home.directory,
            log_directory=str(shared_directory(logs)) if logs else f"{home.directory}/{LOGS}",
            **recipe.job_options() | {"protocol": home.protocol, "security": home.security},
        )
    except KeyError as error:
        raise ValueError(
            f"dask-jobqueue's configuration has no {error}. `config_name` names a section of it "
            f"with the same keys as the section {recipe.CONFIG!r} has."
        ) from error
    recipe.finish(job)
    return job


def _managed(kind: type[Job]) -> type[_ManagedJob]:
    """The jobs of a manager with `_ManagedJob` below them."""
    both = new_class(kind.__name__, (kind, _ManagedJob))
    if not issubclass(both, _ManagedJob):
        raise TypeError(f"{kind} is no kind of job.")
    return both


def slots_of(job: Job) -> int:
    """The number of calls that a job computes at a time, as its script says."""
    script = job.job_script()
    counts = (re.findall(rf"--{option}[= ](\d+)", script) for option in ("nworkers", "nthreads"))
    return math.prod(max(1, int(said[-1])) if said else 1 for said in counts)


def configured(recipe: JobQueue, name: str) -> object:
    """A field of the recipe; what dask-jobqueue's configuration says, where the recipe does not."""
    value = getattr(recipe, name)
    if value is not None:
        return value
    section = recipe.config_name or recipe.CONFIG
    return config.get(f"jobqueue.{section}.{name.replace('_', '-')}", None)
