"""The face of the library: executors, ways to run, ways to stop."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import threading
from asyncio import Future
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from amltk import Scheduler
from amltk.backends import Loky, Processes, Sequential, Threads
from amltk.backends.base import Backend
from amltk.exceptions import (
    ExecutorBrokenError,
    ExecutorShutdownError,
    SchedulerAlreadyRunningError,
)
from amltk.scheduling import ExitCode, ExitState, SequentialExecutor
from tests.helpers import (
    Boom,
    Gate,
    all_accounted_for,
    die,
    echo,
    fail,
    have_a_child_wait_at,
    in_thread,
    keywords,
    pid,
    program,
    story_of,
    wait_at,
)

NOTHING_TO_DO = ExitState(ExitCode.EXHAUSTED)


# An executor that somebody made.


def test_a_given_executor_is_shut_down_at_the_end() -> None:
    """
    A run takes over the executor; a second one says why it cannot and what to do.
    """
    executor = ThreadPoolExecutor(1)
    scheduler = Scheduler(executor)
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    scheduler.run()
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(echo, 1)
    with pytest.raises(ExecutorShutdownError, match=r"shut down.*terminate=False.*with_processes"):
        scheduler.run()
    with pytest.raises(ExecutorShutdownError):
        Scheduler(executor).run()


def test_a_given_executor_can_be_kept_open() -> None:
    """
    With `terminate=False` it is there for the next run, and for whoever made it.
    """
    with ThreadPoolExecutor(1) as executor:
        scheduler = Scheduler(executor, terminate=False)
        scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
        assert [scheduler.run(), scheduler.run()] == [NOTHING_TO_DO, NOTHING_TO_DO]
        assert executor.submit(echo, 2).result() == 2


def test_a_kept_executor_goes_on_with_what_a_run_abandoned(tmp_path: Path) -> None:
    """
    With `wait=False` the futures are cancelled, and the executor is left alone.
    """
    with Gate(tmp_path / "gate") as gate, ThreadPoolExecutor(1) as executor:
        scheduler = Scheduler(executor, terminate=False)
        scheduler.on_start(limit=1)(lambda: scheduler.submit(wait_at, gate.path))
        scheduler.on_start(limit=1)(lambda: (gate.hold(), scheduler.stop()))
        assert scheduler.run(wait=False).code is ExitCode.STOPPED
        assert scheduler.event_counts["on_future_cancelled"] == 1
        gate.let_go()
        scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
        assert scheduler.run() == NOTHING_TO_DO


def test_a_given_executor_that_broke_says_so() -> None:
    """
    In each later submit; it cannot be opened afresh as a recipe is.
    """
    scheduler = Scheduler(ProcessPoolExecutor(1))
    scheduler.on_start.add(lambda: scheduler.submit(die))
    scheduler.on_empty(limit=2)(lambda: scheduler.submit(echo, 1))
    errors: list[BaseException] = []

    def run() -> None:
        scheduler.run(on_exception={ExecutorBrokenError: "raise", Exception: "ignore"})

    with pytest.raises(ExecutorBrokenError, match=r"broken.*recipe") as caught:
        run()
    errors.append(caught.value)
    assert scheduler.exit_state == ExitState(ExitCode.EXCEPTION, errors[0])


def test_terminate_says_nothing_of_a_recipe() -> None:
    """
    Each run opens an executor of its own, which nobody else has.
    """
    with pytest.raises(ValueError, match=r"terminate=False.*recipe"):
        Scheduler(Processes(2), terminate=False)


@pytest.mark.parametrize("nonsense", [None, 2, "processes", Processes, ThreadPoolExecutor])
def test_what_is_no_executor_is_refused(nonsense: object) -> None:
    """
    Also a class where an instance is wanted.
    """
    with pytest.raises(TypeError, match=r"neither an executor nor a recipe"):
        Scheduler(nonsense)  # type: ignore[arg-type]


class CountsKeywords(Executor):
    """One that takes keywords for itself, as that of a cluster may."""

    def submit(self, fn: Any, /, *args: Any, key: str | None = None, **kwargs: Any) -> Any:
        return SequentialExecutor().submit(fn, *args, **kwargs)


def test_every_keyword_reaches_the_function(scheduler: Scheduler) -> None:
    """
    Also those named as what `submit` or an executor might want for itself.
    """
    named = {"fn": 1, "function": 2, "key": 3, "pure": 4, "self": 5, "call": 6, "owner": 7}
    task = scheduler.task(keywords)
    results: list[object] = []
    scheduler.on_start.add(
        lambda: scheduler.submit(keywords, 0, **named), lambda: task(0, **named)
    )
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    scheduler.run()
    assert results == [((0,), named), ((0,), named)]


def test_an_executor_keeps_no_keyword_for_itself() -> None:
    """
    What its `submit` would take for itself is meant for the function.
    """
    scheduler = Scheduler(CountsKeywords())
    results: list[object] = []
    scheduler.on_start.add(lambda: scheduler.submit(keywords, key="mine"))
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    scheduler.run()
    assert results == [((), {"key": "mine"})]


# wait=False.


def test_without_waiting_everything_pending_is_cancelled(
    parallel: Backend, tmp_path: Path
) -> None:
    """
    What runs and what waits for its turn; the workers are gone when `run` returns.
    """
    scheduler = Scheduler(parallel)
    futures: list[Future[Any]] = []
    before = set(psutil.Process().children(recursive=True))
    with Gate(tmp_path / "gate") as gate:
        scheduler.on_start(repeat=5)(
            lambda: futures.append(scheduler.submit(wait_at, gate.path))
        )
        scheduler.on_start(gate.hold)
        scheduler.on_start(scheduler.stop)
        story = story_of(scheduler)
        assert scheduler.run(wait=False).code is ExitCode.STOPPED
        assert all(future.cancelled() for future in futures)
        assert story[-6:] == ["on_future_cancelled"] * 5 + ["on_finished"]
        left = set(psutil.Process().children(recursive=True)) - before
        assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]
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
    assert not [p for p in left if p.status() != psutil.STATUS_ZOMBIE]


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


def future_of(future: Future[Any] | None) -> Future[Any]:
    assert future is not None
    return future


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


# In a loop that runs already.


def test_two_schedulers_run_in_one_loop(backend: Backend) -> None:
    """
    Side by side, each with its own work.
    """

    async def main() -> list[ExitState]:
        return await asyncio.gather(first.async_run(), second.async_run())

    first, second = Scheduler(backend), Scheduler(Threads(1))
    results: dict[str, list[int]] = {"first": [], "second": []}
    first.on_start(repeat=3)(lambda: first.submit(echo, 1))
    second.on_start(repeat=3)(lambda: second.submit(echo, 2))
    first.on_future_result.add(lambda _, result: results["first"].append(result))
    second.on_future_result.add(lambda _, result: results["second"].append(result))
    assert asyncio.run(main()) == [NOTHING_TO_DO, NOTHING_TO_DO]
    assert results == {"first": [1, 1, 1], "second": [2, 2, 2]}


def test_a_coroutine_can_await_a_call(scheduler: Scheduler) -> None:
    """
    The futures are asyncio's; a run does not end between one `await` and the next.
    """
    task = scheduler.task(echo)
    results: list[int] = []

    async def chain() -> None:
        results.extend([await future_of(task(n)) for n in range(3)])

    async def main() -> ExitState:
        chains: list[asyncio.Task[None]] = []
        scheduler.on_start.add(lambda: chains.append(asyncio.create_task(chain())))
        scheduler.on_start.add(lambda: task(99))  # the chain begins with the next turn of the loop
        state = await scheduler.async_run()
        await chains[0]
        return state

    assert asyncio.run(main()) == NOTHING_TO_DO
    assert results == [0, 1, 2]


def test_a_coroutine_gets_what_a_call_raised(scheduler: Scheduler) -> None:
    """
    And may handle it; the policy decides over the run all the same.
    """
    caught: list[str] = []

    async def handle() -> None:
        try:
            await scheduler.submit(fail, "why")
        except Boom as error:
            caught.append(str(error))

    async def main() -> ExitState:
        handlers: list[asyncio.Task[None]] = []
        scheduler.on_start.add(lambda: handlers.append(asyncio.create_task(handle())))
        scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
        state = await scheduler.async_run(on_exception="ignore")
        await handlers[0]
        return state

    assert asyncio.run(main()) == NOTHING_TO_DO
    assert caught == ["why"]


def test_a_run_that_is_cancelled_cleans_up_first(parallel: Backend, tmp_path: Path) -> None:
    """
    What is pending is cancelled, the events are emitted, then `CancelledError` is raised.
    """
    scheduler = Scheduler(parallel)
    story = story_of(scheduler)

    async def main() -> None:
        run = asyncio.create_task(scheduler.async_run())
        scheduler.on_start.add(lambda: scheduler.submit(wait_at, gate.path), gate.hold)
        scheduler.on_start.add(lambda: asyncio.get_running_loop().call_soon(run.cancel))
        with pytest.raises(asyncio.CancelledError):
            await run

    with Gate(tmp_path / "gate") as gate:
        asyncio.run(main())
    assert scheduler.exit_state == ExitState(ExitCode.CANCELLED)
    assert story[-4:] == ["on_stop", "on_finishing", "on_future_cancelled", "on_finished"]
    assert all_accounted_for(scheduler)


def test_a_timeout_of_asyncio_is_one(tmp_path: Path) -> None:
    """
    `asyncio.timeout` around `async_run` raises `TimeoutError`, as around everything else.
    """
    scheduler = Scheduler.with_threads(1)

    async def main() -> None:
        async with asyncio.timeout(0.01):
            await scheduler.async_run(end_on_empty=False)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert scheduler.exit_state == ExitState(ExitCode.CANCELLED)


def test_a_run_can_be_had_inside_a_loop(backend: Backend) -> None:
    """
    `run_in_notebook` runs in a thread of its own, and gives what `run` gives.
    """
    scheduler = Scheduler(backend)
    threads: set[str] = set()
    scheduler.on_start.add(lambda: threads.add(threading.current_thread().name))
    scheduler.on_start.add(lambda: scheduler.submit(fail, "why"))

    async def main() -> ExitState:
        with pytest.raises(Boom, match="why"):
            scheduler.run_in_notebook()
        return scheduler.run_in_notebook(on_exception="end")

    assert asyncio.run(main()).code is ExitCode.EXCEPTION
    assert threading.main_thread().name not in threads


def test_forked_workers_send_their_signals_to_nobody_else(tmp_path: Path) -> None:
    """
    A loop that handles SIGTERM hears nothing of the SIGTERM that ends a worker.
    """
    scheduler = Scheduler.with_processes(1, mp_context="fork")
    heard: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, heard.append, "SIGTERM")
        await scheduler.async_run(wait=False)
        signal.raise_signal(signal.SIGTERM)  # this is one for us
        while not heard:
            await asyncio.sleep(0)

    with Gate(tmp_path / "gate") as gate:
        scheduler.on_start.add(lambda: scheduler.submit(wait_at, gate.path), gate.hold)
        scheduler.on_start(scheduler.stop)
        asyncio.run(main())
    assert heard == ["SIGTERM"]


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
    assert repr(scheduler) == "<Scheduler on Threads(max_workers=2): not running, 0 pending, 1 done>"
