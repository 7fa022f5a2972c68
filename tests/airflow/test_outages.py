"""An Airflow that goes away, and tokens that expire, while there is work in flight."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from amltk.airflow import tokens
from amltk.airflow.api import AirflowApi
from amltk.airflow.leftovers import ENDING
from amltk.airflow.runs import AirflowCall, Runs, Session
from amltk.airflow.storage import Storage
from amltk.airflow.tokens import from_user
from amltk.backends import Airflow
from amltk.backends.job import Job
from amltk.backends.stoppable_future import StoppableFuture
from amltk.exceptions import ExecutorBrokenError, WorkerLostError
from tests.airflow.server import SHORT_LIVED, TOKENS, AirflowServer, insist, until
from tests.helpers import Gate, echo, wait_at

pytestmark = pytest.mark.timeout(900)


def test_airflow_is_stopped_and_started_with_work_in_flight(
    airflow: AirflowServer, recipe: Callable[..., Airflow], tmp_path: Path
) -> None:
    """
    Each future ends. What was being computed is lost, and not computed again, though Airflow tries
    to; what had waited is computed, once. Who has no patience has lost all of it by then.
    """
    log = str(tmp_path / "log")

    def leave_a_mark(n: int) -> int:
        with open(log, "a") as file:  # noqa: PTH123
            file.write(f"{n}\n")
        return n

    def leave_a_mark_and_wait_at(gate: str, n: int) -> int:
        leave_a_mark(n)
        with open(gate) as pipe:  # noqa: PTH123
            pipe.read()
        return n

    with (
        Gate(tmp_path / "gate") as gate,
        Gate(tmp_path / "other") as other,
        recipe().open() as patient,
        recipe(patience=10).open() as impatient,
    ):
        begun = [patient.submit(leave_a_mark_and_wait_at, gate.path, n) for n in range(3)]
        lost = impatient.submit(leave_a_mark_and_wait_at, other.path, 3)
        until(lambda: all(future.running() for future in (*begun, lost)))
        until(lambda: len(marks_in(log)) == 4)
        waiting = [patient.submit(leave_a_mark, n) for n in range(4, 12)]
        airflow.stop()
        assert isinstance(lost.exception(), WorkerLostError)
        with pytest.raises(ExecutorBrokenError, match="Given up after 10 s"):
            impatient.submit(echo, 1)
        assert not any(future.done() for future in (*begun, *waiting))
        gate.let_go()
        airflow.start()
        for future in begun:
            assert "was not started again" in str(future.exception())
            assert isinstance(future.exception(), WorkerLostError)
        assert [future.result() for future in waiting] == list(range(4, 12))
    assert sorted(marks_in(log)) == list(range(12))


def marks_in(log: str) -> list[int]:
    return [int(line) for line in Path(log).read_text().split()] if Path(log).exists() else []


def test_a_token_that_has_expired_is_replaced(
    airflow: AirflowServer,
    recipe: Callable[..., Airflow],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    By one that Airflow gives for the password, or that a function gets. Where there is no other one,
    what is pending ends: there is nothing to wait for; and it is said how it could have been.
    """
    monkeypatch.setattr(tokens, "LOGIN", SHORT_LIVED)
    got: list[str] = []

    def get() -> str:
        got.append(airflow.token(path=SHORT_LIVED))
        return got[-1]

    with (
        Gate(tmp_path / "gate") as gate,
        recipe().open() as one,
        recipe(token=get).open() as other,
        recipe(token=airflow.token(path=SHORT_LIVED)).open() as last,
    ):
        futures = [executor.submit(wait_at, gate.path) for executor in (one, other)]
        until(lambda: all(future.running() for future in futures))
        expired = time.monotonic() + TOKENS + 1
        error = last.submit(wait_at, gate.path).exception()
        assert isinstance(error, ExecutorBrokenError)
        assert "does not accept the token" in str(error)
        with pytest.raises(ExecutorBrokenError, match="token"):
            last.submit(echo, 1)
        time.sleep(max(0.0, expired - time.monotonic()))
        assert not any(future.done() for future in futures)
        gate.let_go()
        assert [future.result() for future in futures] == ["", ""]
    assert len(got) > 1


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_run_that_somebody_deletes_is_lost(airflow: AirflowServer, tmp_path: Path) -> None:
    """
    It is missed when all runs are looked at, for the second time.
    """
    api = AirflowApi(airflow.url, "amltk", from_user(airflow.token))
    storage = Storage(str(tmp_path), "mine")
    clock = Clock()
    runs = Runs(api, storage, Session("deleted-", 0.1, 10, keep_runs=False), clock)
    future: StoppableFuture[int] = StoppableFuture(lambda: None)
    with closing(api), Gate(tmp_path / "gate") as gate:
        call = AirflowCall("1", "deleted-1", Job(future, wait_at, (gate.path,), {}), future)
        insist(lambda: runs.start(call))
        gate.hold()
        insist(lambda: api.fail("deleted-1"))
        time.sleep(ENDING)
        until(lambda: insist(lambda: api.delete("deleted-1")))
        for _ in range(2):
            runs.collect()
            assert not future.done()
            clock.now += 1000
            insist(runs.look)
        runs.collect()
    assert "deleted from Airflow" in str(future.exception(timeout=0))
    assert not runs
