"""The thread that talks to Airflow, when what it hears is no answer."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from amltk.airflow import course
from amltk.airflow import manager as manager_module
from amltk.airflow.api import AirflowApi
from amltk.airflow.executor import AirflowExecutor
from amltk.airflow.manager import Manager
from amltk.airflow.runs import Session
from amltk.airflow.storage import Storage
from amltk.airflow.tokens import NewToken, from_user
from amltk.exceptions import (
    BackendUnavailableError,
    ExecutorBrokenError,
    NotPicklableError,
    WorkerLostError,
)
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


@contextmanager
def managing(
    answers: Answers, storage: Path, new_token: NewToken, patience: float = 0.5
) -> Generator[Manager]:
    """A thread that asks the server of the test, and leaves nothing behind."""
    api = AirflowApi(answers.url, "amltk", new_token)
    session = Session("run-", poll_interval=0.01, patience=patience, keep_runs=True)
    manager = Manager(api, Storage(str(storage), "mine"), session)
    try:
        yield manager
    finally:
        manager.abandon()
        manager.join()
    assert not list(storage.iterdir())


@pytest.fixture
def manager(answers: Answers, tmp_path: Path) -> Generator[Manager]:
    """One that loses its patience soon."""
    with managing(answers, tmp_path, from_user("abc")) as manager:
        yield manager


@pytest.fixture
def patient(answers: Answers, tmp_path: Path) -> Generator[Manager]:
    """One that does not."""
    with managing(answers, tmp_path, from_user("abc"), patience=60) as manager:
        yield manager


def write(storage: Path, name: str, content: bytes) -> None:
    """What a worker does that computes the first call."""
    until((storage / "mine/000001/call").exists)
    (storage / "mine/000001" / name).write_bytes(content)


RETURNED = pickle.dumps(("result", pickle.dumps(1), ""))
"""An outcome."""


def test_what_is_not_answered_is_asked_again(answers: Answers, patient: Manager) -> None:
    """
    Until there is an answer: a call is started once, and its future runs when Airflow says so.
    """
    answers.to_come = [BUSY, (500, "oh"), STARTED, BUSY, tasks("queued"), WELL, tasks("running")]
    future = AirflowExecutor(patient).submit(echo, 1)
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


def test_who_has_nothing_to_ask_sleeps(answers: Answers, patient: Manager) -> None:
    """
    Also after a question to which there was no answer, once nobody wants to know.
    """
    answers.to_come = [BUSY]
    future = AirflowExecutor(patient).submit(echo, 1)
    until(lambda: len(answers.asked) > 1)
    future.cancel()
    answers.to_come = [(200, {})]
    until(lambda: patient._until_next_turn() is None)


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


def test_what_stays_in_airflow_is_said_once(
    answers: Answers,
    patient: Manager,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    At Python's exit, too, which waits until the thread has given up.
    """
    monkeypatch.setattr(manager_module, "TIDYING", 0.2)
    answers.to_come = [STARTED, tasks("running")]
    until(AirflowExecutor(patient).submit(echo, 1).running)
    answers.to_come = [BUSY]
    patient.abandon()
    patient.shut_down_and_join()
    assert caplog.text.count("1 runs are left in Airflow") == 1


