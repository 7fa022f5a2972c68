"""Ending processes with all they started."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from amltk.backends.process_trees import end_processes, is_alive
from amltk.backends.termination import close_executor
from tests.helpers import Gate, echo, wait_at

STUBBORN = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
signal.pause()
"""


def start() -> tuple[subprocess.Popen[str], psutil.Process]:
    """A process that ignores SIGTERM, and the child of it."""
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    process.stdout.close()
    return process, child


def is_gone(process: psutil.Process) -> bool:
    return not is_alive(process)


def test_a_process_that_does_not_listen_is_ended_with_its_child() -> None:
    """
    Both are gone when `end_processes` returns.
    """
    process, child = start()
    end_processes([process.pid])
    assert is_gone(child)
    assert process.wait(timeout=0) < 0


def test_a_process_that_is_stopped_is_ended() -> None:
    """
    It cannot handle SIGTERM, and need not.
    """
    process, child = start()
    psutil.Process(process.pid).suspend()
    end_processes([process.pid])
    assert is_gone(child)
    assert process.wait(timeout=0) < 0


def test_a_process_that_is_gone_is_no_error() -> None:
    """
    Nor is none at all.
    """
    process, _ = start()
    end_processes([process.pid])
    process.wait()
    end_processes([process.pid])
    end_processes([])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_pool_of_the_standard_library_is_closed_at_once(tmp_path: Path) -> None:
    """
    Its workers are ended in the midst of what they compute.
    """
    executor = ProcessPoolExecutor(1)
    with Gate(tmp_path / "gate") as gate:
        running = executor.submit(wait_at, gate.path)
        gate.hold()
        before = psutil.Process().children()
        close_executor(executor, at_once=True)
        assert set(psutil.Process().children()) < set(before)
    assert running.exception(timeout=60) is not None


def test_an_executor_without_processes_is_only_shut_down() -> None:
    """
    Whatever it is: what it has begun, it finishes.
    """
    executor = ThreadPoolExecutor(1)
    future = executor.submit(echo, 1)
    close_executor(executor, at_once=False)
    assert future.result(timeout=0) == 1
    close_executor(executor, at_once=True)
