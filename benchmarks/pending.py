"""Whether a long queue makes each call dearer.

The executor here computes nothing: it keeps what it is given, and the oldest call is finished by
hand each time a new one has been submitted. So the number of pending calls stays what it is while
the time is taken, and that time holds nothing but submitting a call, delivering its outcome and
telling the task of it. The garbage collector stays as it is, because it does with users, too; with
a long queue it finds more that is both young and alive, which is part of the answer.
"""

from __future__ import annotations

import gc
from asyncio import Future
from collections import deque
from collections.abc import Callable
from concurrent import futures
from time import perf_counter
from typing import Any

from pairs import Pair, in_turn
from typing_extensions import override

from amltk import Scheduler

N_CALLS = 150_000
"""Enough for the collector to run more than once with the long queue, too."""
FEW = 2_000
MANY = 200_000


def many_or_few(rounds: int) -> list[Pair]:
    return in_turn(lambda: time_per_call(MANY), lambda: time_per_call(FEW), rounds)


def time_per_call(n_pending: int) -> float:
    """Seconds from submitting a call to having heard of its result, with so many pending."""
    executor = FinishedByHand()
    scheduler = Scheduler(executor)
    task = scheduler.task(nothing)
    begin = end = 0.0

    @scheduler.on_start
    def fill_the_queue() -> None:
        nonlocal begin
        for _ in range(n_pending):
            task()
        gc.collect()  # what the filling left to do is not part of it
        begin = perf_counter()
        executor.finish_oldest()

    @task.on_result
    def one_out_one_in(_future: Future[None], _result: None) -> None:
        task()
        executor.finish_oldest()

    @task.on_result(every=N_CALLS, limit=1)
    def look_at_the_clock(_future: Future[None], _result: None) -> None:
        nonlocal end
        end = perf_counter()
        scheduler.stop()

    scheduler.run(wait=False)
    return (end - begin) / N_CALLS


def nothing() -> None:
    """Never called."""


class FinishedByHand(futures.Executor):
    """Keeps the calls it gets until it is told to finish one."""

    def __init__(self) -> None:
        self._waiting: deque[futures.Future[Any]] = deque()

    @override
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        future: futures.Future[Any] = futures.Future()
        self._waiting.append(future)
        return future

    def finish_oldest(self) -> None:
        future = self._waiting.popleft()
        future.set_running_or_notify_cancel()
        future.set_result(None)
