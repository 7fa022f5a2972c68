"""How many threads libraries use, as calls and tests see it."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from ctypes import CDLL
from ctypes.util import find_library
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from threadpoolctl import LibController, get_cached_controller

MANY = 4
"""More than any limit here; libraries can be told to use more threads than there are cores."""


class Seen(NamedTuple):
    """The numbers that one thread of a process sees, by the names of the libraries' files."""

    where: tuple[int, int]
    blas: Mapping[str, int | None]
    openmp: Mapping[str, int | None]

    def all(self) -> set[int | None]:
        return {*self.blas.values(), *self.openmp.values()}


def openmp() -> str:
    """The library that scikit-learn brings.

    It is loaded without scikit-learn, since that imports joblib, which changes what loky does.
    """
    spec = find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    brought = sorted(Path(spec.origin).parents[1].glob("scikit_learn.libs/libgomp*"))
    return str(brought[0]) if brought else str(find_library("gomp"))


import_module("numpy")  # with OpenBLAS
CDLL(openmp())


def libraries() -> list[LibController]:
    """These two, and whatever else is loaded."""
    return list(get_cached_controller().lib_controllers)


def see() -> Seen:
    numbers: dict[str, dict[str, int | None]] = {"blas": {}, "openmp": {}}
    for library in libraries():
        numbers[library.user_api][library.filepath] = library.num_threads
    return Seen((os.getpid(), threading.get_ident()), numbers["blas"], numbers["openmp"])


def use_many() -> Seen:
    """Have all libraries use many threads, as far as they do what this thread tells them."""
    for library in libraries():
        library.set_num_threads(MANY)
        free(library)
    return see()


def free(library: LibController) -> None:
    release = getattr(library, "clear_controlling_thread", None)
    if release is not None:
        release(force=True)


@contextmanager
def many() -> Generator[Seen]:
    """In this thread and process they use many threads meanwhile."""
    before = [(library, library.num_threads) for library in libraries()]
    try:
        yield use_many()
    finally:
        for library, number in before:
            library.set_num_threads(number or 1)
            free(library)
