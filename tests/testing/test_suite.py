"""Every executor that we ship does all that an executor has to do, or says that it cannot."""

from __future__ import annotations

import threading
import unittest
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import distributed
import pytest

from amltk.backends import Abilities, Dask, Loky, Processes, Sequential, Threads
from amltk.backends.adapting import adapted
from amltk.backends.dask.executor import DaskExecutor
from amltk.backends.dask.outcomes import Outcomes, OutcomesInFiles
from amltk.scheduling import SequentialExecutor
from amltk.testing import executor_suite
from tests.dask_cluster import OnSharedDask


def opened(recipe: Callable[..., Any], *args: object, **options: object) -> Executor:
    executor: Executor = recipe(*args, **options).open()
    return executor


def suite_of(recipe: Callable[..., Any], *args: object, **fixed: object) -> Any:
    make = partial(opened, recipe, *args, **fixed)
    return executor_suite(make, abilities=recipe(*args, **fixed).abilities)


TestForked = suite_of(Processes, 2, mp_context="fork")
TestForkServer = suite_of(Processes, 2, mp_context="forkserver")
TestSpawned = suite_of(Processes, 2, mp_context="spawn")
TestThreads = suite_of(Threads, 2)
TestLoky = suite_of(Loky, 2)
TestSequential = executor_suite(SequentialExecutor, abilities=Sequential.abilities)
TestThreadPoolExecutor = executor_suite(
    partial(ThreadPoolExecutor, 2), abilities=Abilities(functions="any")
)


def on_shared_dask(outcomes: Callable[[], Outcomes] | None = None) -> Executor:
    client = distributed.Client(OnSharedDask.addresses[0], set_as_default=False)
    return DaskExecutor(client, close=client.close, outcomes=outcomes and outcomes())


TestDask = executor_suite(partial(on_shared_dask, OutcomesInFiles), abilities=Dask().abilities)
TestDaskOfOthers = executor_suite(on_shared_dask, abilities=OnSharedDask.abilities)


def of_a_client() -> Executor:
    client = distributed.Client(OnSharedDask.addresses[0], set_as_default=False)
    executor = adapted(client.get_executor())
    vars(executor).update(_close=client.close)
    return executor


TestOfAClient = executor_suite(of_a_client, abilities=OnSharedDask.abilities)


# Executors that do something wrong, each one thing.


class Wrong(SequentialExecutor):
    """What the others are made of; itself it is right."""


class Remembers(Wrong):
    """Computes each call once, and then looks it up."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[object, Future[Any]] = {}

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        key = (fn, repr(args), repr(kwargs))
        if self._shut or key not in self.known:
            self.known[key] = super().submit(fn, *args, **kwargs)
        return self.known[key]


class TakesKeywords(Wrong):
    """Has a keyword of its own."""

    def submit(self, fn: Any, /, *args: Any, key: object = None, **kwargs: Any) -> Future[Any]:
        return super().submit(fn, *args, **kwargs)


class StaysOpen(Wrong):
    """Goes on after its end."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        return


class ExitsAtOnce(Wrong):
    """Lets `sys.exit` through."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        if isinstance(future.exception(), SystemExit):
            raise RuntimeError("gone")
        return future


class Reverses(Wrong):
    """Returns results as they please it."""

    def map(self, fn: Any, *iterables: Any, timeout: Any = None, chunksize: int = 1) -> Any:
        return reversed(list(super().map(fn, *iterables, timeout=timeout)))


class Twice(Wrong):
    """Computes everything twice."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        super().submit(fn, *args, **kwargs)
        return super().submit(fn, *args, **kwargs)


class NeverCancels(ThreadPoolExecutor):
    """Makes futures that cannot be cancelled."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        vars(future).update(cancel=lambda: False)
        return future


class Blocks(SequentialExecutor):
    """Says that it computes in the background, and does not."""


class WaitsForEver(ThreadPoolExecutor):
    """Has a `map` that knows no timeout."""

    def map(self, fn: Any, *iterables: Any, timeout: Any = None, chunksize: int = 1) -> Any:
        return super().map(fn, *iterables)


class MapsLater(ThreadPoolExecutor):
    """Submits what is mapped when somebody asks for it."""

    def map(self, fn: Any, *iterables: Any, timeout: Any = None, chunksize: int = 1) -> Any:
        for args in zip(*iterables, strict=False):
            yield self.submit(fn, *args).result(timeout)


class MapsLaterInPlace(Wrong):
    """Computes what is mapped when somebody asks for it."""

    def map(self, fn: Any, *iterables: Any, timeout: Any = None, chunksize: int = 1) -> Any:
        yield from super().map(fn, *iterables, timeout=timeout)


class MapsInARow(ThreadPoolExecutor):
    """Computes one of the mapped calls at a time."""

    def map(self, fn: Any, *iterables: Any, timeout: Any = None, chunksize: int = 1) -> Any:
        one_at_a_time = threading.Lock()

        def compute(*args: Any) -> Any:
            with one_at_a_time:
                return fn(*args)

        return super().map(compute, *iterables, timeout=timeout)


class NeverRuns(ThreadPoolExecutor):
    """Makes futures that do not know what they are doing."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        vars(future).update(running=lambda: False)
        return future


