"""Making a scheduler for each cluster manager.

Each `with_...` takes what the recipe of that name takes, and is documented there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from typing_extensions import TypeVar

from amltk.backends.base import Backend
from amltk.backends.lazily import Later
from amltk.scheduling.by_manager import by_manager
from amltk.scheduling.from_config import from_config

if TYPE_CHECKING:
    from amltk.backends.jobqueue import LSF, OAR, PBS, SGE, HTCondor, JobQueue, Moab, Slurm
else:
    LSF, OAR, PBS, SGE, HTCondor, Moab, Slurm = (
        Later("amltk.backends.jobqueue", name)
        for name in ("LSF", "OAR", "PBS", "SGE", "HTCondor", "Moab", "Slurm")
    )

__all__ = ["OnCluster"]

S = TypeVar("S", bound="OnCluster")


class OnCluster(ABC):
    """Something that can do its work in the jobs of a cluster."""

    @classmethod
    @abstractmethod
    def from_backend(cls, backend: Backend, /) -> Self:
        """Make a scheduler from a recipe."""

    @from_config(Slurm)
    @staticmethod
    def with_slurm(owner: type[S], config: Slurm, /) -> S:
        """Make a scheduler that runs work in jobs of Slurm; see `Slurm`."""
        return owner.from_backend(config)

    @from_config(PBS)
    @staticmethod
    def with_pbs(owner: type[S], config: PBS, /) -> S:
        """Make a scheduler that runs work in jobs of PBS; see `PBS`."""
        return owner.from_backend(config)

    @from_config(SGE)
    @staticmethod
    def with_sge(owner: type[S], config: SGE, /) -> S:
        """Make a scheduler that runs work in jobs of Grid Engine; see `SGE`."""
        return owner.from_backend(config)

    @from_config(LSF)
    @staticmethod
    def with_lsf(owner: type[S], config: LSF, /) -> S:
        """Make a scheduler that runs work in jobs of LSF; see `LSF`."""
        return owner.from_backend(config)

    @from_config(Moab)
    @staticmethod
    def with_moab(owner: type[S], config: Moab, /) -> S:
        """Make a scheduler that runs work in jobs of Moab; see `Moab`."""
        return owner.from_backend(config)

    @from_config(HTCondor)
    @staticmethod
    def with_htcondor(owner: type[S], config: HTCondor, /) -> S:
        """Make a scheduler that runs work in jobs of HTCondor; see `HTCondor`."""
        return owner.from_backend(config)

    @from_config(OAR)
    @staticmethod
    def with_oar(owner: type[S], config: OAR, /) -> S:
        """Make a scheduler that runs work in jobs of OAR; see `OAR`."""
        return owner.from_backend(config)

    @by_manager(Slurm, PBS, SGE, LSF, Moab, HTCondor, OAR)
    @staticmethod
    def with_dask_jobqueue(owner: type[S], config: JobQueue, /) -> S:
        """Make a scheduler that runs work in jobs of a cluster manager, which is named first."""
        return owner.from_backend(config)
