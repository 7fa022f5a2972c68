"""The one backend matrix, and the guard that a test cleans up behind itself.

`backend` and `scheduler` come once per way of running work here. A backend whose package is
missing fails its tests, it does not skip them: an environment that cannot run them is a mistake.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest

import amltk
from amltk import Scheduler
from amltk.backends import Loky, Processes, Sequential, Threads
from amltk.backends.base import Backend, Given

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # workers import the functions of the tests by their names
    sys.path.insert(0, str(ROOT))

IN_PROCESSES: Mapping[str, Backend] = {
    "fork": Processes(2, mp_context="fork"),
    "forkserver": Processes(2, mp_context="forkserver"),
    "loky": Loky(2),
}
IN_PARALLEL: Mapping[str, Backend] = {**IN_PROCESSES, "threads": Threads(2)}
BACKENDS: Mapping[str, Backend] = {**IN_PARALLEL, "sequential": Sequential()}

MORTAL: Mapping[str, Backend | None] = {
    **IN_PROCESSES,
    "spawn": Processes(2, mp_context="spawn"),
    "dask": None,  # on a cluster that has to be there first
}
ELSEWHERE: Mapping[str, Backend | None] = {**MORTAL, "threads": Threads(2)}
EVERYWHERE: Mapping[str, Backend | None] = {**ELSEWHERE, "sequential": Sequential()}

SETTLE = 10.0
"""Seconds that a thread which is about to end may take for it."""


@pytest.fixture(params=list(BACKENDS.values()), ids=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> Backend:
    """Every way of running work, with two workers where that says anything."""
    chosen: Backend = request.param
    return chosen


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


DASK_CLUSTER = """
import sys
import dask
from distributed import LocalCluster

if __name__ == "__main__":
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
    ):
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def dask_address(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """The address of a Dask cluster on this machine, with two processes as its workers."""
    script = tmp_path_factory.mktemp("dask") / "cluster.py"
    script.write_text(DASK_CLUSTER)
    source = Path(amltk.__file__).parents[1]
    cluster = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{ROOT}"},
        cwd=script.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    try:
        address = cluster.stdout.readline().strip()
        with client_of(
            address
        ) as client:  # threads that stay for as long as the program start here
            client.submit(abs, -1).result(SETTLE)
        yield address
        cluster.stdin.close()
        cluster.wait(SETTLE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(cluster.pid, signal.SIGKILL)
        cluster.wait()
        cluster.stdout.close()


def client_of(address: str) -> Any:
    return import_module("distributed").Client(address)


@pytest.fixture(params=list(EVERYWHERE.values()), ids=list(EVERYWHERE))
def everywhere(request: pytest.FixtureRequest, dask_address: str) -> Generator[Backend]:
    """Each backend, each way to start a process, and a cluster of which somebody has an executor."""
    with on(request.param, dask_address) as backend:
        yield backend


@pytest.fixture(params=list(ELSEWHERE.values()), ids=list(ELSEWHERE))
def elsewhere(request: pytest.FixtureRequest, dask_address: str) -> Generator[Backend]:
    """Those of them where a call can still run while the program goes on."""
    with on(request.param, dask_address) as backend:
        yield backend


@pytest.fixture(params=list(MORTAL.values()), ids=list(MORTAL))
def mortal(request: pytest.FixtureRequest, dask_address: str) -> Generator[Backend]:
    """Those whose workers can die."""
    with on(request.param, dask_address) as backend:
        yield backend


@contextmanager
def on(backend: Backend | None, dask_address: str) -> Generator[Backend]:
    if backend is not None:
        yield backend
        return
    with client_of(dask_address) as client:
        yield Given(client.get_executor(pure=False), terminate=False)


@pytest.fixture
def scheduler(backend: Backend) -> Scheduler:
    """A scheduler on each of the backends."""
    return Scheduler(backend)


def submit_something(scheduler: Scheduler) -> None:
    scheduler.submit(abs, -1)


@pytest.fixture(scope="session", autouse=True)
def helpers_of_python_are_running() -> None:
    """Resource trackers and the fork server stay for as long as the program: start them first."""
    for backend in BACKENDS.values():
        scheduler = Scheduler(backend)
        scheduler.on_start(partial(submit_something, scheduler))
        scheduler.run()


@pytest.fixture(autouse=True)
def nothing_is_left_behind(
    request: pytest.FixtureRequest, helpers_of_python_are_running: None
) -> Generator[None]:
    """Fail a test that leaves a child process, a thread or a file descriptor behind.

    Of a pool that broke loky itself keeps a pipe or two for a while; that they do not become more
    and more is tested with loky.
    """
    children, threads, descriptors = children_now(), set(threading.enumerate()), descriptors_now()
    yield
    join(set(threading.enumerate()) - threads)
    gc.collect()
    left = {
        "processes": [p for p in children_now() - children if p.is_running()],
        "threads": [t for t in threading.enumerate() if t not in threads],
        "descriptors": []
        if "loky" in request.node.nodeid.lower()
        else more_than(descriptors, descriptors_now()),
    }
    assert not any(left.values()), f"The test left behind: {left}"


def join(threads: set[threading.Thread]) -> None:
    for thread in threads:
        thread.join(SETTLE)


def children_now() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


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
