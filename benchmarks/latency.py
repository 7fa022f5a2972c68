"""How long after a worker has finished the callback is called.

The whole call is to look at the clock, so its result is the moment of its outcome; the callback
looks at the clock first of all. One call at a time: nothing waits in a queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from statistics import median
from time import perf_counter

from pairs import Pair, in_turn

from amltk import Scheduler

N_CALLS = 1_000
N_WORKERS = 2


def with_threads(rounds: int) -> list[Pair]:
    return in_turn(
        lambda: to_a_callback(Scheduler.with_threads(N_WORKERS)),
        partial(to_a_coroutine, lambda: ThreadPoolExecutor(N_WORKERS)),
        rounds,
    )


def with_processes(rounds: int) -> list[Pair]:
    return in_turn(
        lambda: to_a_callback(Scheduler.with_processes(N_WORKERS)),
        partial(to_a_coroutine, lambda: ProcessPoolExecutor(N_WORKERS)),
        rounds,
    )


def to_a_callback(scheduler: Scheduler) -> float:
    task = scheduler.task(perf_counter)
    delays: list[float] = []

    @scheduler.on_start
    def begin() -> None:
        task()

    @task.on_result
    def next_one(_future: asyncio.Future[float], finished: float) -> None:
        delays.append(perf_counter() - finished)
        if len(delays) < N_CALLS:
            task()

    scheduler.run()
    return median(delays)


def to_a_coroutine(open_executor: Callable[[], Executor]) -> float:
    return asyncio.run(awaited_delay(open_executor))


async def awaited_delay(open_executor: Callable[[], Executor]) -> float:
    loop = asyncio.get_running_loop()
    delays: list[float] = []
    with open_executor() as executor:
        for _ in range(N_CALLS):
            finished = await loop.run_in_executor(executor, perf_counter)
            delays.append(perf_counter() - finished)
    return median(delays)
