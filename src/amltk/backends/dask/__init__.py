"""Dask: the recipe, and the executor that it opens. Dask itself is imported with the latter."""

from typing import TYPE_CHECKING

from amltk.backends.dask.recipe import Credentials, Dask
from amltk.backends.lazily import imported_when_asked

if TYPE_CHECKING:
    from amltk.backends.dask.executor import DaskExecutor
else:
    __getattr__ = imported_when_asked(
        __name__, {"DaskExecutor": f"{__name__}.executor"}, engine="distributed", extra="dask"
    )

__all__ = ["Credentials", "Dask", "DaskExecutor"]
