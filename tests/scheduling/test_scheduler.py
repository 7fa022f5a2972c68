"""The face of the library: executors, ways to run, ways to stop."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from asyncio import Future
from pathlib import Path
from typing import Any

import psutil
import pytest

from amltk import Scheduler
from amltk.backends import Loky, Processes, Sequential, Threads
from amltk.backends.base import Backend
from amltk.backends.process_trees import is_alive
from amltk.exceptions import (
    SchedulerAlreadyRunningError,
)
from amltk.scheduling import ExitCode, ExitState
from tests.helpers import (
    Gate,
    all_accounted_for,
    echo,
    future_of,
    have_a_child_wait_at,
    in_thread,
    pid,
    program,
    story_of,
    wait_at,
)

NOTHING_TO_DO = ExitState(ExitCode.EXHAUSTED)


# wait=False.


def test_without_waiting_everything_pending_is_cancelled(parallel: Backend, tmp_path: Path) -> None:
    """
    What runs and what waits for its turn; the workers are gone when `run` returns.
    """
    scheduler = Scheduler(parallel)
    futures: list[Future[Any]] = []
    before = set(psutil.Process().children(recursive=True))
    with Gate(tmp_path / "gate") as gate:
        scheduler.on_start(repeat=5)(lambda: futures.append(scheduler.submit(wait_at, gate.path)))
        scheduler.on_start(gate.hold)
        scheduler.on_start(scheduler.stop)
        story = story_of(scheduler)
        assert scheduler.run(wait=False).code is ExitCode.STOPPED
        assert all(future.cancelled() for future in futures)
        assert story[-6:] == ["on_future_cancelled"] * 5 + ["on_finished"]
        left = set(psutil.Process().children(recursive=True)) - before
        assert not [p for p in left if is_alive(p)]
    assert all_accounted_for(scheduler)


def test_children_of_workers_are_ended_as_well(processes: Backend, tmp_path: Path) -> None:
    """
    A process that a call has started does not outlive the run.
    """
    scheduler = Scheduler(processes)
    before = set(psutil.Process().children(recursive=True))
    with Gate(tmp_path / "gate") as gate:
        scheduler.on_start.add(lambda: scheduler.submit(have_a_child_wait_at, gate.path))
        scheduler.on_start(gate.hold)  # the child is there
        scheduler.on_start(scheduler.stop)
        scheduler.run(wait=False)
    left = set(psutil.Process().children(recursive=True)) - before
    assert not [p for p in left if is_alive(p)]


def test_a_future_that_the_user_cancels_is_cancelled(scheduler: Scheduler) -> None:
    """
    Once, whether or not its call could be kept from running, and the run goes on.
    """
    task = scheduler.task(echo)
    cancelled: list[object] = []
    task.on_cancelled.add(cancelled.append)
    scheduler.on_start.add(lambda: future_of(task(1)).cancel(), lambda: task(2))
    assert scheduler.run() == NOTHING_TO_DO
    assert len(cancelled) == scheduler.event_counts["on_future_cancelled"] == 1
    assert scheduler.event_counts["on_future_result"] == 1
    assert task.n_running == 0


# One run at a time.


def test_a_scheduler_cannot_run_twice_at_once(scheduler: Scheduler) -> None:
    """
    Neither from a callback nor from another thread; the run that is on goes on.
    """
    refused: list[BaseException | None] = []

    @scheduler.on_start
    def run_again() -> None:
        refused.append(in_thread(scheduler.run))
        with pytest.raises(SchedulerAlreadyRunningError, match="async_run") as caught:
            scheduler.run()
        refused.append(caught.value)

    assert scheduler.run() == NOTHING_TO_DO
    assert [type(error) for error in refused] == [SchedulerAlreadyRunningError] * 2
    assert "second scheduler" in str(refused[0])


def test_run_inside_a_loop_says_what_to_await() -> None:
    """
    In a coroutine or a notebook one awaits `async_run`.
    """

    async def main() -> None:
        with pytest.raises(SchedulerAlreadyRunningError, match=r"await scheduler\.async_run"):
            Scheduler.with_sequential().run()

    asyncio.run(main())


# Stop, from anywhere.


def test_stop_may_be_a_signal_handler(scheduler: Scheduler) -> None:
    """
    A run that waits is ended by a signal that arrives.
    """
    before = signal.signal(signal.SIGUSR1, scheduler.stop)
    try:
        scheduler.on_start.add(
            lambda: asyncio.get_running_loop().call_soon(
                lambda: signal.raise_signal(signal.SIGUSR1)
            )
        )
        assert scheduler.run(end_on_empty=False) == ExitState(ExitCode.STOPPED)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_stop_without_a_run_does_nothing(scheduler: Scheduler) -> None:
    """
    Neither before nor after one.
    """
    scheduler.stop()
    assert scheduler.run() == NOTHING_TO_DO
    scheduler.stop()
    assert scheduler.run() == NOTHING_TO_DO


# Quiet.

QUIET = """
import asyncio, logging, sys
from amltk import Scheduler
from amltk.backends import Loky, Processes, Sequential, Threads

