"""What can happen to jobs of a real Slurm, beyond what is tried on every manager."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from amltk import Scheduler
from amltk.backends.jobqueue import roster
from amltk.exceptions import ExecutorBrokenError, WorkerLostError
from amltk.scheduling import CallLimiter, Comm, ExitCode, Retry
from tests.backends.jobqueue.test_running import address_of, asking
from tests.clusters.bed import Bed
from tests.clusters.test_work import program_on, run_one_call
from tests.clusters.work import (
    Span,
    ask_back,
    speak_and_wait,
    take_a_moment,
    tell_and_wait,
    variable,
    wait_the_first_time,
)
from tests.helpers import Gate, echo, future_of, wait_at

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
    cluster.wait_until_empty()

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


def test_more_jobs_than_there_is_room_for(
    cluster: Bed, others: Callable[[int], None], gate: Gate
) -> None:
    """
    As many run as fit, the others wait for their turn, and all calls are computed.
    """
    scheduler = Scheduler(cluster.jobs_for(4))
    waiting, echoing = scheduler.task(wait_at), scheduler.task(echo)
    others(cluster.cores - 2)

    def is_full() -> bool:
        states = [job.state for job in cluster.unfinished()]
        return (states.count("running"), states.count("waiting")) == (cluster.cores, 2)

    @scheduler.on_start
    def fill_it() -> None:
        for _ in range(4):
            waiting(gate.path)
        cluster.wait_until(is_full, "all cores are in use")
        gate.let_go()
        for n in range(50):
            echoing(n)

    assert scheduler.run().code is ExitCode.EXHAUSTED
    assert waiting.event_counts["on_result"] == 4
    assert echoing.event_counts["on_result"] == 50


def test_each_result_has_the_next_call_made(cluster: Bed) -> None:
    """
    A chain of calls stays in the same job.
    """
    scheduler = Scheduler(cluster.jobs_for(1))
    asking = scheduler.task(variable)
    jobs: list[str] = []
    scheduler.on_start.add(lambda: asking(JOB))
    asking.on_result(limit=19)(lambda _, __: asking(JOB))
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

    waiting.on_exception.add(lambda _, __: asking(JOB))
    asking.on_result.add(lambda _, job: jobs.append(job))
    scheduler.run(on_exception={WorkerLostError: "ignore"})
    assert len(jobs) == 1
    assert jobs != [told.read_text()]


# Calls that speak while they are computed.


@pytest.mark.parametrize(
    "plugin",
    [Comm.Plugin(), Comm.Plugin(socket.gethostname(), listen="0.0.0.0")],
    ids=["this machine", "any machine"],
)
def test_a_call_in_a_job_says_and_asks_something(cluster: Bed, plugin: Comm.Plugin) -> None:
    """
    What it says is heard before its outcome, and it gets its answer.
    """
    scheduler = Scheduler(cluster.jobs_for(1))
    asking = scheduler.task(ask_back, plugins=plugin)
    story: list[str] = []
    scheduler.on_start.add(lambda: asking(JOB))
    asking.on("comm-message").add(lambda msg: story.append(msg.data))
    asking.on("comm-request").add(lambda msg: msg.respond(f"{story[0]} goes on"))
    asking.on_result.add(lambda _, result: story.append(result))
    scheduler.run()
    job = story[0]
    assert job.isdecimal()
    assert story == [job, f"{job} goes on"]


def test_what_a_call_has_said_is_heard_if_its_job_is_killed(cluster: Bed, gate: Gate) -> None:
    """
    Before the loss is; and that it says nothing more is heard once.
    """
    scheduler = Scheduler(cluster.jobs_for(1))
    speaking = scheduler.task(speak_and_wait, plugins=Comm.Plugin())
    story: list[str] = []
    scheduler.on_start.add(lambda: speaking(JOB, gate.path))
    speaking.on("comm-message").add(lambda msg: cluster.cancel(msg.data))
    speaking.on("comm-message").add(lambda _: story.append("message"))
    speaking.on("comm-close").add(lambda _: story.append("close"))
    speaking.on_exception.add(lambda _, error: story.append(type(error).__name__))
    scheduler.run(on_exception={WorkerLostError: "ignore"})
    assert story == ["message", "close", "WorkerLostError"]


# How many jobs there are, and how they are submitted.


def test_jobs_without_work_are_ended(cluster: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Down to `min_workers`.
    """
    monkeypatch.setattr(roster, "IDLE", 0.5)
    with cluster.jobs_for(2, min_workers=1).open() as executor:
        for future in [executor.submit(take_a_moment) for _ in range(2)]:
            future.result()
        cluster.wait_until(lambda: len(cluster.unfinished()) == 1, "one job stays")
        executor.submit(take_a_moment).result()


def test_without_adapting_a_lost_job_is_replaced(cluster: Bed) -> None:
    """
    There are as many as there are to be, though there is no work.
    """
    with cluster.jobs_for(2, adaptive=False).open() as executor:
        cluster.wait_until(lambda: len(cluster.unfinished()) == 2, "there are two jobs")
        executor.submit(echo, 0).result()
        [first, _] = cluster.unfinished()
        cluster.cancel(first.id)
        cluster.wait_until(
            lambda: (
                len(cluster.unfinished()) == 2
                and first.id not in {job.id for job in cluster.unfinished()}
            ),
            "another job takes its place",
        )


def test_the_submit_command_may_be_another(cluster: Bed) -> None:
    """
    Slurm gets what it says.
    """
    with cluster.jobs_for(1, submit_command="sbatch --comment=mine").open() as executor:
        assert executor.submit(echo, 1).result() == 1
        assert cluster.run("squeue", "-h", "-t", "running", "-o", "%k").split() == ["mine"]


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


def test_the_jobs_of_a_program_that_was_killed_end_by_themselves(
    cluster: Bed, tmp_path: Path, gate: Gate
) -> None:
    """
    A worker that has nobody to work for any more, and one that finds nobody when it is there. What the
    program had in files stays, however.
    """
    recipe = cluster.jobs_for(2, adaptive=False, death_timeout=10)
    with program_on(recipe, tmp_path, gate) as process:
        gate.hold()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=40)
        gate.let_go()
        cluster.wait_until_empty()
    [left] = Path.cwd().iterdir()
    shutil.rmtree(left)


# What cannot work is an error, within seconds.


def test_a_python_that_is_none_is_an_error(cluster: Bed) -> None:
    """
    With the complaint of the shell.
    """
    with pytest.raises(ExecutorBrokenError, match="no/such/python"):
        run_one_call(cluster, n_workers=3, adaptive=False, python="/no/such/python")


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
    cluster: Bed, options: dict[str, Any], why: str
) -> None:
    """
    Slurm takes it, and says why it does not run.
    """
    with pytest.raises(ExecutorBrokenError, match=f"never can run .*{why}"):
        run_one_call(cluster, **options)


def test_nobody_gets_in_without_credentials(cluster: Bed) -> None:
    """
    Where the workers of jobs are let in, other clients are not.
    """
    import distributed

    with cluster.jobs_for(1).open() as executor:
        assert executor.submit(echo, 1).result() == 1
        address = address_of(executor)
        for security in (None, distributed.Security.temporary()):
            with pytest.raises(OSError):
                asyncio.run(asking(address, security, seconds=1))
        assert executor.submit(echo, 2).result() == 2
