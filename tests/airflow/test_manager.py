"""The thread that talks to Airflow, when what it hears is no answer."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from amltk.airflow.api import AirflowApi
from amltk.airflow.executor import AirflowExecutor
from amltk.airflow.manager import Manager
from amltk.airflow.runs import Session
from amltk.airflow.storage import Storage
from amltk.airflow.tokens import from_user
from amltk.exceptions import ExecutorBrokenError, WorkerLostError
from tests.airflow.answering import Answers
from tests.airflow.server import until
from tests.helpers import echo

WELL = (200, {"scheduler": {"status": "healthy"}})
ILL = (200, {"scheduler": {"status": "unhealthy"}})
STARTED = (200, {"dag_run_id": "run-000001"})
BUSY = (503, {"detail": "come back later"})


def tasks(state: str | None) -> tuple[int, object]:
    listed = [{"dag_run_id": "run-000001", "state": state}]
    return 200, {"task_instances": listed, "total_entries": 1}


@pytest.fixture
def manager(answers: Answers, tmp_path: Path) -> Generator[Manager]:
    """A thread that asks the server of the test."""
    api = AirflowApi(answers.url, "amltk", from_user("abc"))
    session = Session("run-", poll_interval=0.01, patience=0.5, keep_runs=True)
    manager = Manager(api, Storage(str(tmp_path), "mine"), session)
    yield manager
    manager.abandon()
    manager.join()
    assert not list(tmp_path.iterdir())


def test_what_is_not_answered_is_asked_again(answers: Answers, manager: Manager) -> None:
    """
    Until there is an answer: a call is started once, and its future runs when Airflow says so.
    """
    answers.to_come = [BUSY, (500, "oh"), STARTED, BUSY, tasks("queued"), WELL, tasks("running")]
    future = AirflowExecutor(manager).submit(echo, 1)
    until(future.running)
    assert answers.asked[:3] == ["POST /api/v2/dags/amltk/dagRuns"] * 3
    assert "POST" not in " ".join(answers.asked[3:])


def test_patience_comes_to_an_end(answers: Answers, manager: Manager) -> None:
    """
    What has a run is lost then, what has none was not computed, and nothing is taken any more.
    """
    answers.to_come = [STARTED, BUSY]
    executor = AirflowExecutor(manager)
    started = executor.submit(echo, 1)
    error = started.exception()
    assert isinstance(error, WorkerLostError)
    assert "Given up after 0.5 s without an answer" in str(error)
    assert "come back later" in str(error)
    with pytest.raises(ExecutorBrokenError, match="come back later"):
        executor.submit(echo, 2)
    manager.join()
    assert "broken" in repr(executor)


def test_what_had_no_run_was_not_computed(answers: Answers, manager: Manager) -> None:
    """
    It is not lost, which would be to say that it may have been.
    """
    answers.to_come = [BUSY]
    error = AirflowExecutor(manager).submit(echo, 1).exception()
    assert type(error) is ExecutorBrokenError
    assert "echo() was not computed" in str(error)


def test_who_has_nothing_to_ask_sleeps(answers: Answers, manager: Manager) -> None:
    """
    Also after a question to which there was no answer, once nobody wants to know.
    """
    answers.to_come = [BUSY]
    future = AirflowExecutor(manager).submit(echo, 1)
    until(lambda: len(answers.asked) > 1)
    future.cancel()
    answers.to_come = [(200, {})]
    until(lambda: manager._until_next_turn() is None)


@pytest.mark.parametrize(("health", "said"), [(WELL, 0), (ILL, 1)])
def test_a_scheduler_that_is_not_running_is_reported(
    answers: Answers,
    manager: Manager,
    caplog: pytest.LogCaptureFixture,
    health: tuple[int, object],
    said: int,
) -> None:
    """
    Airflow takes calls all the same, and computes none.
    """
    answers.to_come = [STARTED, tasks(None), health, tasks("running")]
    future = AirflowExecutor(manager).submit(echo, 1)
    until(future.running)
    assert caplog.text.count("is not running: 1 calls wait") == said
