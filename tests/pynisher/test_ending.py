"""That no limited process outlives what waits for it, nor anything that it has started."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from amltk import Scheduler
from amltk.backends import Given, Processes
from amltk.backends.base import Backend
from amltk.backends.process_trees import is_alive
from amltk.exceptions import WorkerLostError
from amltk.pynisher import PynisherPlugin
from amltk.pynisher.limited import Limited
from amltk.scheduling import ExitCode
from tests.dask_cluster import OnSharedDask
from tests.helpers import Gate, echo, program
from tests.pynisher.jobs import (
    leave_an_orphan,
    sleep_with_a_child,
    spin_beside_an_orphan,
    wait_deafly,
    wait_with_pids,
)
from tests.scheduling.test_interrupts import BACKENDS, ctrl_c, ends_by_interrupt, wait_for

SOON = 10.0
"""Seconds that the end of a process may take which nobody waits for, on a busy machine."""

AMPLE = PynisherPlugin(wall_time_limit=60)


def facts(path: Path) -> dict[str, Any]:
    """What a call has written down."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def those_alive(path: Path) -> list[psutil.Process]:
    """Which of the processes of a call are there now."""
    found: list[psutil.Process] = []
    for pid in facts(path)["pids"]:
        try:
            process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            continue
        found += [process] if is_alive(process) else []
    return found


def those_alive_soon(path: Path) -> list[psutil.Process]:
    """The same, where nobody waits for their end but this."""
    until = time.monotonic() + SOON
    while (alive := those_alive(path)) and time.monotonic() < until:
        time.sleep(0.01)
    return alive


# Limits.


def test_a_second_means_a_second(backend: Backend, tmp_path: Path) -> None:
    """
    1.3 s after a call with a limit of 1 s has begun, it is gone with all that it has started.

    The best of some counts, since this machine may have other things to do.
    """
    took: list[float] = []
    left: list[psutil.Process] = []
    while len(took) < 10 and min(took, default=9) > 1.3:
        path = tmp_path / f"facts-{len(took)}"
        scheduler = Scheduler(backend)
        task = scheduler.task(sleep_with_a_child, plugins=PynisherPlugin(wall_time_limit=1))
        scheduler.on_start.add(partial(task, str(path)))

        @task.on_exception
        def look(*_: object, path: Path = path) -> None:
            left.extend(those_alive(path))
            took.append(time.monotonic() - facts(path)["begun"])

        state = scheduler.run(on_exception="end")
        assert isinstance(state.exception, PynisherPlugin.WallTimeoutException)
    assert left == []
    assert min(took) <= 1.3


def test_what_lost_its_parent_ends_with_the_cpu_time(tmp_path: Path) -> None:
    """
    The system ends the process of the call itself: nobody has looked for what it had started.
    """
    path = tmp_path / "facts"
    with pytest.raises(PynisherPlugin.CpuTimeoutException):
        Limited(spin_beside_an_orphan, {"cpu_time_limit": 0.3}, "fork")(str(path))
    assert those_alive_soon(path) == []


def test_what_a_call_leaves_behind_ends_with_it(backend: Backend, tmp_path: Path) -> None:
    """
    When it has returned, too.
    """
    path = tmp_path / "facts"
    scheduler = Scheduler(backend)
    task = scheduler.task(leave_an_orphan, plugins=AMPLE.copy())
    scheduler.on_start(lambda: task(str(path)))
    assert scheduler.run().code is ExitCode.EXHAUSTED
    assert those_alive_soon(path) == []


# Runs that do not wait.


@pytest.mark.parametrize("function", [wait_with_pids, wait_deafly])
def test_a_run_that_does_not_wait_ends_it(
    parallel: Backend, function: Callable[[str, str], str], tmp_path: Path
) -> None:
    """
    On every backend: a thread cannot be ended, but the process that it waits for. Only workers
    that somebody else has started go on with it.
    """
    path = tmp_path / "facts"
    scheduler = Scheduler(parallel)
    with Gate(tmp_path / "gate") as gate:
        task = scheduler.task(function, plugins=AMPLE.copy())
        scheduler.on_start(lambda: task(str(path), gate.path))
        scheduler.on_start(gate.hold)
        scheduler.on_start(scheduler.stop)
        assert scheduler.run(wait=False).code is ExitCode.STOPPED
        assert bool(those_alive(path)) is isinstance(parallel, OnSharedDask)
    assert those_alive_soon(path) == []
    assert task.event_counts["on_cancelled"] == 1


