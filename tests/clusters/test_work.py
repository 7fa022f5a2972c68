"""Runs whose calls are computed in jobs of real cluster managers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from amltk import Scheduler
from amltk.backends.jobqueue import JobQueue, roster
from amltk.backends.jobqueue.checks import is_mapping
from amltk.exceptions import ExecutorBrokenError, WorkerLostError
from amltk.scheduling import ExitCode
from tests.clusters.bed import Bed
from tests.clusters.work import tell_and_wait, variable
from tests.helpers import Boom, Gate, echo, fail, future_of, program, wait_at

SOON = 60.0
"""Seconds after which it is known at the latest that a job is gone, also on a busy machine."""


def run_one_call(bed: Bed, n_workers: int = 1, **options: Any) -> None:
    """Run something that cannot go well."""
    scheduler = Scheduler(bed.jobs_for(n_workers, **options))
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    scheduler.run()


def test_results_and_exceptions_come_from_jobs(cluster: Bed) -> None:
    """
    What calls return and raise arrives, and they were computed in jobs of the manager.
    """
    scheduler = Scheduler(cluster.jobs_for(2))
    echoing, failing = scheduler.task(echo), scheduler.task(fail)
    asking = scheduler.task(variable)
    results: list[int] = []
    jobs: set[str] = set()
    scheduler.on_start.add(lambda: [echoing(n) for n in range(10)], failing)
    scheduler.on_start.add(lambda: asking(cluster.job_variable))
    echoing.on_result.add(lambda _, result: results.append(result))
    asking.on_result.add(lambda _, __: jobs.update(job.id for job in cluster.unfinished()))
    asking.on_result.add(lambda _, job: jobs.remove(job))
    ended = scheduler.run(on_exception={Boom: "ignore"})
    assert ended.code is ExitCode.EXHAUSTED
    assert sorted(results) == list(range(10))
    assert failing.event_counts["on_exception"] == 1
    assert len(jobs) == 1, "the other job, since this one was removed"


def test_a_killed_job_costs_its_call_and_is_replaced(
    cluster: Bed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The call ends as lost, what another job computes goes on, and the rest is computed as well.
    """
    scheduler = Scheduler(cluster.jobs_for(2))
    waiting, echoing = scheduler.task(tell_and_wait), scheduler.task(echo)
    gates = [Gate(tmp_path / f"gate{n}") for n in range(2)]
    files = [tmp_path / f"told{n}" for n in range(2)]
    lost: list[BaseException] = []
    results: list[str] = []

    @scheduler.on_start
    def begin() -> None:
        for file, gate in zip(files, gates, strict=True):
            waiting(cluster.job_variable, str(file), gate.path)
        for gate in gates:
            gate.hold()
        cluster.cancel(files[0].read_text())

    @waiting.on_exception
    def go_on(_: object, error: BaseException) -> None:
        lost.append(error)
        job = files[0].read_text()
        cluster.wait_until(lambda: f"Job {job}" in caplog.text, "a warning names the job", SOON)
        for n in range(4):
            echoing(n)
        gates[1].let_go()

    waiting.on_result.add(lambda _, result: results.append(result))
    with gates[0], gates[1]:
        scheduler.run(on_exception={WorkerLostError: "ignore"})
    assert [type(error) for error in lost] == [WorkerLostError]
    assert results == [files[1].read_text()]
    assert echoing.event_counts["on_result"] == 4


def test_a_run_that_does_not_wait_leaves_no_job(
    cluster: Bed, others: Callable[[int], None], gate: Gate
) -> None:
    """
    Neither the one that computes a call nor the one that waits in the queue.
    """
    n_others = cluster.cores - 1
    others(n_others)
    scheduler = Scheduler(cluster.jobs_for(2, adaptive=False))

    @scheduler.on_start
    def begin() -> None:
        future_of(scheduler.submit(wait_at, gate.path))
        gate.hold()
        cluster.wait_until(
            lambda: [job.state for job in cluster.unfinished()].count("waiting") == 1, "one waits"
        )
        scheduler.stop()

    assert scheduler.run(wait=False).code is ExitCode.STOPPED
    assert scheduler.event_counts[Scheduler.FUTURE_CANCELLED] == 1
    cluster.wait_until(
        lambda: len(cluster.unfinished()) == n_others, "no job is left", cluster.cancels_in
    )


PROGRAM = """
import sys
from amltk import Scheduler
from amltk.backends import load


def wait_at(gate):
    with open(gate) as pipe:
        pipe.read()


if __name__ == "__main__":
    scheduler = Scheduler(load(sys.argv[1]))
    scheduler.on_start.add(lambda: scheduler.submit(wait_at, sys.argv[2]))
    scheduler.run()
"""


def program_on(
    recipe: JobQueue, folder: Path, gate: Gate
) -> AbstractContextManager[subprocess.Popen[str]]:
    """A program that reads the recipe from a file, and has a call wait at the gate."""
    file = folder / "backend.toml"
    file.write_text(toml_of(recipe))
    return program(folder / "script.py", PROGRAM, str(file), gate.path)


def toml_of(recipe: JobQueue) -> str:
    said = {each.name: getattr(recipe, each.name) for each in fields(recipe)}
    lines = [f"{name} = {as_toml(value)}" for name, value in said.items() if value is not None]
    return "\n".join([f'backend = "{type(recipe).__name__.lower()}"', *lines])


def as_toml(value: object) -> str:
    """What TOML and JSON write alike, and tables."""
    if not is_mapping(value):
        return json.dumps(value)
    return f"{{{', '.join(f'{json.dumps(k)} = {json.dumps(v)}' for k, v in value.items())}}}"


def test_ctrl_c_leaves_no_job(cluster: Bed, tmp_path: Path, gate: Gate) -> None:
    """
    A program that was told by a file where to work has ended its jobs by the time that it has ended
    itself.
    """
    with program_on(cluster.jobs_for(2, adaptive=False), tmp_path, gate) as process:
        gate.hold()
        os.killpg(process.pid, signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
        cluster.wait_until(lambda: not cluster.unfinished(), "no job is left", cluster.cancels_in)
    assert complaints.rstrip().endswith("KeyboardInterrupt")


def test_jobs_that_die_before_their_worker_is_there_are_an_error(cluster: Bed) -> None:
    """
    Three of them are enough; it names one, and shows what that printed before it ended.
    """
    prologue = ["echo no module was loaded", "exit 3"]
    with pytest.raises(ExecutorBrokenError, match="no module was loaded") as raised:
        run_one_call(cluster, n_workers=3, adaptive=False, job_script_prologue=prologue)
    assert "exit code 3" in str(raised.value)


def test_a_job_that_is_refused_is_an_error(cluster: Bed) -> None:
    """
    It says what the manager says.
    """
    with pytest.raises(ExecutorBrokenError, match=r"(?s)has not taken a job: .*nowhere"):
        run_one_call(cluster, **cluster.refused)


def test_a_job_that_waits_is_waited_for_until_start_timeout(
    cluster: Bed,
    others: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    While others use the cluster a warning names the job, and in the end an error does.
    """
    monkeypatch.setattr(roster, "FIRST_NOTE", 1.0)
    others(cluster.cores)
    with pytest.raises(ExecutorBrokenError, match=r"start_timeout=8` seconds: job \d+"):
        run_one_call(cluster, start_timeout=8)
    assert re.search(r"There are no workers yet, since \d s: job \d+", caplog.text)
