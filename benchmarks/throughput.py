"""Many calls that do nothing: what is left is the price of having a scheduler."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from functools import partial

from pairs import Pair, in_turn, seconds

from amltk import Scheduler

N_CALLS = 20_000
N_WORKERS = 2


def nothing() -> None:
    """The whole task."""


def with_threads(rounds: int) -> list[Pair]:
    return in_turn(
        lambda: seconds(partial(through_a_task, Scheduler.with_threads(N_WORKERS))),
        lambda: seconds(partial(as_they_complete, lambda: ThreadPoolExecutor(N_WORKERS))),
        rounds,
    )


def with_processes(rounds: int) -> list[Pair]:
    return in_turn(
        lambda: seconds(partial(through_a_task, Scheduler.with_processes(N_WORKERS))),
        lambda: seconds(partial(as_they_complete, lambda: ProcessPoolExecutor(N_WORKERS))),
        rounds,
    )


def through_a_task(scheduler: Scheduler) -> None:
    """A task with one callback; workers start and end within the time, as they do in theirs."""
    task = scheduler.task(nothing)
    heard = 0

    @scheduler.on_start
    def submit_all() -> None:
        for _ in range(N_CALLS):
            task()

    @task.on_result
    def count(_future: Future[None], _result: None) -> None:
        nonlocal heard
        heard += 1

    scheduler.run()
    require_all(heard)


def as_they_complete(open_executor: Callable[[], Executor]) -> None:
    """What one writes with the standard library alone."""
    heard = 0
    with open_executor() as executor:
        futures = [executor.submit(nothing) for _ in range(N_CALLS)]
        for future in as_completed(futures):
            future.result()
            heard += 1
    require_all(heard)


def require_all(heard: int) -> None:
    if heard != N_CALLS:
        raise RuntimeError(f"{heard} of {N_CALLS} results arrived: this measured something else.")