def fail(): raise ValueError("nobody looks at this")
def echo(x): return x

def chain(scheduler):
    task = scheduler.task(echo)
    scheduler.on_start(lambda: task(1))
    task.on_result(lambda _, x: task(x))
    task.on_result(scheduler.stop, every=10)

def run(scheduler):
    scheduler.on_start(lambda: scheduler.submit(fail))
    scheduler.on_start(lambda: scheduler.submit(echo, 1).cancel())
    scheduler.on_start(lambda: [][0])
    chain(scheduler)
    print(scheduler.run(on_exception="ignore").code)
    print(scheduler.run(on_exception="ignore", wait=False).code)
    print(scheduler.run(on_exception="end").code)
    print(asyncio.run(scheduler.async_run(on_exception="ignore")).code)

if __name__ == "__main__":
    run(Scheduler({recipe}))
"""


@pytest.mark.parametrize(
    "recipe",
    ["Processes(2, 'fork')", "Processes(2, 'forkserver')", "Threads(2)", "Loky(2)", "Sequential()"],
)
def test_nothing_is_printed_behind_the_users_back(recipe: str, tmp_path: Path) -> None:
    """
    With every warning of Python on: failures that are ignored, chains that are cut, calls that are
    cancelled print nothing.
    """
    code = QUIET.replace("{recipe}", recipe)
    with program(tmp_path / "quiet.py", code) as process:
        out, err = process.communicate()
    assert err == ""
    assert out.split() == [
        "ExitCode.STOPPED",
        "ExitCode.STOPPED",
        "ExitCode.EXCEPTION",
        "ExitCode.STOPPED",
    ]
    assert isinstance(process, subprocess.Popen)
    assert process.returncode == 0


# Recipes and what they print.


@pytest.mark.parametrize(
    ("scheduler", "backend"),
    [
        (Scheduler.with_processes(2), Processes(2)),
        (Scheduler.with_threads(max_workers=3), Threads(3)),
        (Scheduler.with_loky(2, timeout=5), Loky(2, timeout=5)),
        (Scheduler.with_sequential(), Sequential()),
        (Scheduler.from_backend(Processes(1)), Processes(1)),
    ],
    ids=["processes", "threads", "loky", "sequential", "from_backend"],
)
def test_a_constructor_borrows_from_its_recipe(scheduler: Scheduler, backend: Backend) -> None:
    """
    `with_x(...)` is `Scheduler(X(...))`.
    """
    assert scheduler.backend == backend


def test_workers_are_other_processes(processes: Backend) -> None:
    """
    What runs in processes does not run in this one, on at most two of them.
    """
    scheduler = Scheduler(processes)
    pids: set[int] = set()
    scheduler.on_start(repeat=20)(lambda: scheduler.submit(pid))
    scheduler.on_future_result.add(lambda _, result: pids.add(result))
    scheduler.run()
    assert 1 <= len(pids) <= 2
    assert psutil.Process().pid not in pids


def test_a_scheduler_prints_what_it_is_doing() -> None:
    """
    Its backend, whether it runs, and how much is pending and done.
    """
    scheduler = Scheduler.with_threads(2)
    said: list[str] = []
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1), lambda: said.append(repr(scheduler)))
    scheduler.run()
    assert said == ["<Scheduler on Threads(max_workers=2): running, 1 pending, 0 done>"]
    assert (
        repr(scheduler) == "<Scheduler on Threads(max_workers=2): not running, 0 pending, 1 done>"
    )
