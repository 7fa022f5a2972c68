"""CPython's own tests of executors, run on ours.

Python comes with tests that each executor of `concurrent.futures` has to pass; from 3.12 on, they
can be pointed at others. Those that ours fail, and why, stand below: a test that fails and is not
among them, or passes and is, makes this fail. `make conformance` runs it. Airflow is not among them:
each call there takes a second or more, and these tests give theirs less.
"""

from __future__ import annotations

import logging
import re
import sys
import unittest
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import NamedTuple

import distributed

from amltk.backends import Dask, Loky, Processes, Ray, Threads
from amltk.backends.adapting import adapted
from amltk.backends.dask.cluster import DaskCluster
from amltk.backends.dask.executor import DaskExecutor
from amltk.backends.dask.logs import Quiet
from amltk.backends.dask.loop import LoopThread
from amltk.backends.dask.outcomes import OutcomesInFiles
from amltk.scheduling import SequentialExecutor

NOT_OF_OURS: Mapping[str, str] = {
    "test_max_workers_negative": "it wants the words of an error that a recipe raises",
    "test_hang_gh83386": "it runs a program that imports the executor from concurrent.futures",
    "test_interpreter_shutdown": "so does this one",
    "test_submit_after_interpreter_shutdown": "and this one",
}
"""Tests that are not run, and why not."""

IN_PLACE = "a call is computed before `submit` returns, so there is nothing to wait for"

TOO_EARLY = {"test_cancel_futures": "it can cancel all calls before a worker is ready"}


class Subject(NamedTuple):
    """An executor, and what is known of it."""

    make: Callable[[int], Executor]
    """Makes one with so many workers."""
    fails: Mapping[str, str] = {}
    """The tests that it fails, and why."""
    sometimes: Mapping[str, str] = {}
    """The tests that it may fail or pass, and why."""


def processes(n: int) -> Executor:
    return Processes(n, mp_context="fork").open()


def threads(n: int) -> Executor:
    return Threads(n).open()


def loky(n: int) -> Executor:
    return Loky(n).open()


@contextmanager
def dask_cluster() -> Generator[None]:
    """A cluster with as many threads as the tests want workers, for all of them."""
    with ExitStack() as stack:
        stack.callback(Quiet(logging.CRITICAL).undo)
        loop = LoopThread()
        stack.callback(loop.stop)
        cluster = DaskCluster(Dask(n_workers=1, threads_per_worker=5), loop)
        stack.callback(cluster.close)
        addresses.append(cluster.address)
        with dask(1) as executor:
            executor.submit(abs, -1).result()  # starts threads of Dask that stay
        yield
        addresses.clear()


def dask(_: int) -> Executor:
    """As the recipe opens it on a cluster of somebody else."""
    return Dask(addresses[0]).open()


def dask_with_files(_: int) -> Executor:
    """As the recipe opens it on a cluster of its own."""
    client = distributed.Client(addresses[0], set_as_default=False)
    return DaskExecutor(client, close=client.close, outcomes=OutcomesInFiles())


def of_a_client(_: int) -> Executor:
    """What a client of Dask made, with the manners of ours."""
    client = distributed.Client(addresses[0], set_as_default=False)
    executor = adapted(client.get_executor())
    vars(executor).update(_close=client.close)
    return executor


def ray(n: int) -> Executor:
    """On a Ray that is there for all tests; the workers are of each executor."""
    return Ray(max_workers=n, num_cpus=0, local_cpus=2, local_object_store=80_000_000).open()


@contextmanager
def local_ray() -> Generator[None]:
    """Have a Ray be there, also between two executors."""
    with ray(1) as executor:
        executor.submit(abs, -1).result()
        yield


addresses: list[str] = []
"""Where the cluster is."""


def sequential(_: int) -> Executor:
    return SequentialExecutor()


SUBJECTS: Mapping[str, Subject] = {
    "ThreadPoolExecutor": Subject(ThreadPoolExecutor),
    "Processes": Subject(
        processes,
        sometimes=TOO_EARLY,
    ),
    "Threads": Subject(threads),
    "Loky": Subject(loky),
    "Dask": Subject(dask, sometimes=TOO_EARLY),
    "Dask of the run": Subject(dask_with_files, sometimes=TOO_EARLY),
    "Dask of a client": Subject(of_a_client, sometimes=TOO_EARLY),
    "Ray": Subject(ray, sometimes=TOO_EARLY),
    "Sequential": Subject(
        sequential,
        fails=dict.fromkeys(
            (
                "test_map_timeout",
                "test_cancel_futures",
                "test_first_completed",
                "test_first_completed_some_already_completed",
                "test_first_exception",
                "test_first_exception_one_already_failed",
                "test_first_exception_some_already_complete",
                "test_timeout",
                "test_future_times_out",
            ),
            IN_PLACE,
        ),
    ),
}


def cases(subject: Subject) -> list[type[unittest.TestCase]]:
    """The tests, as test cases of one executor."""
    vars(import_module("test.support")).update(verbose=0)
    util, *modules = (
        import_module(f"test.test_concurrent_futures.{name}")
        for name in ("util", "executor", "test_shutdown", "test_wait", "test_as_completed")
    )

    def make(_: object, max_workers: int) -> Executor:
        return subject.make(max_workers)

    names = ("ExecutorTest", "ExecutorShutdownTest", "WaitTests", "AsCompletedTests")
    return [
        type(
            name,
            (util.ExecutorMixin, getattr(module, name), util.BaseTestCase),
            {"executor_type": make},
        )
        for module, name in zip(modules, names, strict=True)
    ]


def failed(case: type[unittest.TestCase]) -> tuple[int, dict[str, str]]:
    """How many tests ran, and the last lines of those that failed."""
    result = unittest.TestResult()
    names = unittest.defaultTestLoader.getTestCaseNames(case)
    unittest.TestSuite(case(name) for name in names if name not in NOT_OF_OURS).run(result)
    bad = result.failures + result.errors
    reasons = {name_of(test): text.strip().splitlines()[-1] for test, text in bad}
    return result.testsRun, reasons


def name_of(test: unittest.TestCase) -> str:
    """The name of a test, whichever part of it this is."""
    return re.sub(r"[ (\[].*", "", test.id().partition("Test")[2].partition(".")[2] or test.id())


def main() -> int:
    with dask_cluster(), local_ray():
        return run()


def run() -> int:
    surprises = 0
    for name, subject in SUBJECTS.items():
        n_run, failures = 0, dict[str, str]()
        for case in cases(subject):
            n, more = failed(case)
            n_run += n
            failures |= more
        print(f"{name}: {n_run - len(failures)} of {n_run}")
        for test, reason in failures.items():
            known = subject.fails.get(test) or subject.sometimes.get(test)
            print(f"    {test}: {known or f'UNEXPECTED {reason}'}")
        for test in subject.fails.keys() - failures.keys():
            print(f"    {test} passes, and was not expected to")
        surprises += len((failures.keys() ^ subject.fails.keys()) - subject.sometimes.keys())
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
