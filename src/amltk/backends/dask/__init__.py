"""Dask: the recipe, and what it opens."""

from amltk.backends.dask.recipe import Credentials, Dask

__all__ = ["Credentials", "Dask"]
