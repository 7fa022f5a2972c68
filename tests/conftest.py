"""The one backend matrix, and the guard that a test cleans up behind itself.

`backend` and `scheduler` come once per way of running work here. A backend whose package is
missing fails its tests, it does not skip them: an environment that cannot run them is a mistake.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings
from typing_extensions import override
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from amltk import Scheduler
from amltk.backends import Loky, Processes, Sequential, Threads
from amltk.backends.base import Backend, Given
from tests.helpers import DAEMONS

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # workers import the functions of the tests by their names
    sys.path.insert(0, str(ROOT))

from tests.dask_cluster import (  # noqa: E402
    OnSharedDask,
    client_of,
    dask_cluster,
    running,
    start_what_stays,
)

# How long an example takes says more about what else this machine does.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

IN_PROCESSES: Mapping[str, Backend] = {
    "fork": Processes(2, mp_context="fork"),
    "forkserver": Processes(2, mp_context="forkserver"),
    "loky": Loky(2),
}
IN_PARALLEL: Mapping[str, Backend] = {**IN_PROCESSES, "threads": Threads(2), "dask": OnSharedDask()}
BACKENDS: Mapping[str, Backend] = {**IN_PARALLEL, "sequential": Sequential()}

MORTAL: Mapping[str, Backend | None] = {
    **IN_PROCESSES,
    "spawn": Processes(2, mp_context="spawn"),
    "dask": None,  # on a cluster that has to be there first
}
ELSEWHERE = (*MORTAL, "threads")
EVERYWHERE = (*ELSEWHERE, "sequential")

STARTING = 100.0
"""Seconds that workers may take to be there, on a machine that has other things to do."""

SETTLE = 10.0
"""Seconds that a thread which is about to end may take for it."""

KEEP_CONNECTIONS = ("loky", "tests/ray/")
"""In the names of tests that may leave file descriptors behind."""

AT_HOME = ("airflow", "clusters", "ray")
"""Directories of tests that have an engine which is slow to start: it is started once for all."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have what takes longest begin first."""
    items.sort(key=lambda item: home_of(item.nodeid) not in AT_HOME)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Share the tests out among several processes."""
    return ByHome(config, log)


class ByHome(LoadScopeScheduling):
    """Keeps those together that share an engine, or a file and so what is opened for all of it."""

    @override
    def _split_scope(self, nodeid: str) -> str:
        return home_of(nodeid)


def home_of(nodeid: str) -> str:
    file, _, _ = nodeid.partition("::")
    folder = Path(file).parent.name
    return folder if folder in AT_HOME else file


@pytest.fixture(params=list(BACKENDS.values()), ids=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every way of running work, with two workers where that says anything."""
    chosen: Backend = request.param
    return chosen


@pytest.fixture(params=[name for name in BACKENDS if name != "dask"])
def bare(request: pytest.FixtureRequest) -> Backend:
    """Those whose workers import nothing by themselves; workers of Dask import numpy."""
    return BACKENDS[request.param]


@pytest.fixture(params=list(IN_PARALLEL.values()), ids=list(IN_PARALLEL))
def parallel(request: pytest.FixtureRequest) -> Backend:
    """Those where a call can still run while the program goes on."""
    chosen: Backend = request.param
    return chosen


@pytest.fixture(params=list(IN_PROCESSES.values()), ids=list(IN_PROCESSES))
def processes(request: pytest.FixtureRequest) -> Backend:
    """Those whose workers can die."""
    chosen: Backend = request.param
    return chosen


@pytest.fixture(scope="session")
def dask_address(
    helpers_of_python_are_running: None, tmp_path_factory: pytest.TempPathFactory
) -> Generator[str]:
    """The address of a Dask cluster on this machine, with two processes as its workers."""
    with dask_cluster(tmp_path_factory.mktemp("dask")) as address:
        OnSharedDask.addresses.append(address)
        start_what_stays()
        submit_something_on(OnSharedDask())
        yield address


@pytest.fixture(scope="module")
def open_pools() -> Generator[Mapping[str, Executor]]:
    """Pools with two workers that are there: to start them takes longer than most tests."""
    recipes = {**IN_PROCESSES, "loky": Loky(2, timeout=None), "spawn": MORTAL["spawn"]}
    with ExitStack() as stack:
        pools = {
            name: stack.enter_context(recipe.open())
            for name, recipe in recipes.items()
            if recipe is not None
        }
        started = [pool.submit(abs, -1) for pool in pools.values() for _ in range(2)]
        assert [future.result(STARTING) for future in started] == [1] * len(started)
        yield pools


