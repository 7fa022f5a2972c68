"""The test beds themselves, with nothing but the manager's own commands."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from tests.clusters.bed import Bed, Job
from tests.clusters.conftest import bring_up
from tests.clusters.slurm import SlurmBed
from tests.helpers import Gate


def script(folder: Path, *lines: str) -> Path:
    path = folder / "job.sh"
    path.write_text("\n".join(["#!/bin/bash", *lines, ""]))
    return path


def test_a_job_runs_and_knows_its_number(bed: Bed, tmp_path: Path) -> None:
    """What is submitted runs, and leaves the queue when it is done."""
    told = tmp_path / "told"
    job = bed.submit(
        script(tmp_path, f"echo ${bed.job_variable} > {told}.part", f"mv {told}.part {told}")
    )
    bed.wait_until(told.exists, "the job has run")
    assert told.read_text().strip() == job
    bed.wait_until_empty()


def holds(lock: Path, gate: Gate) -> list[str]:
    """A job that has a lock for as long as one of its processes lives, and waits at a gate."""
    return [f"exec 9>{lock}", "flock 9", f"cat {gate.path}", f"cat {gate.path}"]


def is_free(lock: Path) -> bool:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_running_job_is_cancelled(bed: Bed, tmp_path: Path, gate: Gate) -> None:
    """To cancel a job ends all that it runs."""
    lock = tmp_path / "lock"
    job = bed.submit(script(tmp_path, *holds(lock, gate)))
    gate.hold()
    assert not is_free(lock)
    bed.wait_until(lambda: bed.unfinished() == [Job(job, "running")], "it is said to run")
    bed.cancel(job)
    bed.wait_until(lambda: is_free(lock), "the job has ended")
    bed.wait_until_empty()


def test_a_job_waits_until_there_is_room(bed: Bed, tmp_path: Path, gate: Gate) -> None:
    """With all cores in use, one more job waits; when there is room it runs."""
    waits = script(tmp_path, f"cat {gate.path}")
    for _ in range(bed.cores):
        bed.submit(waits)
    bed.wait_until(
        lambda: all(job.state == "running" for job in bed.unfinished()), "all cores are in use"
    )
    last = bed.submit(waits)
    assert [job.id for job in bed.unfinished() if job.state == "waiting"] == [last]
    gate.let_go()
    bed.wait_until_empty()


def test_a_bed_leaves_nothing_behind(tmp_path: Path, gate: Gate) -> None:
    """A second Slurm comes up beside the first, and its end ends its jobs, and takes all away."""
    before, lock = dict(os.environ), tmp_path / "lock"
    with bring_up(SlurmBed) as bed:
        bed.submit(script(tmp_path, *holds(lock, gate)))
        gate.hold()
    assert is_free(lock)
    assert not bed.base.exists()
    assert not bed.strays()
    assert dict(os.environ) == before


class BrokenBed(SlurmBed):
    """One whose daemon does not understand its configuration."""

    def start(self) -> None:
        (self.base / "slurm.conf").write_text("Nonsense=1\n")
        self.spawn("slurmctld", "slurmctld", "-D")
        self.wait_until(lambda: False, "something happens")


def test_a_bed_that_does_not_come_up_says_why() -> None:
    """A daemon that ends early is named, with the end of its log."""
    with pytest.raises(TimeoutError, match="slurmctld ended") as caught, bring_up(BrokenBed):
        pass
    (note,) = caught.value.__notes__
    assert "Nonsense" in note
