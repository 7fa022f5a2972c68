"""What can happen to jobs of a real Slurm, beyond what is tried on every manager."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from amltk import Scheduler
from amltk.exceptions import ExecutorBrokenError, WorkerLostError
from amltk.scheduling import CallLimiter, ExitCode, Retry
from tests.backends.jobqueue.test_running import asking
from tests.clusters.bed import ROOT, SOURCE, Bed
from tests.clusters.test_work import SOON, run_one_call
from tests.clusters.work import Span, take_a_moment, tell_and_wait, variable, wait_the_first_time
from tests.helpers import Gate, echo, future_of, program, wait_at

pytestmark = pytest.mark.parametrize("bed", ["slurm"], indirect=True)

JOB, NODE = "SLURM_JOB_ID", "SLURMD_NODENAME"


# Many calls, and jobs on several nodes.


def test_two_jobs_are_on_two_nodes(cluster: Bed, tmp_path: Path) -> None:
    """
    Calls that run at the same time do so on different nodes, since there is more room.
    """
    scheduler = Scheduler(cluster.jobs_for(2))
    waiting = scheduler.task(tell_and_wait)
    gates = [Gate(tmp_path / f"gate{n}") for n in range(2)]
    nodes: list[str] = []

    @scheduler.on_start
    def begin() -> None:
        for n, gate in enumerate(gates):
            waiting(NODE, str(tmp_path / f"told{n}"), gate.path)
        for gate in gates:
            gate.hold()
        for gate in gates:
            gate.let_go()

    waiting.on_result.add(lambda _, node: nodes.append(node))
    with gates[0], gates[1]:
        scheduler.run()
    assert len(nodes) == len(set(nodes)) == 2


def test_more_jobs_than_there_is_room_for(cluster: Bed, gate: Gate) -> None:
    """
    As many run as fit, the others wait for their turn, and all calls are computed.
    """
    n_jobs = cluster.cores + 2
    scheduler = Scheduler(cluster.jobs_for(n_jobs))
    waiting, echoing = scheduler.task(wait_at), scheduler.task(echo)

    def is_full() -> bool:
        states = [job.state for job in cluster.unfinished()]
        return (states.count("running"), states.count("waiting")) == (cluster.cores, 2)

    @scheduler.on_start
    def fill_it() -> None:
        for _ in range(n_jobs):
            waiting(gate.path)
        cluster.wait_until(is_full, "all cores are in use")
        gate.let_go()
        for n in range(50):
            echoing(n)

    assert scheduler.run().code is ExitCode.EXHAUSTED
    assert waiting.event_counts["on_result"] == n_jobs
    assert echoing.event_counts["on_result"] == 50


def test_each_result_has_the_next_call_made(cluster: Bed) -> None:
    """
    A chain of calls stays in the same job.
    """
    scheduler = Scheduler(cluster.jobs_for(1))
    asking = scheduler.task(variable)
    jobs: list[str] = []
    scheduler.on_start.add(lambda: asking(JOB))
    asking.on_result(limit=19)(lambda *_: asking(JOB))
    asking.on_result.add(lambda _, job: jobs.append(job))
    scheduler.run()
    assert len(jobs) == 20
    assert len(set(jobs)) == 1


def test_a_limiter_holds_in_several_jobs(cluster: Bed) -> None:
    """
    With at most one call at a time, no two of them overlap, whichever job computes them.
    """
    scheduler = Scheduler(cluster.jobs_for(2))
    limited = scheduler.task(take_a_moment, plugins=CallLimiter(max_concurrent=1))
    spans: list[Span] = []

    @scheduler.on_start
    @limited.on_result(limit=5)
    def try_two(*_: object) -> None:
        limited()
        limited()

    limited.on_result.add(lambda _, span: spans.append(span))
    scheduler.run()
    assert len(spans) == 6
    assert all(one.end <= other.begin for one, other in pairwise(spans))


def test_a_call_that_is_lost_with_its_job_is_tried_again(
    cluster: Bed, tmp_path: Path, gate: Gate
) -> None:
    """
    In another job, and nobody but `Retry` hears of the loss.
    """
    scheduler = Scheduler(cluster.jobs_for(1))
    trying = scheduler.task(wait_the_first_time, plugins=Retry(max_lost=1))
    results: list[str] = []

    @scheduler.on_start
    def begin() -> None:
        trying(str(tmp_path / "flag"), gate.path)
        gate.hold()
        [job] = cluster.unfinished()
        cluster.cancel(job.id)

    trying.on_result.add(lambda _, result: results.append(result))
    scheduler.run()
    assert results == ["second time"]
    assert trying.event_counts["on_exception"] == 0


def test_a_node_that_fails_costs_what_it_computed(cluster: Bed, tmp_path: Path, gate: Gate) -> None:
    """
    The call is lost, and the next one is computed in another job; Slurm would begin the first one
    again, and is told not to.
    """
    scheduler = Scheduler(cluster.jobs_for(1))
    waiting, asking = scheduler.task(tell_and_wait), scheduler.task(variable)
    told = tmp_path / "told"
    jobs: list[str] = []

    @scheduler.on_start
    def begin() -> None:
        waiting(JOB, str(told), gate.path)
        gate.hold()
        [node] = cluster.run("squeue", "-h", "-o", "%N", "-j", told.read_text()).split()
        cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    waiting.on_exception.add(lambda *_: asking(JOB))
    asking.on_result.add(lambda _, job: jobs.append(job))
    scheduler.run(on_exception={WorkerLostError: "ignore"})
    assert len(jobs) == 1
    assert jobs != [told.read_text()]


# However a run ends, no job is left; the fixture looks.


def test_a_run_that_fails_leaves_no_job(cluster: Bed, gate: Gate) -> None:
    """
    The exception comes out of the run, and the call that was computed is over.
    """
    scheduler = Scheduler(cluster.jobs_for(1))

    @scheduler.on_start
    def fail() -> None:
        future_of(scheduler.submit(wait_at, gate.path))
        gate.hold()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        scheduler.run(wait=False)
    assert not cluster.unfinished()


PROGRAM = """
import sys
from amltk import Scheduler
from amltk.backends import Slurm