@pytest.fixture(params=EVERYWHERE)
def everywhere(
    request: pytest.FixtureRequest, dask_address: str, open_pools: Mapping[str, Executor]
) -> Generator[Backend]:
    """Each backend, each way to start a process, and somebody's executor on a cluster.

    Workers are there already, and stay: a test must not end them.
    """
    with kept_open(request.param, dask_address, open_pools) as backend:
        yield backend


@pytest.fixture(params=ELSEWHERE)
def elsewhere(
    request: pytest.FixtureRequest, dask_address: str, open_pools: Mapping[str, Executor]
) -> Generator[Backend]:
    """Those of them where a call can still run while the program goes on."""
    with kept_open(request.param, dask_address, open_pools) as backend:
        yield backend


@pytest.fixture(params=list(MORTAL.values()), ids=list(MORTAL))
def mortal(request: pytest.FixtureRequest, dask_address: str) -> Generator[Backend]:
    """Those whose workers can die."""
    if request.param is not None:
        yield request.param
        return
    with on_dask(dask_address) as backend:
        yield backend


@contextmanager
def kept_open(
    name: str, dask_address: str, open_pools: Mapping[str, Executor]
) -> Generator[Backend]:
    if name in open_pools:
        yield Given(open_pools[name], terminate=False)
    elif name in BACKENDS:
        yield BACKENDS[name]
    else:
        with on_dask(dask_address) as backend:
            yield backend


@contextmanager
def on_dask(address: str) -> Generator[Backend]:
    with client_of(address) as client:
        yield Given(client.get_executor(pure=False), terminate=False)


@pytest.fixture
def scheduler(backend: Backend) -> Scheduler:
    """A scheduler on each of the backends."""
    return Scheduler(backend)


def submit_something_on(backend: Backend) -> None:
    scheduler = Scheduler(backend)
    scheduler.on_start.add(lambda: scheduler.submit(abs, -1))
    scheduler.run()


@pytest.fixture(scope="session", autouse=True)
def helpers_of_python_are_running() -> None:
    """Resource trackers and the fork server stay for as long as the program: start them first."""
    for backend in BACKENDS.values():
        if not isinstance(backend, OnSharedDask):
            submit_something_on(backend)
    gc.collect()
    gc.freeze()  # what is here now stays: after each test there is less to look through


@pytest.fixture(autouse=True)
def nothing_is_left_behind(
    request: pytest.FixtureRequest, helpers_of_python_are_running: None
) -> Generator[None]:
    """Fail a test that leaves a child process, a thread or a file descriptor behind.

    Of a pool that broke loky itself keeps a pipe or two for a while, and Ray keeps connections as long as
    it is there; that they do not become more and more is tested with each of them.
    """
    # Tests press Ctrl-C. Where it is ignored they could not; and who imports dask_jobqueue would exit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "dask" in request.node.nodeid.lower():
        request.getfixturevalue("dask_address")  # where it is not used it is not started
    children, threads, descriptors = children_now(), set(threading.enumerate()), descriptors_now()
    yield
    join(set(threading.enumerate()) - threads)
    gc.collect()
    left = {
        "processes": [p for p in children_now() - children if p.is_running()],
        "threads": [t for t in threading.enumerate() if t not in threads],
        "descriptors": []
        if any(name in request.node.nodeid.lower() for name in KEEP_CONNECTIONS)
        else more_than(descriptors, descriptors_now()),
    }
    assert not any(left.values()), f"The test left behind: {left}"


def join(threads: set[threading.Thread]) -> None:
    for thread in threads:
        thread.join(SETTLE)


def children_now() -> set[psutil.Process]:
    """The processes that were started here, without clusters, which do what they like."""
    theirs = {process.pid for process in running} | DAEMONS
    found: set[psutil.Process] = set()
    for pid in descendants(os.getpid(), theirs):
        with suppress(psutil.NoSuchProcess):
            found.add(psutil.Process(pid))
    return found


def descendants(pid: int, others: set[int]) -> Iterator[int]:
    """The processes that descend from one, without these others and what descends from them."""
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):
            for child in set(map(int, thread.read_text().split())) - others:
                yield child
                yield from descendants(child, others)


def descriptors_now() -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = os.readlink(entry)  # noqa: PTH115 - it need not be a path
        except FileNotFoundError:
            continue  # the one that lists them
    return found


def more_than(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What the new descriptors are, if there are more of them than there were."""
    return [f"{fd}: {after[fd]}" for fd in after.keys() - before.keys()][: len(after) - len(before)]
