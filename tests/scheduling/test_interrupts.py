"""Ctrl-C: once, twice, and wherever the program happens to be.

Each test runs a program in a session of its own and sends SIGINT to the whole of it, as a
terminal does. The program says `ready` when it is where the test wants it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.helpers import Gate, program

BACKENDS = {
    "fork": 'Scheduler.with_processes(2, mp_context="fork")',
    # One worker, and it is at work: Python's fork server has its children hear Ctrl-C as they boot.
    "forkserver": 'Scheduler.with_processes(1, mp_context="forkserver")',
    "loky": "Scheduler.with_loky(2)",
    "threads": "Scheduler.with_threads(2)",
    "dask": "Scheduler.with_dask(n_workers=2)",
}
BEGINNING = """
import asyncio, sys, threading, time
from amltk import Scheduler

gate = sys.argv[1]

def wait(where=gate):
    with open(where) as pipe:
        pipe.read()

def ready():
    print("ready", flush=True)

def doze():
    while True:
        time.sleep(0.1)  # not longer: Ctrl-C right before a sleep, as it begins, is seen at its end

def report():
    counts = scheduler.event_counts
    print("submitted", counts["on_future_submitted"])
    print("cancelled", counts["on_future_cancelled"])
    print("stop", counts["on_stop"])
    print("finished", counts["on_finished"])
    print("running", scheduler.running())
    sys.stdout.flush()
"""


def ctrl_c(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGINT)


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    """Read what the program prints until it prints this line."""
    assert process.stdout is not None
    said: list[str] = []
    for text in process.stdout:
        said.append(text)
        if text.strip() == line:
            return
    assert process.stderr is not None
    pytest.fail(f"The program never said {line!r}, only {said}: {process.stderr.read()}")


def ends_by_interrupt(process: subprocess.Popen[str]) -> str:
    """Wait for the end; what the program printed on the way out."""
    out, err = process.communicate()
    assert process.returncode in (-signal.SIGINT, 130), err
    assert err.count("Traceback") == 1, err
    assert err.rstrip().endswith("KeyboardInterrupt"), err
    # What stays for a moment are Python's own helpers: they end when they see that it is gone.
    _, left = psutil.wait_procs(in_session(process.pid), timeout=10)
    assert not left
    return out


def in_session(leader: int) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
def test_ctrl_c_ends_a_run_at_once(backend: str, tmp_path: Path) -> None:
    """
    What is pending is cancelled, all events are emitted, `KeyboardInterrupt` is raised.
    """
    code = f"""{BEGINNING}
if __name__ == "__main__":
    scheduler = {backend}
    scheduler.on_start(repeat=5)(lambda: scheduler.submit(wait))
    scheduler.on_start(ready)
    try:
        scheduler.run(on_exception="ignore")
    finally:
        report()
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()  # at least one call is running
        ctrl_c(process)
        out = ends_by_interrupt(process)
    assert out.split("\n")[:5] == [
        "submitted 5",
        "cancelled 5",
        "stop 1",
        "finished 1",
        "running False",
    ]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
def test_ctrl_c_while_workers_are_starting(backend: str, tmp_path: Path) -> None:
    """
    A worker that has not come to its first call is silent, too.
    """
    code = f"""{BEGINNING}
if __name__ == "__mp_main__":  # this is a worker that imports the program
    ready()
    time.sleep(60)
if __name__ == "__main__":
    scheduler = {backend}
    scheduler.on_start(lambda: scheduler.submit(wait))
    {"" if "forkserver" in backend else "scheduler.on_start(ready)"}
    scheduler.run()
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        ctrl_c(process)
        ends_by_interrupt(process)


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
def test_a_second_ctrl_c_gives_up(backend: str, tmp_path: Path) -> None:
    """
    The first one is being handled, in a callback that never ends: the second one is raised there.
    """
    code = f"""{BEGINNING}
def never_end(*_):
    print("stuck", flush=True)
    while True:
        time.sleep(60)