def test_a_given_thread_pool_is_abandoned_in_the_same_way(tmp_path: Path) -> None:
    """
    That of the standard library, too.
    """
    path = tmp_path / "facts"
    scheduler = Scheduler(Given(ThreadPoolExecutor(1)))
    with Gate(tmp_path / "gate") as gate:
        task = scheduler.task(wait_with_pids, plugins=AMPLE.copy())
        scheduler.on_start(lambda: task(str(path), gate.path))
        scheduler.on_start(gate.hold)
        scheduler.on_start(scheduler.stop)
        scheduler.run(wait=False)
        assert those_alive(path) == []


def test_a_call_that_begins_in_an_abandoned_thread_ends_at_once(tmp_path: Path) -> None:
    """
    Its thread had taken the call, and had not yet started the process.
    """
    taken, abandoned = threading.Event(), threading.Event()
    path = tmp_path / "facts"

    def late() -> object:
        taken.set()
        abandoned.wait()
        return Limited(wait_with_pids, {"wall_time_limit": 60}, "fork")(str(path), gate.path)

    scheduler = Scheduler.with_threads(1)
    with Gate(tmp_path / "gate") as gate:
        scheduler.on_start(lambda: scheduler.submit(late))
        scheduler.on_start(taken.wait)
        scheduler.on_start(scheduler.stop)
        before = set(threading.enumerate())
        scheduler.run(wait=False)
        threads = [t for t in threading.enumerate() if t not in before]
        abandoned.set()
        for thread in threads:
            thread.join(SOON)
            assert not thread.is_alive()
    assert not path.exists() or those_alive(path) == []


# Workers that die.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_dies_with_its_worker(
    processes: Backend, number: signal.Signals, tmp_path: Path
) -> None:
    """
    A worker with a limited call answers signals as without, and the process does not outlive it.
    """
    path = tmp_path / "facts"
    scheduler = Scheduler(processes)
    with Gate(tmp_path / "gate") as gate:
        task = scheduler.task(wait_with_pids, plugins=AMPLE.copy())
        scheduler.on_start(lambda: task(str(path), gate.path))
        scheduler.on_start(gate.hold)
        scheduler.on_start(lambda: os.kill(facts(path)["worker"], number))
        state = scheduler.run(on_exception="end")
        assert number.name in str(state.exception) or "Loky" in str(processes)
        assert those_alive_soon(path) == []


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_it_dies_with_a_worker_that_is_killed(method: Any, tmp_path: Path) -> None:
    """
    In whatever way it came to be.
    """
    path = tmp_path / "facts"
    scheduler = Scheduler(Processes(1, mp_context="fork"))
    with Gate(tmp_path / "gate") as gate:
        limits = PynisherPlugin(wall_time_limit=60, context=method)
        task = scheduler.task(wait_with_pids, plugins=limits)
        scheduler.on_start(lambda: task(str(path), gate.path))
        scheduler.on_start(gate.hold)
        scheduler.on_start(lambda: os.kill(facts(path)["worker"], signal.SIGKILL))
        state = scheduler.run(on_exception="end")
        assert isinstance(state.exception, WorkerLostError)
        assert those_alive_soon(path) == []


def without_signals_of_its_own_choice(path: str, gate: str) -> None:
    """What waits in a worker on a system that can send no other signal than its own."""
    import fcntl

    del fcntl.F_SETSIG
    Limited(wait_with_pids, {"wall_time_limit": 60}, "fork")(path, gate)


def test_it_dies_with_its_worker_on_other_systems(tmp_path: Path) -> None:
    """
    Where what is sent is SIGIO, which some of them ignore.
    """
    path = tmp_path / "facts"
    with Gate(tmp_path / "gate") as gate:
        worker = multiprocessing.get_context("fork").Process(
            target=without_signals_of_its_own_choice, args=(str(path), gate.path)
        )
        worker.start()
        gate.hold()
        worker.kill()
        worker.join()
        worker.close()
        assert those_alive_soon(path) == []


def in_a_daemon(path: str, method: Any) -> None:
    limited = Limited(echo, {"wall_time_limit": 60}, method)
    Path(path).write_text(f"{limited(1)} {multiprocessing.current_process().daemon}")


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_daemon_may_have_limited_calls(method: Any, tmp_path: Path) -> None:
    """
    Some workers are daemons, those of Dask for instance, and Python lets them have no processes.
    """
    path = tmp_path / "result"
    worker = multiprocessing.get_context("fork").Process(
        target=in_a_daemon, args=(str(path), method), daemon=True
    )
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    worker.close()
    assert path.read_text() == "1 True"


# Programs that end.

LIMITED = """
from amltk.pynisher import PynisherPlugin
from tests.pynisher.jobs import wait_with_pids

scheduler = {backend}
task = scheduler.task(wait_with_pids, plugins=PynisherPlugin(wall_time_limit=60))
scheduler.on_start(lambda: task(sys.argv[2], gate))
"""
BEGINNING = f"""
import os, sys, threading, time
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from amltk import Scheduler

gate = sys.argv[1]

def ready():
    print("ready", flush=True)
"""


