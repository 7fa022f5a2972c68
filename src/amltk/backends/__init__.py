"""Where work runs, as values: each says how to open an executor, and none is one."""

from amltk.backends.abilities import Abilities
from amltk.backends.airflow import Airflow
from amltk.backends.base import Backend, Given, abilities_of
from amltk.backends.dask import Dask
from amltk.backends.jobqueue import LSF, OAR, PBS, SGE, HTCondor, Moab, Slurm
from amltk.backends.loading import load
from amltk.backends.local import Processes, Threads
from amltk.backends.loky import Loky
from amltk.backends.ray import Ray
from amltk.backends.sequential import Sequential

__all__ = [
    "LSF",
    "OAR",
    "PBS",
    "SGE",
    "Abilities",
    "Airflow",
    "Backend",
    "Dask",
    "Given",
    "HTCondor",
    "Loky",
    "Moab",
    "Processes",
    "Ray",
    "Sequential",
    "Slurm",
    "Threads",
    "abilities_of",
    "load",
]
