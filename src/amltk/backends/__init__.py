"""Where work runs, as values: each says how to open an executor, and none is one."""

from typing import TYPE_CHECKING

from amltk.backends.abilities import Abilities
from amltk.backends.base import Backend, Given, abilities_of
from amltk.backends.lazily import looked_up
from amltk.backends.local import Processes, Threads
from amltk.backends.sequential import Sequential

if TYPE_CHECKING:
    from amltk.backends.airflow import Airflow
    from amltk.backends.dask import Dask
    from amltk.backends.jobqueue import LSF, OAR, PBS, SGE, HTCondor, Moab, Slurm
    from amltk.backends.loading import load
    from amltk.backends.loky import Loky
    from amltk.backends.ray import Ray
else:
    __getattr__ = looked_up(
        __name__,
        {
            **{name: f"{__name__}.{name.lower()}" for name in ("Airflow", "Dask", "Loky", "Ray")},
            **dict.fromkeys(
                ("HTCondor", "LSF", "Moab", "OAR", "PBS", "SGE", "Slurm"), f"{__name__}.jobqueue"
            ),
            "load": f"{__name__}.loading",
        },
    )

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


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