def indented(code: str) -> str:
    return code.replace("\n", "\n    ")


@pytest.mark.parametrize(
    "backend",
    [*BACKENDS.values(), "Scheduler.with_sequential()"],
    ids=[*BACKENDS.keys(), "sequential"],
)
def test_ctrl_c_ends_it(backend: str, tmp_path: Path) -> None:
    """
    It does not hear it itself; and a sequential call is interrupted as without limits.
    """
    code = f"""{BEGINNING}
if __name__ == "__main__":
    {indented(LIMITED.format(backend=backend))}
    try:
        scheduler.run(on_exception="ignore")
    finally:
        print("stop", scheduler.event_counts["on_stop"])
        print("finished", scheduler.event_counts["on_finished"])
"""
    path = tmp_path / "facts"
    with (
        Gate(tmp_path / "gate") as gate,
        program(tmp_path / "p.py", code, gate.path, str(path)) as process,
    ):
        gate.hold()
        ctrl_c(process)
        assert ends_by_interrupt(process) == "stop 1\nfinished 1\n"
        assert those_alive(path) == []


def test_ctrl_c_while_a_process_starts(tmp_path: Path) -> None:
    """
    A sequential call is interrupted as soon as its process is known, and can be ended.
    """
    code = f"""{BEGINNING}
from amltk.pynisher import limited_process
from amltk.scheduling import interrupts

start = limited_process.started

def start_slowly(*args):
    new = start(*args)
    ready()
    while not interrupts.held_back:
        time.sleep(0.01)
    return new

limited_process.started = start_slowly
if __name__ == "__main__":
    {indented(LIMITED.format(backend="Scheduler.with_sequential()"))}
    scheduler.run(on_exception="ignore")
"""
    path = tmp_path / "facts"
    with (
        Gate(tmp_path / "gate") as gate,
        program(tmp_path / "p.py", code, gate.path, str(path)) as process,
    ):
        wait_for(process, "ready")
        ctrl_c(process)
        ends_by_interrupt(process)
        assert not path.exists() or those_alive(path) == []


def test_a_second_ctrl_c_leaves_nothing_either(tmp_path: Path) -> None:
    """
    With threads: nobody waits any more, and the process is gone.
    """
    code = f"""{BEGINNING}
def never_end():
    print("stuck", flush=True)
    while True:
        time.sleep(60)

if __name__ == "__main__":
    {indented(LIMITED.format(backend="Scheduler.with_threads(1)"))}
    scheduler.on_stop(never_end)
    scheduler.run()
"""
    path = tmp_path / "facts"
    with (
        Gate(tmp_path / "gate") as gate,
        program(tmp_path / "p.py", code, gate.path, str(path)) as process,
    ):
        gate.hold()
        ctrl_c(process)
        wait_for(process, "stuck")
        ctrl_c(process)
        ends_by_interrupt(process)
        assert those_alive_soon(path) == []


def test_a_program_that_a_process_cannot_import(tmp_path: Path) -> None:
    """
    What it lacks is said, and is not memory.
    """
    code = f"""{BEGINNING}
from amltk.pynisher import PynisherPlugin

if __name__ != "__main__":
    os._exit(1)
scheduler = Scheduler.with_threads(1)
limits = PynisherPlugin(memory_limit=(64, "GB"), context="spawn")
task = scheduler.task(abs, plugins=limits)
scheduler.on_start(lambda: task(-1))
state = scheduler.run(on_exception="end")
print(type(state.exception).__name__, "__main__" in str(state.exception))
"""
    with program(tmp_path / "p.py", code, "no gate") as process:
        out, err = process.communicate()
    assert (out, err) == ("WorkerLostError True\n", "")


@pytest.mark.parametrize("end", ["sys.exit()", "os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_program_that_ends_without_its_run(end: str, tmp_path: Path) -> None:
    """
    Whether it leaves or is killed in the midst of a call.
    """
    code = f"""{BEGINNING}
from amltk.pynisher.limited import Limited
from tests.pynisher.jobs import wait_with_pids

limited = Limited(wait_with_pids, {{"wall_time_limit": 60}}, "fork")
threading.Thread(target=limited, args=(sys.argv[2], gate), daemon=True).start()
os.read(0, 1)
{end}
"""
    path = tmp_path / "facts"
    with Gate(tmp_path / "gate") as gate:
        (tmp_path / "p.py").write_text(code)
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "p.py"), gate.path, str(path)],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        )
        gate.hold()
        process.communicate()
        assert those_alive_soon(path) == []