if __name__ == "__main__":
    scheduler = {backend}
    scheduler.on_start(repeat=2)(lambda: scheduler.submit(wait))
    scheduler.on_start(ready)
    scheduler.on_stop(never_end)
    scheduler.run()
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()
        ctrl_c(process)
        wait_for(process, "stuck")
        ctrl_c(process)
        ends_by_interrupt(process)


@pytest.mark.parametrize("busy", ["doze()", "while True: pass"])
def test_ctrl_c_interrupts_a_callback(busy: str, tmp_path: Path) -> None:
    """
    Code of the user is interrupted where it is, and the run ends in order.
    """
    code = f"""{BEGINNING}
def compute():
    ready()
    {busy}

if __name__ == "__main__":
    scheduler = Scheduler.with_processes(2)
    scheduler.on_start(lambda: scheduler.submit(wait))
    scheduler.on_start(compute)
    try:
        scheduler.run(on_exception="ignore")
    finally:
        report()
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()
        ctrl_c(process)
        out = ends_by_interrupt(process)
    assert "cancelled 1\nstop 1\nfinished 1" in out


@pytest.mark.parametrize("busy", ["doze()", "while True: pass"])
def test_ctrl_c_interrupts_a_sequential_call(busy: str, tmp_path: Path) -> None:
    """
    The call runs in this process, so it is left where it is; it was never submitted.
    """
    code = f"""{BEGINNING}
def compute():
    ready()
    {busy}

if __name__ == "__main__":
    scheduler = Scheduler.with_sequential()
    scheduler.on_start(lambda: scheduler.submit(compute))
    try:
        scheduler.run(on_exception="ignore")
    finally:
        report()
"""
    with program(tmp_path / "p.py", code, "no gate") as process:
        wait_for(process, "ready")
        ctrl_c(process)
        out = ends_by_interrupt(process)
    assert "submitted 0\ncancelled 0\nstop 1\nfinished 1" in out


HOOKS = {
    "pre_submit": "scheduler.task(abs, plugins=Slow())",
    "attempt_failed": "scheduler.task(fail, plugins=SlowToSayAgain())",
    "on": "scheduler.task(fail, plugins=Retry(on=slow))",
    "wait": "scheduler.task(fail, plugins=Retry(wait=slow))",
    "change": "scheduler.task(fail, plugins=Retry(change=slow))",
    "a later attempt": "scheduler.task(fail, plugins=[Retry(), SlowTheSecondTime()])",
}


@pytest.mark.parametrize("task", HOOKS.values(), ids=HOOKS)
def test_ctrl_c_interrupts_what_plugins_ask_for(task: str, tmp_path: Path) -> None:
    """
    A plugin of the user, and functions that a plugin of ours calls, are code of the user: they are
    interrupted where they are, and every call is accounted for.
    """
    code = f"""{BEGINNING}
from amltk import TaskPlugin
from amltk.scheduling import Retry

def slow(*_):
    ready()
    doze()

def fail(_):
    raise ValueError

class Slow(TaskPlugin):
    name = "slow"
    n = 0
    def pre_submit(self, call):
        slow()
    def copy(self):
        return type(self)()

class SlowToSayAgain(Slow):
    def pre_submit(self, call):
        return call
    def attempt_failed(self, failure):
        slow()

class SlowTheSecondTime(Slow):
    def pre_submit(self, call):
        self.n += 1
        return slow() if self.n == 2 else call

if __name__ == "__main__":
    scheduler = Scheduler.with_sequential()
    task = {task}
    scheduler.on_start(lambda: task(-1))
    try:
        scheduler.run(on_exception="ignore")
    finally:
        report()
        counts = scheduler.event_counts
        print(counts["on_future_submitted"] - counts["on_future_done"] - counts["on_future_cancelled"])
