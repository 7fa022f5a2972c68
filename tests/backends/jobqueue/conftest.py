"""Seven cluster managers that are played, and recipes for small jobs of each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import amltk
from amltk.backends.jobqueue import LSF, OAR, PBS, SGE, HTCondor, JobQueue, Moab, Slurm
from tests.backends.jobqueue.shim import Shim, install
from tests.conftest import ROOT

RECIPES: Mapping[str, Callable[..., JobQueue]] = {
    "slurm": Slurm,
    "pbs": PBS,
    "sge": SGE,
    "lsf": LSF,
    "moab": Moab,
    "htcondor": HTCondor,
    "oar": OAR,
}


def small(make: Callable[..., JobQueue], n_workers: int = 1, **options: Any) -> JobQueue:
    """A recipe for jobs of one worker that computes one call at a time."""
    needed = {"disk": "1 GB"} if make is HTCondor else {}
    size = {"cores": 1, "memory": "1 GB", "interface": "lo", "nanny": False}
    return make(n_workers, **size | needed | options)


def wait_for(condition: Callable[[], bool]) -> None:
    """Look until it is so; the limit is the one of the test."""
    pause = threading.Event()
    while not condition():
        pause.wait(0.05)


@pytest.fixture(params=list(RECIPES.values()), ids=list(RECIPES))
def make(request: pytest.FixtureRequest) -> Callable[..., JobQueue]:
    """Each kind of recipe."""
    chosen: Callable[..., JobQueue] = request.param
    return chosen


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shim]:
    """All managers; fails a test that leaves a job in the queue, or a file where it worked."""
    directory, work = tmp_path / "shim", tmp_path / "work"
    directory.mkdir()
    work.mkdir()
    monkeypatch.setenv("PATH", f"{install(directory)}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{Path(amltk.__file__).parents[1]}{os.pathsep}{ROOT}")
    monkeypatch.setenv("DASK_TEMPORARY_DIRECTORY", str(tmp_path / "scratch"))
    monkeypatch.chdir(work)
    shim = Shim(directory)
    yield shim
    left = shim.left()
    for job in left:
        job.end()
    assert not left
    assert not list(work.iterdir())


@pytest.fixture(scope="session", autouse=True)
def helpers_of_dask_are_running() -> None:
    """A thread of dask's stays for as long as the program: start it first."""
    from distributed.utils import _offload_executor

    _offload_executor.submit(int).result()