def wait_at(gate):
    with open(gate) as pipe:
        pipe.read()


if __name__ == "__main__":
    gate, path = sys.argv[1:]
    scheduler = Scheduler(
        Slurm(
            3,
            adaptive=False,
            cores=1,
            memory="500 MB",
            interface="lo",
            nanny=False,
            job_script_prologue=[f"export PYTHONPATH={path}"],
        )
    )
    scheduler.on_start.add(lambda: scheduler.submit(wait_at, gate))
    scheduler.run()
"""


def test_ctrl_c_leaves_no_job(cluster: Bed, tmp_path: Path, gate: Gate) -> None:
    """
    The program has ended its jobs by the time that it has ended itself.
    """
    path = f"{SOURCE}{os.pathsep}{ROOT}"
    with program(tmp_path / "script.py", PROGRAM, gate.path, path) as process:
        gate.hold()
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=40)
        assert not cluster.unfinished()


def test_the_jobs_of_a_program_that_was_killed_end_by_themselves(
    cluster: Bed, tmp_path: Path, gate: Gate
) -> None:
    """
    Their workers have nobody to work for. What the program had in files stays, however.
    """
    path = f"{SOURCE}{os.pathsep}{ROOT}"

    def all_work() -> bool:
        return [job.state for job in cluster.unfinished()] == ["running"] * 3

    with program(tmp_path / "script.py", PROGRAM, gate.path, path) as process:
        gate.hold()
        cluster.wait_until(all_work, "all jobs run")
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=40)
        gate.let_go()
        cluster.wait_until(lambda: not cluster.jobs(), "its jobs have ended")
    [left] = Path.cwd().iterdir()
    shutil.rmtree(left)


# What cannot work is an error, within seconds.


def test_a_python_that_is_none_is_an_error(cluster: Bed) -> None:
    """
    With the complaint of the shell.
    """
    with pytest.raises(ExecutorBrokenError, match="no/such/python"):
        run_one_call(cluster, python="/no/such/python")


def test_a_job_that_needs_too_much_memory_is_an_error(cluster: Bed) -> None:
    """
    Slurm does not take what no node has room for.
    """
    with pytest.raises(ExecutorBrokenError, match=r"(?s)has not taken a job: .*configuration"):
        run_one_call(cluster, memory="100 GB")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"cores": 50}, "PartitionConfig"),
        ({"queue": "small", "walltime": "00:50:00"}, "PartitionTimeLimit"),
    ],
    ids=["cores", "walltime"],
)
def test_a_job_that_would_wait_for_ever_is_an_error(
    cluster: Bed, options: dict[str, object], why: str
) -> None:
    """
    Slurm takes it, and says why it does not run.
    """
    with pytest.raises(ExecutorBrokenError, match=f"never can run .*{why}"):
        run_one_call(cluster, **options)


def test_the_first_worker_has_to_be_there_in_time(cluster: Bed, tmp_path: Path) -> None:
    """
    While others use the cluster, the error names the job and what it waits for.
    """
    script = tmp_path / "other.sh"
    script.write_text("#!/bin/sh\nexec sleep 100\n")
    others = [cluster.submit(script) for _ in range(cluster.cores)]
    running = {(other, "running") for other in others}
    cluster.wait_until(lambda: running == {*cluster.unfinished()}, "others use the cluster")
    try:
        with pytest.raises(ExecutorBrokenError, match=r"start_timeout=3.*PENDING"):
            run_one_call(cluster, start_timeout=3)
    finally:
        for other in others:
            cluster.cancel(other)


def test_nobody_gets_in_without_credentials(cluster: Bed) -> None:
    """
    Where the workers of jobs are let in, other clients are not.
    """
    import distributed

    with cluster.jobs_for(1).open() as executor:
        assert executor.submit(echo, 1).result(SOON * 3) == 1
        address = executor.client.scheduler.address
        for security in (None, distributed.Security.temporary()):
            with pytest.raises(OSError):
                asyncio.run(asking(address, security))
        assert executor.submit(echo, 2).result(SOON) == 2