def without_initargs(initializer: Callable[[], object] | None = None) -> Executor:
    """Makes one that is right, but takes only half of what an initializer needs."""
    return ThreadPoolExecutor(2, initializer=initializer)


class BeginsAnyway(ThreadPoolExecutor):
    """Forgets its initializer."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__(2)


IN_PLACE = Sequential.abilities
IN_THREADS = Abilities(functions="any")


def failures_of(
    make: Callable[..., Executor], abilities: Abilities, *, patience: float = 30.0
) -> set[str]:
    suite = executor_suite(make, abilities=abilities, patience=patience)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(suite).run(result)
    return {test.id().rpartition(".")[2] for test, _ in result.failures + result.errors}


@pytest.mark.parametrize(
    ("make", "abilities", "failed"),
    [
        (Wrong, IN_PLACE, set[str]()),
        (Remembers, IN_PLACE, {"test_the_same_call_is_computed_each_time"}),
        (TakesKeywords, IN_PLACE, {"test_every_keyword_is_the_functions"}),
        (StaysOpen, IN_PLACE, {"test_nothing_is_taken_any_more"}),
        (ExitsAtOnce, IN_PLACE, {"test_a_call_that_exits_ends_no_worker"}),
        (
            Reverses,
            IN_PLACE,
            {
                "test_results_come_in_the_order_of_the_arguments",
                "test_a_failed_call_raises_at_its_place",
                "test_chunks_change_nothing",
            },
        ),
        (Twice, IN_PLACE, {"test_the_same_call_is_computed_each_time"}),
        (partial(NeverCancels, 2), IN_THREADS, {
            "test_a_call_that_waits_can_be_cancelled", "test_shutdown_can_cancel_what_waits",
        }),
        (without_initargs, IN_THREADS, set[str]()),
        (BeginsAnyway, IN_THREADS, {
            "test_a_worker_is_prepared_before_its_first_call",
            "test_a_call_fails_if_no_worker_can_begin",
        }),
    ],
)  # fmt: skip
def test_the_suite_names_what_is_wrong(
    make: Callable[..., Executor], abilities: Abilities, failed: set[str]
) -> None:
    """
    An executor that does one thing wrong fails the tests of that thing, and no other.
    """
    assert failures_of(make, abilities) == failed


@pytest.mark.parametrize(
    ("make", "abilities", "failed"),
    [
        (partial(WaitsForEver, 2), IN_THREADS, {"test_nobody_waits_longer_than_told"}),
        (partial(MapsLater, 2), IN_THREADS, {
            "test_mapped_calls_need_nobody_who_asks",
            "test_mapped_calls_are_computed_at_the_same_time",
        }),
        (MapsLaterInPlace, IN_PLACE, {"test_mapped_calls_need_nobody_who_asks"}),
        (partial(MapsInARow, 2), IN_THREADS, {"test_mapped_calls_are_computed_at_the_same_time"}),
        (partial(NeverRuns, 2), IN_THREADS, {"test_a_call_that_goes_on_is_running"}),
    ],
)  # fmt: skip
def test_the_suite_names_what_it_has_waited_for_in_vain(
    make: Callable[..., Executor], abilities: Abilities, failed: set[str]
) -> None:
    """
    What an executor does not do is known when patience has come to an end.
    """
    assert failures_of(make, abilities, patience=5.0) == failed


def test_what_an_executor_says_that_it_can_is_tested() -> None:
    """
    One that says more than is true fails.
    """
    assert failures_of(SequentialExecutor, IN_THREADS, patience=0.3) >= {
        "test_a_call_that_waits_can_be_cancelled",
        "test_the_first_that_is_done_is_enough",
    }
    in_processes = failures_of(partial(Pretends, 2), Abilities(survives_dead_worker=True))
    assert in_processes >= {"test_calls_are_computed_in_another_process"}


class Pretends(ThreadPoolExecutor):
    """Says that it has processes; a call that would kill its process says so instead."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if fn.__name__ == "die":
            return super().submit(pretend_to_die)
        return super().submit(fn, *args, **kwargs)


def pretend_to_die() -> None:
    raise BrokenExecutor


def test_the_suite_belongs_to_the_module_that_asked_for_it() -> None:
    """
    So that whoever collects tests by module finds it there.
    """
    assert TestThreads.__module__ == __name__
