"""Making a scheduler for each kind of backend.

Each `with_...` takes what the recipe of that name takes, and is documented there.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TYPE_CHECKING, Self

from typing_extensions import TypeVar, override

from amltk.backends.base import Backend, backend_for
from amltk.backends.lazily import Later
from amltk.backends.local import Processes, Threads
from amltk.backends.sequential import Sequential
from amltk.scheduling.from_config import from_config
from amltk.scheduling.on_cluster import OnCluster

if TYPE_CHECKING:
    from amltk.backends.airflow import Airflow
    from amltk.backends.dask import Dask
    from amltk.backends.loky import Loky
    from amltk.backends.ray import Ray
else:
    Airflow, Dask, Loky, Ray = (
        Later(f"amltk.backends.{name.lower()}", name) for name in ("Airflow", "Dask", "Loky", "Ray")
    )

__all__ = ["OnBackend"]

S = TypeVar("S", bound="OnBackend")


class OnBackend(OnCluster):
    """Something that does its work on a backend; `Scheduler` says what it is made with."""

    def __init__(self, executor: Executor | Backend, *, terminate: bool = True) -> None:
        self.backend: Backend = backend_for(executor, terminate=terminate)
        """What opens the executor of each run."""

    @override
    @classmethod
    def from_backend(cls, backend: Backend, /) -> Self:
        """Make a scheduler from a recipe."""
        return cls(backend)

    @from_config(Processes)
    @staticmethod
    def with_processes(owner: type[S], config: Processes, /) -> S:
        """Make a scheduler that runs work in processes on this machine; see `Processes`."""
        return owner(config)

    @from_config(Threads)
    @staticmethod
    def with_threads(owner: type[S], config: Threads, /) -> S:
        """Make a scheduler that runs work in threads of this process; see `Threads`."""
        return owner(config)

    @from_config(Loky)
    @staticmethod
    def with_loky(owner: type[S], config: Loky, /) -> S:
        """Make a scheduler that runs work in loky's processes; see `Loky`."""
        return owner(config)

    @from_config(Dask)
    @staticmethod
    def with_dask(owner: type[S], config: Dask, /) -> S:
        """Make a scheduler that runs work in a Dask cluster; see `Dask`."""
        return owner(config)

    @from_config(Ray)
    @staticmethod
    def with_ray(owner: type[S], config: Ray, /) -> S:
        """Make a scheduler that runs work on Ray, of this machine or of a cluster; see `Ray`."""
        return owner(config)

    @from_config(Airflow)
    @staticmethod
    def with_airflow(owner: type[S], config: Airflow, /) -> S:
        """Make a scheduler that runs work in an Airflow; see `Airflow`."""
        return owner(config)

    @from_config(Sequential)
    @staticmethod
    def with_sequential(owner: type[S], config: Sequential, /) -> S:
        """Make a scheduler that runs work right where it is submitted; see `Sequential`."""
        return owner(config)
