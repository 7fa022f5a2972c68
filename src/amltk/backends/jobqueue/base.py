"""What the recipes of all cluster managers have in common.

A recipe says what one job looks like and how many of them there may be. Jobs are written, submitted
and cancelled by dask-jobqueue; each of them starts workers that connect back to this program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from amltk.backends.abilities import Abilities
from amltk.backends.base import keep_copies
from amltk.backends.dask.recipe import Credentials, LogLevel
from amltk.backends.jobqueue.checks import CHECKS, are_lines, require_text
from amltk.backends.jobqueue.importing import import_jobqueue
from amltk.backends.jobqueue.question import Question
from amltk.backends.jobqueue.walltime import Walltime, require_walltime

if TYPE_CHECKING:
    from dask_jobqueue.core import Job

    from amltk.backends.dask.executor import DaskExecutor

__all__ = ["JobQueue"]

NOT_OF_A_JOB = frozenset({
    "adaptive", "cancel_command", "log_directory", "min_workers", "n_workers", "name",
    "scheduler_cls", "scheduler_options", "security", "shared_temp_directory", "silence_logs",
    "start_timeout", "submit_command",
})  # fmt: skip
"""The fields that dask-jobqueue's jobs are not made with."""


@dataclass(frozen=True, slots=True)
class JobQueue:
    """Jobs of a cluster manager; those of Slurm are `Slurm`, those of PBS are `PBS`, and so on.

    What is `None` is as dask-jobqueue's configuration says (`~/.config/dask/jobqueue.yaml`), where
    administrators describe their cluster.
    """

    MANAGER: ClassVar[str]
    """Who is given the jobs, as people call it."""
    CONFIG: ClassVar[str]
    """The section of dask-jobqueue's configuration."""
    SUBMIT: ClassVar[str]
    """The command that submits."""
    CANCEL: ClassVar[str]
    """The command that cancels."""
    WALLTIME: ClassVar[Walltime | None] = None
    """How times are written; `None` if they are not asked for."""
    QUESTION: ClassVar[Question | None] = None
    """How to ask what became of jobs; `None` if there is no way."""

    n_workers: int
    """Number of *jobs*: the most there are at a time. A job may have several worker processes."""
    _: KW_ONLY
    adaptive: bool = True
    """Submit jobs when there is work for them, and end those that have none; otherwise there are
    always `n_workers`."""
    min_workers: int = 0
    """Number of jobs that stay when there is no work for them."""
    start_timeout: float | None = None
    """Seconds to wait for the first worker, in the queue and starting; if `None`, as long as it
    takes, with a warning after 15, 30, 60 seconds, and so on."""
    submit_command: str | None = None
    """What to submit with instead of the manager's own command, such as "sbatch --extra"."""
    cancel_command: str | None = None
    """What to cancel with instead of the manager's own command."""
    cores: int | None = None
    """Cores of a job; its worker processes share them, and compute as many calls at a time."""
    memory: str | None = None
    """Memory of a job, such as "6 GB"; its worker processes share it."""
    processes: int | None = None
    """Worker processes of a job; if `None`, about as many as each of them has threads, and one if
    `nanny` is false."""
    nanny: bool | None = None
    """Whether a second process watches each worker process, and starts it again if it dies; as it
    does if `None`."""
    job_name: str | None = None
    """What jobs are called in the queue."""
    job_script_prologue: Sequence[str] | None = None
    """Lines of shell to run before the worker starts, such as "module load python"."""
    job_directives_skip: Sequence[str] | None = None
    """Leave out the directives of the job script in which one of these texts occurs."""
    shebang: str | None = None
    """The first line of the job script."""
    python: str | None = None
    """The Python that runs the workers; the one that runs this program if `None`."""
    worker_command: str | None = None
    """The module that is run as a worker."""
    worker_extra_args: Sequence[str] | None = None
    """More arguments for the worker, such as "--lifetime", "55m"."""
    interface: str | None = None
    """The network interface, such as "ib0", of workers and of this program."""
    protocol: str | None = None
    """How they talk; if `None`, "tls://" with credentials and "tcp://" without."""
    death_timeout: float | None = None
    """Seconds after which a worker gives up that cannot reach this program."""
    local_directory: str | Path | None = None
    """Where workers put what does not fit into memory: a directory of the node."""
    log_directory: str | Path | None = None
    """Where jobs leave their logs; if `None`, in a directory that is deleted after the run."""
    config_name: str | None = None
    """Another section of dask-jobqueue's configuration than the manager's own."""
    security: bool | Credentials = True
    """Encrypt, and let nobody in without credentials, which are made for each run. `False` lets
    everybody on the network run code as you; a `distributed.Security` brings its own."""
    shared_temp_directory: str | Path | None = None
    """A directory that jobs see as well, for credentials and logs; the current one if `None`."""
    name: str | None = None
    """What the names of workers begin with."""
    scheduler_options: Mapping[str, object] | None = field(default=None, hash=False)
    """More arguments for `distributed.Scheduler`, such as `{"host": "login1"}`."""
    scheduler_cls: Callable[..., object] | None = None
    """Another class than `distributed.Scheduler`."""
    silence_logs: LogLevel = "critical"
    """The least that dask's own loggers say while the cluster is open."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            CHECKS.get(each.name, require_text)(each.name, value)
            if are_lines(value):
                object.__setattr__(self, each.name, tuple(value))  # hashable, and it stays so
        keep_copies(self)
        self._require_sense()
        if self.WALLTIME is not None:
            require_walltime(getattr(self, "walltime", None), self.WALLTIME, self.MANAGER)

    def _require_sense(self) -> None:
        """Refuse what cannot be together."""
        if self.min_workers > self.n_workers:
            raise ValueError(
                f"`min_workers={self.min_workers}` jobs cannot stay where there are never more "
                f"than `n_workers={self.n_workers}`."
            )
        if self.min_workers and not self.adaptive:
            raise ValueError(
                f"`min_workers={self.min_workers}` is for a number of jobs that adapts; with "
                f"`adaptive=False` there are always `n_workers={self.n_workers}`."
            )
        if self.cores is not None and self.processes is not None and self.processes > self.cores:
            raise ValueError(
                f"`processes={self.processes}` cannot share `cores={self.cores}`: each worker "
                "process needs at least one."
            )
        if self.nanny is False and (self.processes or 1) > 1:
            raise ValueError(
                f"`processes={self.processes}` need a nanny that starts them: `nanny=False` is for "
                "one process."
            )
        if self.security and (self.protocol or "tls").split(":")[0] in {"tcp", "ws", "inproc"}:
            raise ValueError(
                f"`protocol={self.protocol!r}` encrypts nothing. Leave it out, or say "
                "`security=False`."
            )

    @property
    def abilities(self) -> Abilities:
        """What can be relied on; a worker that computes several calls loses all of them."""
        return Abilities(
            stops_running=True,
            survives_dead_worker=True,
            isolates_culprit=self.cores is not None and self.cores == (self.processes or 1),
            functions="by value",
            overhead=5e-3,
        )

    def open(self) -> DaskExecutor:
        """Start a scheduler in this program, and submit jobs as they are needed.

        Raises:
            BackendNotInstalledError: If dask-jobqueue is not installed, or the command that
                submits jobs.
            ValueError: If it is not said how big a job is, or if the directory for what jobs have
                to share has a path that no script can name.
            OSError: If there is no such directory.
        """
        import_jobqueue()
        from amltk.backends.jobqueue.cluster import open_cluster  # noqa: PLC0415

        return open_cluster(self)

    def job_script(self) -> str:
        """The script of a job, as it would be submitted; no manager is needed to see it.

        Raises:
            BackendNotInstalledError: If dask-jobqueue is not installed.
            ValueError: If it is not said how big a job is.
        """
        import_jobqueue()
        from amltk.backends.jobqueue.preview import preview  # noqa: PLC0415

        return preview(self)

    def job_type(self) -> type[Job]:
        """The class of dask-jobqueue that writes jobs for this manager."""
        raise NotImplementedError

    def job_options(self) -> dict[str, object]:
        """What to make a job with: the fields that are about one, and say something."""
        one_process = {"processes": 1} if self.nanny is False else {}  # nobody would start others
        return one_process | {
            each.name: for_dask(value)
            for each in fields(self)
            if each.name not in NOT_OF_A_JOB and (value := getattr(self, each.name)) is not None
        }

    def finish(self, job: Job) -> None:
        """Change on a job what cannot be said when it is made."""
        if self.submit_command is not None:
            job.submit_command = self.submit_command + job.submit_command.removeprefix(self.SUBMIT)
        if self.cancel_command is not None:
            job.cancel_command = self.cancel_command + job.cancel_command.removeprefix(self.CANCEL)


def for_dask(value: object) -> object:
    """A value as dask-jobqueue expects it: lists for tuples, and text for paths."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if are_lines(value) else value
