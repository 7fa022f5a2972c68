"""Two ways to be connected to Ray: one that is started here and ended, or a cluster's."""

from __future__ import annotations

import logging
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

import psutil
import ray
from ray._private import worker as rays_worker
from ray.job_config import JobConfig
from typing_extensions import TypedDict, override

from amltk.backends.base import n_cores
from amltk.backends.process_trees import end_processes, is_alive
from amltk.backends.ray.listening import listens
from amltk.backends.ray.recipe import Ray

__all__ = ["Connection", "connection_for"]

SET_BY_RAY = ("PYTHONBREAKPOINT", "RAY_AUTH_MODE", "RAY_USAGE_STATS_ENABLED")
"""Environment variables of this process that Ray sets when it connects."""

SILENCE = 30.0
"""Seconds after which a head that nobody can connect to is given up. Ray itself would end this whole
process, after 60."""

MEMORY_OF_RAY = "gcs_server"
"""The process that Ray has to ask when it disconnects."""


class Connection(Protocol):
    """A way to be connected; all of it happens in one thread."""

    def connect(self) -> None:
        """Connect; whatever Ray raises if it cannot."""

    def is_alive(self) -> bool:
        """Whether Ray is still there, as far as that can be seen from here."""
        ...

    def disconnect(self) -> None:
        """Leave nothing behind, also if `connect` failed."""


class Shown(TypedDict, closed=True):
    """What Ray is told of showing things."""

    log_to_driver: bool
    logging_level: int


class Cluster(Connection):
    """A Ray that runs already, and goes on."""

    def __init__(self, recipe: Ray) -> None:
        self._recipe = recipe
        self._me = ""
        self._head = ""
        self._heard = math.inf

    @override
    def connect(self) -> None:
        with environment_restored():
            self._init()
        context = ray.get_runtime_context()
        self._me, self._head = context.get_worker_id(), context.gcs_address
        self._heard = time.monotonic()
        show_worker_logs(show=self._recipe.log_to_driver)

    @override
    def is_alive(self) -> bool:
        if listens(self._head):
            self._heard = time.monotonic()
        return time.monotonic() - self._heard < SILENCE

    @override
    def disconnect(self) -> None:
        # If it was shut down by somebody else, it may be theirs that is there now.
        if ray.is_initialized() and ray.get_runtime_context().get_worker_id() == self._me:
            ray.shutdown()
        show_worker_logs(show=True)

    def _init(self) -> None:
        ray.init(address=self._recipe.address, **self._shown())

    def _shown(self) -> Shown:
        show = self._recipe.log_to_driver
        return {"log_to_driver": show, "logging_level": logging.INFO if show else logging.ERROR}


class LocalRay(Cluster):
    """A Ray that is started on this machine and ended."""

    def __init__(self, recipe: Ray) -> None:
        super().__init__(recipe)
        self._directory = ""
        self._vital: list[psutil.Process] = []

    @override
    def connect(self) -> None:
        super().connect()
        self._vital = self._processes()

    @override
    def is_alive(self) -> bool:
        return all(map(is_alive, self._vital))

    @override
    def disconnect(self) -> None:
        # Ray would ask its processes to end one after the other, and give each of them a second.
        end_processes(p.pid for p in self._processes() if p.name() != MEMORY_OF_RAY)
        super().disconnect()
        end_processes(p.pid for p in self._processes())
        shutil.rmtree(self._directory, ignore_errors=True)

    @override
    def _init(self) -> None:
        # With a directory of its own, its processes can be told from others, and its address is
        # not found by programs that look for a cluster.
        self._directory = tempfile.mkdtemp(prefix="amltk-ray-", dir=os.environ.get("RAY_TMPDIR"))
        resources = self._recipe.local_resources
        ray.init(
            address="local",
            num_cpus=n_cpus(self._recipe),
            num_gpus=self._recipe.local_gpus,
            resources=None if resources is None else dict(resources),
            object_store_memory=self._recipe.local_object_store,
            include_dashboard=False,
            # Workers put them before their own, one after the other.
            job_config=JobConfig(_py_driver_sys_path=sys.path[::-1]),
            _temp_dir=self._directory,
            **self._shown(),
        )

    def _processes(self) -> list[psutil.Process]:
        """What a local Ray consists of; its workers descend from these."""
        children = psutil.Process().children() if self._directory else []
        return [process for process in children if self._directory in command_of(process)]


def connection_for(recipe: Ray) -> Connection:
    """How to be connected to the Ray that a recipe names."""
    return LocalRay(recipe) if recipe.address == "local" else Cluster(recipe)


def n_cpus(recipe: Ray) -> int:
    """How many CPUs a local Ray has."""
    for_all_workers = math.ceil((recipe.max_workers or 0) * recipe.num_cpus)
    return recipe.local_cpus or for_all_workers or n_cores()


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def show_worker_logs(*, show: bool) -> None:
    """Whether Ray prints what its processes complain of, which `log_to_driver` does not keep off."""
    rays_worker._worker_logs_enabled = show  # noqa: SLF001


@contextmanager
def environment_restored() -> Generator[None]:
    before = {name: os.environ.get(name) for name in SET_BY_RAY}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
