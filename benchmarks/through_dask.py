"""Many calls that do nothing through Dask: what a scheduler adds to what Dask takes."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from contextlib import ExitStack

import distributed
from pairs import Pair, in_turn, seconds

from amltk import Scheduler
from amltk.backends import Backend, Dask, Given
from amltk.backends.dask.cluster import DaskCluster
from amltk.backends.dask.executor import DaskExecutor
from amltk.backends.dask.loop import LoopThread
from amltk.backends.dask.outcomes import OutcomesInFiles

N_CALLS = 2_000


def nothing() -> None:
    """The whole task."""


def on_an_executor_of_a_client(rounds: int) -> list[Pair]:
    return against_the_client(lambda client: Given(client.get_executor(), terminate=False), rounds)


def on_a_cluster_of_the_run(rounds: int) -> list[Pair]:
    return against_the_client(Started, rounds)


class Started:
    """What the recipe opens, on a cluster that is there: its start is not what is measured."""

    def __init__(self, client: distributed.Client) -> None:
        self._client = client

    def open(self) -> DaskExecutor:
        return DaskExecutor(self._client, close=lambda: None, outcomes=OutcomesInFiles())


def against_the_client(
    backend_on: Callable[[distributed.Client], Backend], rounds: int
) -> list[Pair]:
    """Ours and theirs in turn, on one cluster with two workers."""
    with ExitStack() as stack:
        loop = LoopThread()
        stack.callback(loop.stop)
        cluster = DaskCluster(Dask(n_workers=2), loop)
        stack.callback(cluster.close)
        client = distributed.Client(cluster.address, loop=loop.loop)
        stack.callback(client.close)
        backend = backend_on(client)
        return in_turn(
            lambda: seconds(lambda: through_a_task(Scheduler(backend))),
            lambda: seconds(lambda: as_they_complete(client)),
            rounds,
        )


def through_a_task(scheduler: Scheduler) -> None:
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


def as_they_complete(client: distributed.Client) -> None:
    """What one writes with Dask alone, in the way that is the fastest of those it has."""
    futures = [client.submit(nothing, pure=False) for _ in range(N_CALLS)]
    require_all(sum(1 for _ in distributed.as_completed(futures, with_results=True)))


def require_all(heard: int) -> None:
    if heard != N_CALLS:
        raise RuntimeError(f"{heard} of {N_CALLS} results arrived: this measured something else.")
