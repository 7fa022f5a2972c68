"""What becomes of calls in a real Airflow."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from amltk.airflow.executor import AirflowExecutor
from amltk.backends import Airflow
from amltk.exceptions import NotPicklableError, WorkerLostError
from tests.airflow.server import WORKERS, AirflowServer, until
from tests.helpers import (
    Boom,
    Gate,
    die,
    echo,
    fail,
    fail_stubbornly,
    keywords,
    leave,
    raise_stop_iteration,
    raise_text,
    raise_what_cannot_be_said,
    raise_what_cannot_come_back,
    return_a_lock,
    return_what_fails,
    wait_at,
)

pytestmark = pytest.mark.timeout(900)


def test_a_result_comes_back(executor: AirflowExecutor) -> None:
    """
    Of each call its own, and of a function that nobody else knows.
    """
    factor = 3

    def times(n: int) -> int:
        return factor * n

    assert list(executor.map(times, range(5))) == [0, 3, 6, 9, 12]
    assert executor.submit(lambda: factor).result() == 3


def test_every_keyword_reaches_the_function(executor: AirflowExecutor) -> None:
    """
    Also those that the executor has a use for itself.
    """
    said: dict[str, Any] = {"fn": 1, "self": 2, "key": 3, "args": 4, "dag_run": 5, "box": 6}
    assert executor.submit(keywords, 0, **said).result() == ((0,), said)


def test_an_exception_comes_back(executor: AirflowExecutor) -> None:
    """
    As what it was, with the traceback of where it was raised.
    """
    error = executor.submit(fail, "why").exception()
    assert type(error) is Boom
    assert str(error) == "why"
    assert "in fail" in str(error.__cause__)


def test_whatever_is_raised_comes_back(executor: AirflowExecutor) -> None:
    """
    Also what would end a program, or a loop.
    """
    calls = (leave, raise_stop_iteration, fail_stubbornly)
    futures = [executor.submit(call) for call in calls]
    kinds = [type(future.exception()).__name__ for future in futures]
    assert kinds == ["SystemExit", "StopIteration", "Stubborn"]


def test_what_cannot_travel_says_so(executor: AirflowExecutor, tmp_path: Path) -> None:
    """
    Arguments, results and exceptions end as the exception of that call, and name the reason.
    """
    calls: list[tuple[Callable[[], object], str]] = [
        (return_a_lock, "lock"),
        (return_what_fails, "not a number"),
        (raise_what_cannot_come_back, "CannotComeBack"),
        (raise_what_cannot_be_said, "CannotBeSaid"),
        (raise_text, "something else"),
    ]
    with (tmp_path / "open").open("w") as file:
        calls.append((partial(print, file), "Cannot pickle files"))
        futures = [(executor.submit(call), reason) for call, reason in calls]
        for future, reason in futures:
            error = future.exception()
            assert type(error) is NotPicklableError
            assert reason in str(error)


def test_what_a_worker_does_not_have_says_so(executor: AirflowExecutor, tmp_path: Path) -> None:
    """
    A function of a module that can be imported here, and not there.
    """
    (tmp_path / "only_here.py").write_text("def f(): return 1")
    sys.path.insert(0, str(tmp_path))
    try:
        error = executor.submit(importlib.import_module("only_here").f).exception()
    finally:
        sys.path.remove(str(tmp_path))
    assert type(error) is NotPicklableError
    assert "No module named 'only_here'" in str(error)


def test_airflow_needs_no_amltk(executor: AirflowExecutor) -> None:
    """
    A worker computes a call without it.
    """

    def loaded() -> bool:
        import sys

        return "amltk" in sys.modules

    assert executor.submit(loaded).result() is False


def test_a_call_can_be_large(executor: AirflowExecutor) -> None:
    """
    50 MB there, and 50 MB back.
    """
    big = os.urandom(50_000_000)
    assert executor.submit(bytes.upper, big).result() == big.upper()


def test_more_calls_than_airflow_lists_at_a_time(executor: AirflowExecutor) -> None:
    """
    Of 120 runs each is heard of; a page of Airflow's has 100.
    """
    assert list(executor.map(echo, range(120))) == list(range(120))


def test_a_call_is_running_when_airflow_says_so(executor: AirflowExecutor, tmp_path: Path) -> None:
    """
    Not while it waits for a worker: there are four of them.
    """
    with Gate(tmp_path / "gate") as gate:
        held = [executor.submit(wait_at, gate.path) for _ in range(WORKERS)]
        until(lambda: all(future.running() for future in held))
        waiting = executor.submit(echo, 1)
        gate.hold()
        assert not waiting.running()
        gate.let_go()
        assert waiting.result() == 1


def has_failed(airflow: AirflowServer, run: str) -> bool:
    """Airflow notices a moment after the task that its run is over."""
    return airflow.runs()[run] == "failed"


def test_a_worker_that_dies_is_seen(executor: AirflowExecutor, airflow: AirflowServer) -> None:
    """
    It costs the call that it was computing; the run stays in Airflow, where its log is.
    """
    dead, left, alive = executor.submit(die), executor.submit(os._exit, 3), executor.submit(echo, 1)
    for future in (dead, left):
        error = future.exception()
        assert type(error) is WorkerLostError
        run = re.search(r"amltk-\S+-0\d+", str(error))
        assert run is not None
        until(partial(has_failed, airflow, run.group()))
    assert alive.result() == 1


def test_runs_are_deleted_unless_they_are_to_stay(
    recipe: Callable[..., Airflow], airflow: AirflowServer
) -> None:
    """
    `keep_runs` leaves them in Airflow, with their logs.
    """
    before = set(airflow.runs())
    with recipe().open() as executor:
        executor.submit(echo, 1).result()
    assert set(airflow.runs()) <= before
    with recipe(keep_runs=True).open() as executor:
        executor.submit(echo, 1).result()
    assert len(set(airflow.runs()) - before) == 1


def test_storage_may_have_another_name_there(
    recipe: Callable[..., Airflow], airflow: AirflowServer, tmp_path: Path
) -> None:
    """
    As in a container; and if it is another place, that is said.
    """
    (tmp_path / "link").symlink_to(airflow.storage)
    with recipe(worker_storage=(tmp_path / "link").as_uri()).open() as executor:
        assert executor.submit(echo, 1).result() == 1
    with recipe(worker_storage=str(tmp_path / "elsewhere")).open() as executor:
        error = executor.submit(echo, 1).exception()
    assert isinstance(error, WorkerLostError)
    assert "worker_storage" in str(error)


def test_two_executors_do_not_hear_of_each_other(recipe: Callable[..., Airflow]) -> None:
    """
    At the same time, in the same Airflow, with the same storage.
    """
    with recipe().open() as one, recipe().open() as other:
        mine = [one.submit(echo, n) for n in range(5)]
        theirs = [other.submit(echo, -n) for n in range(5)]
        assert [future.result() for future in mine] == [0, 1, 2, 3, 4]
        assert [future.result() for future in theirs] == [0, -1, -2, -3, -4]
