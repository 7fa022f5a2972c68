"""Many calls that do nothing, on a Ray that is running: what a scheduler costs beside Ray itself."""

from __future__ import annotations

import logging
from asyncio import Future
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from time import sleep

import ray
from pairs import Pair, in_turn, seconds

from amltk import Scheduler
from amltk.backends.ray import RayExecutor

N_CALLS = 2_000
N_WORKERS = 2
STORE = 100_000_000
"""Bytes of shared memory, which nothing here needs."""


def nothing() -> None:
    """The whole task."""


def pause() -> None:
    """So long that nobody computes two of them."""
    sleep(1)


def no_ops(rounds: int) -> list[Pair]:
    with a_ray():
        return in_turn(on_an_executor, on_ray_alone, rounds)


def on_an_executor() -> float:
    """Open one, and have it start its workers; that and the end of it are not measured."""
    with RayExecutor() as executor:
        for future in [executor.submit(pause) for _ in range(N_WORKERS)]:
            future.result()
        return seconds(partial(through_a_task, executor))


def through_a_task(executor: RayExecutor) -> None:
    """A task with one callback; as in theirs, the workers are there already."""
    scheduler = Scheduler(executor, terminate=False)
    task = scheduler.task(nothing)
    heard: list[None] = []

    @scheduler.on_start
    def submit_all() -> None:
        for _ in range(N_CALLS):
            task()

    @task.on_result
    def count(_future: Future[None], result: None) -> None:
        heard.append(result)

    scheduler.run()
    if len(heard) != N_CALLS:
        raise RuntimeError(
            f"{len(heard)} of {N_CALLS} results arrived: this measured something else."
        )


def on_ray_alone() -> float:
    """Have Ray start its workers first, too."""
    remote = ray.remote(pause).options(max_retries=0)
    for waiting in [remote.remote() for _ in range(N_WORKERS)]:
        ray.get(waiting)
    return seconds(as_ray_does_it)


def as_ray_does_it() -> None:
    """What one writes with Ray alone."""
    remote = ray.remote(nothing).options(max_retries=0)
    for result in [remote.remote() for _ in range(N_CALLS)]:
        ray.get(result)


@contextmanager
def a_ray() -> Generator[None]:
    """A Ray of our own, for both."""
    ray.init(
        address="local",
        num_cpus=N_WORKERS,
        object_store_memory=STORE,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        ray.shutdown()