"""
    with program(tmp_path / "p.py", code, "no gate") as process:
        wait_for(process, "ready")
        ctrl_c(process)
        out = ends_by_interrupt(process)
    assert out.splitlines()[-4:] == ["stop 1", "finished 1", "running False", "0"]


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
def test_ctrl_c_while_a_run_is_closing(backend: str, tmp_path: Path) -> None:
    """
    A run that waits for what is pending after `stop()` stops to wait.
    """
    code = f"""{BEGINNING}
if __name__ == "__main__":
    scheduler = {backend}
    scheduler.on_start(lambda: scheduler.submit(wait))
    scheduler.on_start(scheduler.stop)
    scheduler.on_finishing(ready)
    try:
        scheduler.run()
    finally:
        report()
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()
        ctrl_c(process)
        out = ends_by_interrupt(process)
    assert "cancelled 1\nstop 1\nfinished 1" in out


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
def test_ctrl_c_while_the_backend_is_closing(backend: str, tmp_path: Path) -> None:
    """
    Nothing is pending, but a worker still computes what the user has cancelled.
    """
    code = f"""{BEGINNING}
if __name__ == "__main__":
    scheduler = {backend}
    futures = []
    scheduler.on_start(lambda: futures.append(scheduler.submit(wait)))
    scheduler.on_start(ready)
    scheduler.on_start(lambda: wait(gate + "2"))
    scheduler.on_start(lambda: futures[0].cancel())
    scheduler.on_finishing(ready)
    scheduler.run()
"""
    with (
        Gate(tmp_path / "gate") as gate,
        Gate(tmp_path / "gate2") as second,
        program(tmp_path / "p.py", code, gate.path) as process,
    ):
        wait_for(process, "ready")
        gate.hold()  # it is running
        second.hold()
        second.let_go()  # and now it is cancelled
        wait_for(process, "ready")
        ctrl_c(process)
        ends_by_interrupt(process)


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS.keys())
def test_ctrl_c_in_a_coroutine(backend: str, tmp_path: Path) -> None:
    """
    `asyncio.run(scheduler.async_run())` is cancelled, and leaves nothing behind either.
    """
    code = f"""{BEGINNING}
if __name__ == "__main__":
    scheduler = {backend}
    scheduler.on_start(lambda: scheduler.submit(wait))
    scheduler.on_start(ready)
    try:
        asyncio.run(scheduler.async_run())
    finally:
        report()
        print(scheduler.exit_state.code)
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()
        ctrl_c(process)
        process_out, err = process.communicate()
    assert process.returncode in (-signal.SIGINT, 130), err
    assert err.rstrip().endswith("KeyboardInterrupt"), err
    assert not re.search(r"Process|Worker|never retrieved", err), err
    assert "cancelled 1\nstop 1\nfinished 1" in process_out
    assert "ExitCode.CANCELLED" in process_out


def test_ctrl_c_ends_children_of_workers(tmp_path: Path) -> None:
    """
    What a call has started is gone as well.
    """
    code = f"""{BEGINNING}
import subprocess

def start_another():
    subprocess.run(["cat", gate])

if __name__ == "__main__":
    scheduler = Scheduler.with_processes(1, mp_context="fork")
    scheduler.on_start(lambda: scheduler.submit(start_another))
    scheduler.on_start(ready)
    scheduler.run()
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()  # `cat` is there
        ctrl_c(process)
        ends_by_interrupt(process)


def test_a_handler_of_the_program_is_left_alone(tmp_path: Path) -> None:
    """
    A program that has its own handler for SIGINT keeps it: here it stops the run.
    """
    code = f"""{BEGINNING}
import signal

if __name__ == "__main__":
    scheduler = Scheduler.with_processes(1)
    signal.signal(signal.SIGINT, scheduler.stop)
    scheduler.on_start(lambda: scheduler.submit(wait))
    scheduler.on_start(ready)
    print(scheduler.run(wait=False).code)
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()
        ctrl_c(process)
        out, err = process.communicate()
    assert (out, err, process.returncode) == ("ExitCode.STOPPED\n", "", 0)
