"""Dask's scheduler in this program, and jobs whose workers work for it.

This module imports distributed, so it is imported only when a cluster is opened.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from distributed import Client, Scheduler, Security

from amltk.backends.dask.executor import DaskExecutor
from amltk.backends.dask.logs import Quiet, level_of
from amltk.backends.dask.loop import LoopThread
from amltk.backends.jobqueue.base import JobQueue
from amltk.backends.jobqueue.checks import is_mapping
from amltk.backends.jobqueue.commands import path_of
from amltk.backends.jobqueue.credentials import credentials, for_jobs, protocol_for
from amltk.backends.jobqueue.keeper import Keeper
from amltk.backends.jobqueue.managed_job import Home, configured, new_job
from amltk.backends.jobqueue.patient_scheduler import patient_scheduler
from amltk.backends.jobqueue.preview import preview
from amltk.backends.jobqueue.run_directory import RunDirectory, shared_directory
from amltk.exceptions import BackendNotInstalledError, BackendUnavailableError

__all__ = ["JobCluster", "open_cluster"]


class JobCluster:
    """Dask's scheduler, and the jobs that a recipe describes.

    Args:
        recipe: The recipe.
        directory: What this program and the jobs share.
        loop: Where all of it goes on.
    """

    def __init__(self, recipe: JobQueue, directory: RunDirectory, loop: LoopThread) -> None:
        self.security: Security | None = credentials(recipe.security)
        """What it takes to connect to the scheduler."""
        self._recipe = recipe
        self._directory = directory
        self._loop = loop
        self._for_jobs = for_jobs(self.security, directory.write)
        self._protocol = protocol_for(recipe.protocol, self.security)
        [self._scheduler] = loop.do(self._start())
        self._keeper: Keeper | None = None

    @property
    def address(self) -> str:
        """Where the scheduler listens."""
        return self._scheduler.address

    def keep_jobs(self, give_up: Callable[[str], None]) -> None:
        """Begin to submit jobs; `give_up` is called with the reason if that cannot go on."""
        self._loop.do(self._keep_jobs(give_up))

    def about(self, worker: str) -> str:
        """Which job the worker at an address is of, and what that has said."""
        return self._keeper.about(worker) if self._keeper is not None else ""

    def end_jobs(self) -> None:
        """End all jobs, for good."""
        if self._keeper is not None:
            self._loop.do(self._keeper.close())

    def close(self) -> None:
        """End all jobs, then the scheduler."""
        self.end_jobs()
        self._loop.do(self._scheduler.close())

    async def _start(self) -> Scheduler:
        kind: Callable[..., object] = self._recipe.scheduler_cls or patient_scheduler
        options = self._options()
        scheduler = kind(**options)
        if not isinstance(scheduler, Scheduler):
            raise TypeError(f"`scheduler_cls={kind!r}` makes no `distributed.Scheduler`.")
        if options.get("dashboard") is False:
            scheduler.http_server.stop()  # it would tell anybody on this machine what is computed
        try:
            await scheduler.start()
        except Exception as error:
            await scheduler.close()
            raise BackendUnavailableError(
                f"Dask's scheduler cannot listen here: {error.__cause__ or error}. See what the recipe "
                "says with `scheduler_options`, `interface`, `protocol` and `security`."
            ) from error
        return scheduler

    async def _keep_jobs(self, give_up: Callable[[str], None]) -> None:
        address = self._scheduler.contact_address or self._scheduler.address
        home = Home(address, self._protocol, self._for_jobs, str(self._directory.path))
        write = partial(new_job, self._recipe, home)
        self._keeper = Keeper(self._recipe, write, self._scheduler, self._directory, give_up)

    def _options(self) -> Mapping[str, object]:
        asked = configured(self._recipe, "scheduler_options")
        options = dict(asked) if is_mapping(asked) else {}
        if "dashboard_address" not in options:
            # There is a small server for the scheduler's health in any case, until it is stopped.
            options |= {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
        if "host" not in options and "interface" not in options:
            options["interface"] = configured(self._recipe, "interface")
        return {
            "protocol": self._protocol,
            "security": self.security,
            "allowed_failures": 0,  # a call that was lost is not started again
            **options,
        }


def open_cluster(recipe: JobQueue) -> DaskExecutor:
    """Start a scheduler here, and submit jobs as they are needed."""
    preview(recipe)  # what cannot be written is refused before anything is there
    require_commands(recipe)
    make_directory_for_logs(recipe)
    with ExitStack() as stack:
        directory = RunDirectory(shared_directory(configured(recipe, "shared_temp_directory")))
        stack.callback(directory.delete)
        stack.callback(Quiet(level_of(recipe.silence_logs)).undo)
        loop = LoopThread()
        stack.callback(loop.stop)
        cluster = JobCluster(recipe, directory, loop)
        stack.callback(cluster.close)
        client = Client(
            cluster.address, security=cluster.security, loop=loop.loop, set_as_default=False
        )
        stack.callback(client.close)
        closing = stack.pop_all()

    def end() -> None:
        cluster.end_jobs()
        closing.close()

    executor = DaskExecutor(client, close=closing.close, end=end)
    executor.tell_of_the_dead(cluster.about)
    cluster.keep_jobs(executor.give_up)
    return executor


def make_directory_for_logs(recipe: JobQueue) -> None:
    """Managers fail jobs whose log they cannot write."""
    said = configured(recipe, "log_directory")
    if said is None:
        return
    directory = shared_directory(said)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(
            f"Cannot make the directory {directory} for the logs of jobs ({error}). Say another one "
            "with `log_directory`."
        ) from error


def require_commands(recipe: JobQueue) -> None:
    """Refuse to begin what could not submit a job, or not get rid of it."""
    for field, command in (
        ("submit_command", recipe.submit_command or recipe.SUBMIT),
        ("cancel_command", recipe.cancel_command or recipe.CANCEL),
    ):
        program = shlex.split(command)[0]
        if path_of(program) is None:
            raise BackendNotInstalledError(
                f"Jobs of {recipe.MANAGER} need the command {program!r}, which is not on the PATH. "
                f"Run this where jobs can be submitted, or say with `{field}` what to call "
                "instead.",
                name=program,
            )
