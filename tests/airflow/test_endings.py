"""Calls in a real Airflow that somebody ends before they are done."""

from __future__ import annotations

import asyncio
import select
import signal
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import pytest

from amltk import Scheduler
from amltk.airflow.executor import AirflowExecutor
from amltk.backends import Airflow
from tests.airflow.server import USERS, WORKERS, AirflowServer, until
from tests.helpers import Gate, all_accounted_for, have_a_child_wait_at, program, wait_at

pytestmark = pytest.mark.timeout(900)


def wait_until_nobody_is_at(gate: Gate) -> None:
    """Wait until the process is gone that the gate holds."""
    held = select.poll()
    held.register(gate._held[-1], 0)
    assert held.poll(300_000)


def test_a_running_call_can_be_cancelled(executor: AirflowExecutor, tmp_path: Path) -> None:
    """
    Its future ends at once; a little later Airflow ends the call, with what it has started.
    """
    with Gate(tmp_path / "one") as one, Gate(tmp_path / "other") as other:
        futures: list[Future[Any]] = [
            executor.submit(wait_at, one.path),
            executor.submit(have_a_child_wait_at, other.path),
        ]
        for gate in (one, other):
            gate.hold()
        until(lambda: all(future.running() for future in futures))
        for future in futures:
            assert future.cancel()
            assert future.cancelled()
        assert wait(futures, timeout=0).done == set(futures)
        for gate in (one, other):
            wait_until_nobody_is_at(gate)


def test_a_call_that_waits_is_not_computed_if_it_is_cancelled(
    executor: AirflowExecutor, tmp_path: Path
) -> None:
    """
    Whether Airflow knows of it already, or not.
    """
    marks = str(tmp_path / "marks")

    def leave_a_mark() -> None:
        with open(marks, "a") as file:  # noqa: PTH123
            file.write("x")

    with Gate(tmp_path / "gate") as gate:
        held = [executor.submit(wait_at, gate.path) for _ in range(WORKERS)]
        known = executor.submit(leave_a_mark)
        until(lambda: all(future.running() for future in held))
        unknown = executor.submit(leave_a_mark)
        assert known.cancel()
        assert unknown.cancel()
        gate.let_go()
        assert [future.result() for future in held] == [""] * WORKERS
    executor.shutdown()
    assert not Path(marks).exists()


def test_a_shutdown_can_cancel_what_waits(executor: AirflowExecutor, tmp_path: Path) -> None:
    """
    What is being computed goes on to its end.
    """
    with Gate(tmp_path / "gate") as gate:
        held = executor.submit(wait_at, gate.path)
        gate.hold()
        until(held.running)
        waiting = [executor.submit(wait_at, gate.path) for _ in range(WORKERS + 3)]
        executor.shutdown(wait=False, cancel_futures=True)
        assert waiting[-1].cancelled()
        gate.let_go()
        assert held.result() == ""
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(abs, 1)


def test_to_terminate_is_to_cancel_all(
    recipe: Callable[..., Airflow], airflow: AirflowServer, tmp_path: Path
) -> None:
    """
    The futures end at once, and then what Airflow is computing; no record stays.
    """
    before = set(airflow.runs())
    executor = recipe().open()
    with Gate(tmp_path / "gate") as gate:
        futures = [executor.submit(wait_at, gate.path) for _ in range(WORKERS + 5)]
        gate.hold()
        executor.terminate()
        assert all(future.cancelled() for future in futures)
        wait_until_nobody_is_at(gate)
    executor.shutdown()
    assert set(airflow.runs()) <= before


def test_a_run_that_does_not_wait_ends_what_is_being_computed(
    recipe: Callable[..., Airflow], tmp_path: Path
) -> None:
    """
    Every future ends as cancelled.
    """
    scheduler = Scheduler(recipe())
    with Gate(tmp_path / "gate") as here:
        waiting = scheduler.task(wait_at)
        scheduler.on_start(lambda: waiting(here.path), repeat=2)

        @waiting.on_submitted(every=2)
        def stop_when_it_runs(_: asyncio.Future[str], gate: str) -> None:
            here.hold()
            scheduler.stop()

        scheduler.run(wait=False)
        assert scheduler.event_counts["on_future_cancelled"] == 2
        assert all_accounted_for(scheduler)
        wait_until_nobody_is_at(here)


INTERRUPTED = """
import sys
from amltk import Scheduler
from amltk.airflow.executor import AirflowExecutor
from amltk.backends import Airflow

def wait_at(gate):
    with open(gate) as pipe:
        return pipe.read()

url, storage, user, password, gate = sys.argv[1:]
scheduler = Scheduler(Airflow(url, storage, username=user, password=password))
scheduler.on_start(lambda: scheduler.submit(wait_at, gate))
scheduler.run()
"""


def test_ctrl_c_ends_what_is_being_computed(airflow: AirflowServer, tmp_path: Path) -> None:
    """
    The program ends as one does that was interrupted, and leaves nothing in Airflow that goes on.
    """
    arguments = [airflow.url, str(airflow.storage), "op", USERS["op"]]
    with Gate(tmp_path / "gate") as gate:
        with program(tmp_path / "p.py", INTERRUPTED, *arguments, gate.path) as process:
            gate.hold()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        assert process.returncode == -signal.SIGINT
        assert "\nKeyboardInterrupt\n" in err
        wait_until_nobody_is_at(gate)


FORGETFUL = """
import sys
from amltk.airflow.executor import AirflowExecutor
from amltk.backends import Airflow

url, storage, user, password = sys.argv[1:]
executor = Airflow(url, storage, username=user, password=password).open()
future = executor.submit(pow, 2, 5)
future.add_done_callback(lambda future: print(future.result()))
executor.shutdown(wait=False)
"""


def test_a_program_does_not_end_before_its_calls(airflow: AirflowServer, tmp_path: Path) -> None:
    """
    As with every other executor.
    """
    arguments = [airflow.url, str(airflow.storage), "op", USERS["op"]]
    with program(tmp_path / "p.py", FORGETFUL, *arguments) as process:
        out, err = process.communicate()
    assert (out, err) == ("32\n", "")


def test_an_executor_that_is_forgotten_ends(recipe: Callable[..., Airflow]) -> None:
    """
    After its last call.
    """
    executor = recipe().open()
    future = executor.submit(abs, -1)
    del executor
    assert future.result() == 1
