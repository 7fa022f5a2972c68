"""Running in a loop that runs already: `async_run`, and the notebook."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path

import pytest

from amltk import Scheduler
from amltk.backends import Threads
from amltk.backends.base import Backend
from amltk.scheduling import ExitCode, ExitState
from tests.helpers import (
    Boom,
    Gate,
    all_accounted_for,
    echo,
    fail,
    future_of,
    story_of,
    wait_at,
)

NOTHING_TO_DO = ExitState(ExitCode.EXHAUSTED)


# In a loop that runs already.


def test_two_schedulers_run_in_one_loop(backend: Backend) -> None:
    """
    Side by side, each with its own work.
    """

    async def main() -> tuple[ExitState, ExitState]:
        first_state, second_state = await asyncio.gather(first.async_run(), second.async_run())
        return first_state, second_state

    first, second = Scheduler(backend), Scheduler(Threads(1))
    results: dict[str, list[int]] = {"first": [], "second": []}
    first.on_start(repeat=3)(lambda: first.submit(echo, 1))
    second.on_start(repeat=3)(lambda: second.submit(echo, 2))
    first.on_future_result.add(lambda _, result: results["first"].append(result))
    second.on_future_result.add(lambda _, result: results["second"].append(result))
    assert asyncio.run(main()) == (NOTHING_TO_DO, NOTHING_TO_DO)
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
        while not heard:  # noqa: ASYNC110 - the loop has to turn
            await asyncio.sleep(0)

    with Gate(tmp_path / "gate") as gate:
        scheduler.on_start.add(lambda: scheduler.submit(wait_at, gate.path), gate.hold)
        scheduler.on_start(scheduler.stop)
        asyncio.run(main())
    assert heard == ["SIGTERM"]
