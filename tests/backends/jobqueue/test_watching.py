"""What can happen to jobs, and how soon somebody hears of it."""

from __future__ import annotations

import re
from asyncio import Future
from collections.abc import Callable
from pathlib import Path

import pytest

from amltk import Scheduler
from amltk.backends.jobqueue import JobQueue, Slurm, desk, roster
from amltk.backends.jobqueue.inquiry import OFTEN
from amltk.exceptions import ExecutorBrokenError, WorkerLostError
from amltk.scheduling import Retry
from tests.backends.jobqueue.conftest import small, wait_for
from tests.backends.jobqueue.shim import Shim
from tests.helpers import Gate, begin_and_wait_at, die, die_at, die_while, echo, wait_at


def run_one_call(recipe: JobQueue) -> None:
    scheduler = Scheduler(recipe)
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    scheduler.run()


def test_a_job_that_is_refused_is_an_error(make: Callable[..., JobQueue], shim: Shim) -> None:
    """
    It says what the manager said, and the call ends with it.
    """
    (shim.directory / "refuse").write_text("error: no such queue: nope")
    with pytest.raises(ExecutorBrokenError, match="no such queue: nope"):
        run_one_call(small(make))


def test_jobs_that_die_at_once_are_an_error(make: Callable[..., JobQueue], shim: Shim) -> None:
    """
    It names the job and shows the end of its log.
    """
    prologue = ["echo no module was loaded", "exit 3"]
    with pytest.raises(ExecutorBrokenError) as raised:
        run_one_call(small(make, 3, min_workers=3, job_script_prologue=prologue))
    text = str(raised.value)
    assert "exit code 3" in text
    assert "no module was loaded" in text
    assert any(f"Job {job.number}" in text for job in shim.jobs())


def test_a_python_that_is_none_is_an_error(shim: Shim) -> None:
    """
    With one job at a time, it is tried three times, and the shell's complaint is shown.
    """
    with pytest.raises(ExecutorBrokenError, match="no/such/python"):
        run_one_call(small(Slurm, python="/no/such/python"))
    assert len(shim.jobs()) == 3