def test_python_does_not_wait_long_for_what_stays_in_airflow(
    answers: Answers,
    patient: Manager,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    It exits while the thread still tries, and says what that leaves.
    """
    monkeypatch.setattr(manager_module, "LEAVING", 0.0)
    answers.to_come = [STARTED, tasks("running")]
    until(AirflowExecutor(patient).submit(echo, 1).running)
    answers.to_come = [BUSY]
    patient.abandon()
    until(lambda: len(patient._runs.leftovers) == 1)
    patient.shut_down_and_join()
    assert "1 runs are left in Airflow" in caplog.text
    answers.to_come = [(200, {})]


def test_a_token_that_is_late_is_waited_for(answers: Answers, tmp_path: Path) -> None:
    """
    Who gets the same one as before tries again a little later: nothing that is pending is lost.
    """
    tokens = iter(["old", "old", "old", "new"])
    with managing(answers, tmp_path, from_user(lambda: next(tokens)), patience=60) as manager:
        late: list[tuple[int, object]] = [(401, {"detail": "expired"})] * 5
        answers.to_come = [*late, STARTED, tasks("running")]
        until(AirflowExecutor(manager).submit(echo, 1).running)
    assert next(tokens, None) is None


def test_a_token_that_is_all_there_is_ends_what_is_pending(
    answers: Answers, manager: Manager
) -> None:
    """
    What was started is lost when it expires, and nothing is taken any more.
    """
    answers.to_come = [STARTED, tasks("running"), WELL, (401, {"detail": "expired"})]
    executor = AirflowExecutor(manager)
    error = executor.submit(echo, 1).exception()
    assert isinstance(error, WorkerLostError)
    assert "does not accept the token" in str(error)
    with pytest.raises(ExecutorBrokenError, match="token"):
        executor.submit(echo, 2)


def test_what_has_ended_is_not_lost_with_airflow(
    answers: Answers, manager: Manager, tmp_path: Path
) -> None:
    """
    When it is given up, what came of a call may lie in the storage.
    """
    answers.to_come = [STARTED, STARTED, tasks(None)]
    executor = AirflowExecutor(manager)
    done, lost = executor.submit(echo, 1), executor.submit(echo, 2)
    write(tmp_path, "outcome", RETURNED)
    answers.to_come = [BUSY]
    assert done.result() == 1
    assert isinstance(lost.exception(), ExecutorBrokenError)


def test_a_start_of_which_nobody_heard(answers: Answers, tmp_path: Path) -> None:
    """
    Somebody computes the call though its start was not answered: it counts as lost, and may have
    had effects.
    """
    answers.to_come = [BUSY]
    with managing(answers, tmp_path, from_user("abc"), patience=5) as manager:
        future = AirflowExecutor(manager).submit(echo, 1)
        write(tmp_path, "started", b"somebody")
        assert isinstance(future.exception(), WorkerLostError)


@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps(5), pickle.dumps((1, 2, 3))])
def test_an_outcome_that_makes_no_sense_costs_its_call(
    answers: Answers, manager: Manager, tmp_path: Path, content: bytes
) -> None:
    """
    And no other one.
    """
    answers.to_come = [STARTED, tasks(None), WELL, tasks("success")]
    executor = AirflowExecutor(manager)
    future = executor.submit(echo, 1)
    write(tmp_path, "outcome", content)
    assert isinstance(future.exception(), NotPicklableError)
    assert "open" in repr(executor)


def test_storage_that_goes_away_costs_what_was_in_it(
    answers: Answers, manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What came of those calls is gone, which is said; the next one has a box again.
    """
    monkeypatch.setattr(course, "SETTLE", 0.0)
    answers.to_come = [STARTED, tasks("running")]
    executor = AirflowExecutor(manager)
    future = executor.submit(echo, 1)
    until(future.running)
    shutil.rmtree(tmp_path / "mine")
    answers.to_come = [tasks("success")]
    assert "not in the storage" in str(future.exception())
    answers.to_come = [STARTED, tasks("running")]
    executor.submit(echo, 2)
    until((tmp_path / "mine/000002/call").exists)


def test_what_has_begun_goes_on_when_the_rest_is_cancelled(
    answers: Answers, manager: Manager, tmp_path: Path
) -> None:
    """
    Also if Airflow has not said yet that it has.
    """
    answers.to_come = [STARTED, STARTED, tasks("queued")]
    executor = AirflowExecutor(manager)
    begun, waiting = executor.submit(echo, 1), executor.submit(echo, 2)
    write(tmp_path, "started", b"somebody")
    executor.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    assert not begun.cancelled()
    write(tmp_path, "outcome", RETURNED)
    answers.to_come = [tasks("success")]
    assert begun.result() == 1


def test_storage_that_takes_nothing_costs_the_call(
    answers: Answers, manager: Manager, tmp_path: Path
) -> None:
    """
    Airflow does not hear of it.
    """
    (tmp_path / "mine").rmdir()
    (tmp_path / "mine").touch()
    error = AirflowExecutor(manager).submit(echo, 1).exception()
    assert isinstance(error, BackendUnavailableError)
    assert "Cannot put echo() into the storage" in str(error)
    assert answers.asked == []


def test_what_is_being_computed_is_ended_before_what_waits(
    answers: Answers, manager: Manager
) -> None:
    """
    Of thousands of calls only some can be ended in Airflow within seconds; to what waits for a worker
    nothing happens anyway, since its box is gone.
    """
    answers.to_come = [STARTED] * 30 + [tasks("running")]
    executor = AirflowExecutor(manager)
    futures = [executor.submit(echo, n) for n in range(30)]
    until(futures[0].running)
    asked = len(answers.asked)
    manager.abandon()
    manager.join()
    ended = [what for what in answers.asked[asked:] if what.startswith("PATCH")]
    assert ended[0] == "PATCH /api/v2/dags/amltk/dagRuns/run-000001"
