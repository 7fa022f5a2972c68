"""The matrix of cluster managers, and whether one that is missing is skipped or a failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest

from tests.clusters.bed import Bed
from tests.clusters.condor import CondorBed
from tests.clusters.oar import OARBed
from tests.clusters.sge import GridEngineBed
from tests.clusters.slurm import SlurmBed
from tests.clusters.torque import MoabBed, PBSBed
from tests.helpers import Gate

BEDS: Mapping[str, type[Bed]] = {
    bed.name: bed for bed in (SlurmBed, PBSBed, MoabBed, GridEngineBed, OARBed, CondorBed)
}

WANTED = "AMLTK_CLUSTERS"
"""Names managers, as in `slurm,sge`: these alone are tested, and it is a failure if one is missing.

Without it all are tested that are there, and the others skipped.
"""


LIMIT = pytest.mark.timeout(300, method="signal")
"""For each test here; it lets fixtures tear down what they have brought up."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(LIMIT)


def wanted() -> list[str] | None:
    names = os.environ.get(WANTED, "").replace(",", " ").split()
    unknown = sorted(set(names) - set(BEDS))
    if unknown:
        raise pytest.UsageError(f"{WANTED} names {unknown}; known are {list(BEDS)}")
    return names or None


def bring_up(bed: type[Bed]) -> Bed:
    """A new bed; skips, or fails, if this machine cannot have it."""
    asked_for = wanted()
    if asked_for is not None and bed.name not in asked_for:
        pytest.skip(f"{WANTED} does not name {bed.name}")
    why = bed.missing()
    if why is None:
        return bed()
    how = f"{bed.name} cannot be tested here: {why} (see tests/clusters/README.md)"
    if asked_for is None:
        pytest.skip(how)
    pytest.fail(how)


@pytest.fixture(scope="session", params=wanted() or list(BEDS))
def bed(request: pytest.FixtureRequest) -> Generator[Bed]:
    """Each cluster manager, up for as long as its tests need it."""
    with bring_up(BEDS[request.param]) as up:
        yield up


@pytest.fixture
def cluster(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, helpers_of_dask_are_running: None
) -> Generator[Bed]:
    """The same, for a test that works in a directory of its own.

    Fails a test that leaves a job in the queue, or a file where it worked.
    """
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield bed
    try:
        bed.wait_until(lambda: not bed.unfinished(), "no job is left", bed.cancels_in)
    finally:
        bed.clear()
    assert not list(work.iterdir())


@pytest.fixture
def others(bed: Bed, tmp_path: Path) -> Generator[Callable[[int], None]]:
    """Have others use so many cores until the test is over."""
    script = tmp_path / "other.sh"
    script.write_text("#!/bin/sh\nexec sleep 100\n")
    theirs: set[str] = set()

    def take(n_cores: int) -> None:
        bed.wait_until_empty()
        theirs.update(bed.submit(script) for _ in range(n_cores))
        bed.wait_until(lambda: running(bed) >= theirs, "others use the cluster")

    yield take
    for job in theirs:
        bed.cancel(job)


def running(bed: Bed) -> set[str]:
    return {job.id for job in bed.unfinished() if job.state == "running"}


@pytest.fixture
def gate(tmp_path: Path) -> Generator[Gate]:
    """A gate that lets everybody go at the end."""
    with Gate(tmp_path / "gate") as gate:
        yield gate


@pytest.fixture(scope="session")
def helpers_of_dask_are_running() -> None:
    """A thread of dask's stays for as long as the program: start it first."""
    from distributed.utils import _offload_executor

    _offload_executor.submit(int).result()
