"""What plugins add to a call that does nothing, and feeding to submitting by hand.

All of it runs sequentially: there, a call costs least, and nothing but our own code is on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module

from pairs import Pair, in_turn, seconds

from amltk import CallLimiter, Scheduler, Task, TaskPlugin
from amltk.scheduling import Retry, WarningFilterPlugin
from amltk.threadpoolctl import ThreadPoolCTLPlugin

N_CALLS = 20_000
MAX_PENDING = 8


def limiter(rounds: int) -> list[Pair]:
    return against_none(lambda: [CallLimiter(max_calls=N_CALLS, max_concurrent=N_CALLS)], rounds)


def retry(rounds: int) -> list[Pair]:
    return against_none(lambda: [Retry()], rounds)


def limiter_and_retry(rounds: int) -> list[Pair]:
    return against_none(lambda: [CallLimiter(max_calls=N_CALLS), Retry()], rounds)


def warning_filter(rounds: int) -> list[Pair]:
    return against_none(lambda: [WarningFilterPlugin("error", category=FutureWarning)], rounds)


def threadpoolctl(rounds: int) -> list[Pair]:
    import_module("numpy")  # with an OpenBLAS that can be limited
    return against_none(lambda: [ThreadPoolCTLPlugin(1)], rounds)


def feeding(rounds: int) -> list[Pair]:
    return in_turn(lambda: seconds(fed), lambda: seconds(partial(one_by_one, ())), rounds)


def against_none(plugins: Callable[[], Iterable[TaskPlugin]], rounds: int) -> list[Pair]:
    return in_turn(
        lambda: seconds(partial(one_by_one, plugins())),
        lambda: seconds(partial(one_by_one, ())),
        rounds,
    )


def nothing(_: int) -> None:
    """The whole task."""


def one_by_one(plugins: Iterable[TaskPlugin]) -> None:
    """Each result submits the next call, as programs did before there was a feed."""
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(nothing, plugins=plugins)
    numbers = iter(range(N_CALLS))

    @scheduler.on_start(repeat=MAX_PENDING)
    @task.on_result
    def hand_out_the_next(*_: object) -> None:
        number = next(numbers, None)
        if number is not None:
            task(number)

    scheduler.run()
    require_all(task)


def fed() -> None:
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(nothing)
    task.feed(range(N_CALLS), max_pending=MAX_PENDING)
    scheduler.run()
    require_all(task)


def require_all(task: Task[[int], None]) -> None:
    n = task.event_counts["on_result"]
    if n != N_CALLS:
        raise RuntimeError(f"{n} of {N_CALLS} results arrived: this measured something else.")