def test_a_manager_that_does_not_answer_is_an_error(
    shim: Shim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    As soon as there is no time left for the first worker.
    """
    (shim.directory / "hold").write_text("Priority")
    (shim.directory / "slow").write_text("10")
    monkeypatch.setattr(desk, "LATE", 60.0)
    with pytest.raises(ExecutorBrokenError, match=r"start_timeout=1.*being submitted"):
        run_one_call(small(Slurm, start_timeout=1))


def test_the_first_worker_has_to_be_there_in_time(
    make: Callable[..., JobQueue], shim: Shim
) -> None:
    """
    Otherwise all calls end with an error that says what the jobs are doing.
    """
    (shim.directory / "hold").write_text("Priority")
    with pytest.raises(ExecutorBrokenError, match=r"start_timeout=4.*job 1"):
        run_one_call(small(make, start_timeout=4))


def test_a_job_that_never_can_run_is_an_error(shim: Shim) -> None:
    """
    Slurm says so of jobs that wait, and the error repeats it.
    """
    (shim.directory / "hold").write_text("PartitionTimeLimit")
    with pytest.raises(ExecutorBrokenError, match=r"Job 1 of Slurm never can run.*PartitionTime"):
        run_one_call(small(Slurm))


def test_a_job_that_just_waits_is_waited_for(shim: Shim) -> None:
    """
    Its turn comes, as it does for most jobs.
    """
    (shim.directory / "hold").write_text("Resources")
    scheduler = Scheduler(small(Slurm))
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))

    @scheduler.on_future_submitted
    def let_it_run(_: Future[object]) -> None:
        (shim.directory / "hold").unlink()

    scheduler.run()
    assert scheduler.event_counts[Scheduler.FUTURE_RESULT] == 1


def test_who_waits_for_long_is_told(
    shim: Shim, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A warning now and then says which job waits, and why.
    """
    monkeypatch.setattr(roster, "FIRST_NOTE", 1.0)
    (shim.directory / "hold").write_text("Priority")
    with small(Slurm).open() as executor:
        call = executor.submit(echo, 1)
        wait_for(lambda: "job 1 (PENDING: Priority)" in caplog.text)
        assert "no workers yet" in caplog.text
        call.cancel()


def test_a_job_whose_worker_does_not_come_is_heard(
    shim: Shim, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    While it goes on, the warning and the error show what it has written until then.
    """
    monkeypatch.setattr(roster, "FIRST_NOTE", 1.0)
    prologue = ["echo there is no way to login1", "exec sleep 100"]
    with pytest.raises(ExecutorBrokenError, match=r"(?s)start_timeout=7.*no way to login1"):
        run_one_call(small(Slurm, start_timeout=7, job_script_prologue=prologue))
    assert "no workers yet" in caplog.text
    assert "there is no way to login1" in caplog.text.partition("no workers yet")[2]


def kill_the_job_of_a_call(shim: Shim, gate: Gate) -> None:
    gate.hold()  # a call is here
    shim.left()[0].end()


def test_a_lost_job_costs_its_call_and_is_replaced(
    make: Callable[..., JobQueue],
    shim: Shim,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    The call ends as lost, a warning names the job and shows its log, and the run goes on.
    """
    gate = Gate(tmp_path / "gate")
    scheduler = Scheduler(small(make))
    waiting, echoing = scheduler.task(wait_at), scheduler.task(echo)
    scheduler.on_start.add(lambda: waiting(gate.path), lambda: kill_the_job_of_a_call(shim, gate))
    lost: list[BaseException] = []
    waiting.on_exception.add(lambda _, error: lost.append(error), lambda _, error: echoing(1))
    with gate:
        scheduler.run(on_exception={WorkerLostError: "ignore"})
    assert isinstance(lost[0], WorkerLostError)
    assert echoing.event_counts["on_result"] == 1
    assert re.search(r"worker of job 1(\.0)? of .*\nThe end of .*", str(lost[0]))
    assert "was lost" in caplog.text
    assert "Received signal SIGTERM" in caplog.text
    assert len(shim.jobs()) == 2


def test_a_call_that_only_waits_is_not_lost(shim: Shim) -> None:
    """
    When a worker dies, calls that no worker has begun go to the next one.
    """
    with small(Slurm).open() as executor:
        futures = [executor.submit(die_at, 1, n) for n in range(4)]
        assert isinstance(futures[1].exception(), WorkerLostError)
        assert [futures[n].result() for n in (0, 2, 3)] == [0, 2, 3]


def test_a_worker_that_leaves_finishes_its_call(shim: Shim, tmp_path: Path) -> None:
    """
    Though its time is over: nobody else computes that again. What waits, others compute.
    """
    begun, logs = tmp_path / "begun", tmp_path / "logs"
    recipe = small(Slurm, log_directory=logs, worker_extra_args=["--lifetime", "3s"])
    with recipe.open() as executor, Gate(tmp_path / "gate") as gate:
        call = executor.submit(begin_and_wait_at, str(begun), gate.path)
        gate.hold()
        wait_for(lambda: any("gracefully" in log.read_text() for log in logs.iterdir()))
        waits = executor.submit(echo, 2)
        gate.let_go()
        assert (call.result(), waits.result()) == ("", 2)
    assert begun.read_text() == "begun\n"


def test_a_call_that_was_lost_can_be_retried(shim: Shim, tmp_path: Path) -> None:
    """
    To a `Retry` it is one that was lost with its worker.
    """
    flag = tmp_path / "flag"
    flag.touch()
    scheduler = Scheduler(small(Slurm, nanny=True))
    task = scheduler.task(die_while, plugins=Retry(attempts=1, max_lost=1))
    scheduler.on_start.add(lambda: task(str(flag)))
    scheduler.run()
    assert task.event_counts["retry"] == 1
    assert task.event_counts["on_result"] == 1


def test_a_worker_that_its_nanny_starts_again_costs_no_job(
    shim: Shim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The call is lost; the job goes on with a new worker.
    """
    monkeypatch.setattr(roster, "RETURN", 100.0)
    with small(Slurm, nanny=True).open() as executor:
        assert isinstance(executor.submit(die).exception(), WorkerLostError)
        assert executor.submit(echo, 1).result() == 1
    assert len(shim.jobs()) == 1


def test_after_it_has_given_up_another_cluster_can_be_opened(shim: Shim) -> None:
    """
    The run goes on with a new one, if it is told to ignore what the first one came to.
    """
    (shim.directory / "refuse").write_text("error: out of service")
    scheduler = Scheduler(small(Slurm))
    task = scheduler.task(echo)
    scheduler.on_start.add(lambda: task(1))

    @task.on_exception(limit=1)
    def try_again(_: Future[int], error: BaseException) -> None:
        assert "out of service" in str(error)
        (shim.directory / "refuse").unlink()
        task(2)

    scheduler.run(on_exception={ExecutorBrokenError: "ignore"})
    assert task.event_counts["on_result"] == 1
    assert len(shim.jobs()) == 1


def test_a_manager_that_refuses_for_a_while_is_asked_again(
    shim: Shim, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Once it has taken a job; until it takes the next one there is a warning.
    """
    with small(Slurm).open() as executor:
        executor.submit(echo, 1).result()
        (shim.directory / "refuse").write_text("error: back in a minute")
        shim.left()[0].end()
        wait_for(lambda: "was lost" in caplog.text)
        future = executor.submit(echo, 2)
        wait_for(lambda: "back in a minute" in caplog.text)
        (shim.directory / "refuse").unlink()
        assert future.result() == 2


def test_a_job_that_the_manager_never_speaks_of_is_not_gone(shim: Shim, tmp_path: Path) -> None:
    """
    It may be with another cluster than the one that is asked.
    """
    squeue = shim.directory / "bin" / "squeue"
    real = squeue.rename(tmp_path / "squeue")
    squeue.write_text(f"#!/bin/sh\n{real} > /dev/null\necho '1000|RUNNING|None'\n")
    squeue.chmod(0o755)
    (shim.directory / "hold").write_text("Priority")
    with small(Slurm).open() as executor:
        future = executor.submit(echo, 1)
        with pytest.raises(TimeoutError):
            future.result(timeout=4 * OFTEN)
        (shim.directory / "hold").unlink()
        assert future.result() == 1
    assert len(shim.jobs()) == 1


def test_a_job_that_leaves_the_queue_has_ended(
    shim: Shim, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Also if it could not say so itself: somebody has cancelled it while it waited.
    """
    (shim.directory / "hold").write_text("Priority")
    with small(Slurm).open() as executor:
        future = executor.submit(echo, 1)
        wait_for((shim.directory / "named").exists)
        shim.cancel(1)
        (shim.directory / "hold").unlink()
        assert future.result() == 1
    assert "not in the queue any more" in caplog.text
