"""What is made of the answers that an Airflow in trouble gives, and others who are no Airflow.

These are the answers that a real one cannot be made to give; they come from a small server here.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from amltk.airflow.answers import AirflowRefusedError, AirflowUnreachableError
from amltk.airflow.api import AirflowApi
from amltk.airflow.leftovers import ENDING, Leftovers
from amltk.airflow.tokens import from_user, logging_in
from amltk.backends import Airflow
from amltk.exceptions import BackendUnavailableError
from tests.airflow.answering import Answers


@pytest.fixture
def api(answers: Answers) -> Generator[AirflowApi]:
    """What talks to that server, as if it were an Airflow."""
    api = AirflowApi(answers.url, "amltk", from_user("abc"))
    yield api
    api.close()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass(api: AirflowApi, answers: Answers, status: int) -> None:
    """
    A server that cannot answer now can be asked again; it says what was asked, and why not.
    """
    answers.to_come = [(status, {"detail": "database is locked"})]
    with pytest.raises(AirflowUnreachableError, match=rf"{status} to GET .*: database is locked"):
        api.dag()


@pytest.mark.parametrize("status", [302, 400, 403, 405, 422])
def test_what_will_not_pass(api: AirflowApi, answers: Answers, status: int) -> None:
    """
    To be asked again would not help; the token is not said.
    """
    answers.to_come = [(status, {"detail": "no"})]
    with pytest.raises(AirflowRefusedError, match=str(status)) as refused:
        api.dag()
    assert "abc" not in str(refused.value)


def test_where_it_is_instead(api: AirflowApi, answers: Answers) -> None:
    """
    A server that sends us elsewhere is not followed, with our password, but quoted.
    """
    answers.to_come = [(301, "moved")]
    with pytest.raises(AirflowRefusedError, match=r"elsewhere\.example\.org"):
        api.version()


@pytest.mark.parametrize("content", ["<html>Log in</html>", "", "[1, 2]", "null", "{", "\xff"])
def test_what_is_no_airflow(answers: Answers, tmp_path: Path, content: str) -> None:
    """
    A proxy, or any other server, is recognized when the recipe is opened, before it hears a password.
    """
    answers.to_come = [(200, content)]
    recipe = Airflow(answers.url, tmp_path, username="me", password="secret")
    with pytest.raises(BackendUnavailableError, match="not as the REST API of Airflow 3 does"):
        recipe.open()
    assert answers.asked == ["GET /api/v2/version"]
    assert not list(tmp_path.iterdir())


def test_an_older_airflow(answers: Answers, tmp_path: Path) -> None:
    """
    Has no such API.
    """
    answers.to_come = [(404, "<html>Not found</html>")]
    with pytest.raises(BackendUnavailableError, match="Airflow 3"):
        Airflow(answers.url, tmp_path, token="abc").open()


def test_who_gives_no_tokens_for_passwords(answers: Answers, tmp_path: Path) -> None:
    """
    Not every auth manager does.
    """
    answers.to_come = [(200, {"version": "3.0"}), (404, {"detail": "Not Found"})]
    with pytest.raises(BackendUnavailableError, match="Give the recipe a `token`"):
        Airflow(answers.url, tmp_path, username="me", password="secret").open()


def test_a_token_is_fetched_when_it_has_expired(answers: Answers) -> None:
    """
    Once for each time; then the question is asked again.
    """
    tokens = iter(["first", "second"])
    api = AirflowApi(answers.url, "amltk", from_user(lambda: next(tokens)))
    answers.to_come = [(401, {}), (200, {"dag_id": "amltk"})]
    assert api.dag() == {"dag_id": "amltk"}
    assert list(tokens) == []
    api.close()


def test_a_token_that_cannot_be_replaced_is_given_up(api: AirflowApi, answers: Answers) -> None:
    """
    It is not sent again, whatever is asked; and it is not said.
    """
    answers.to_come = [(401, {"detail": "expired"})]
    for _ in range(2):
        with pytest.raises(AirflowRefusedError, match="does not accept the token") as refused:
            api.dag()
        assert "abc" not in str(refused.value)
    assert len(answers.asked) == 1


def test_a_new_token_may_be_accepted_later(answers: Answers) -> None:
    """
    The file that it comes from may be an old one still, or the clock of one server may be slow.
    """
    api = AirflowApi(answers.url, "amltk", from_user(lambda: "abc"))
    answers.to_come = [(401, {"detail": "expired"})]
    with pytest.raises(AirflowUnreachableError, match=r"does not accept the token .*expired"):
        api.dag()
    assert len(answers.asked) == 2
    answers.to_come = [(200, {"dag_id": "amltk"})]
    assert api.dag() == {"dag_id": "amltk"}
    api.close()


def test_a_password_that_is_not_accepted_is_not_sent_again(answers: Answers) -> None:
    """
    That could lock somebody out.
    """
    api = AirflowApi(answers.url, "amltk", logging_in("me", "secret"))
    answers.to_come = [(401, {"detail": "Invalid credentials"})]
    with pytest.raises(AirflowRefusedError, match="username and password"):
        api.dag()
    assert answers.asked == ["POST /auth/token"]
    api.close()


def test_a_function_for_tokens_may_fail(answers: Answers, tmp_path: Path) -> None:
    """
    What it raised is said, and what it returned, if that is no token, is not.
    """

    def fails() -> str:
        raise OSError("the safe is closed")

    answers.to_come = [(200, {"version": "3.0"})]
    with pytest.raises(AirflowUnreachableError, match="the safe is closed"):
        Airflow(answers.url, tmp_path, token=fails).open()
    nonsense: list[Any] = ["two words", "", "ключ", None]
    for said in nonsense:
        with pytest.raises(AirflowRefusedError, match="The token for Airflow") as refused:
            Airflow(answers.url, tmp_path, token=partial(returned, said)).open()
        assert not said or said not in str(refused.value)


def returned(value: Any) -> Any:
    return value


def test_a_login_that_answers_nonsense(answers: Answers) -> None:
    """
    Is no token.
    """
    api = AirflowApi(answers.url, "amltk", logging_in("me", "secret"))
    answers.to_come = [(201, {"access_token": 5})]
    with pytest.raises(AirflowRefusedError, match="token"):
        api.dag()
    api.close()


def test_a_run_that_was_started_already(api: AirflowApi, answers: Answers) -> None:
    """
    Its start was answered, and the answer was lost: it is there, and that is all that is wanted.
    """
    answers.to_come = [(409, {"detail": "exists"})]
    api.trigger("run", {}, "f")


def test_a_dag_that_was_removed(api: AirflowApi, answers: Answers) -> None:
    """
    While calls are in flight.
    """
    answers.to_come = [(404, {"detail": "no such DAG"})]
    with pytest.raises(AirflowRefusedError, match="lost its DAG"):
        api.trigger("run", {}, "f")
    with pytest.raises(AirflowRefusedError, match="lost its DAG"):
        api.look("run", None)


def page(first: int, last: int, total: int) -> tuple[int, object]:
    tasks = [{"dag_run_id": f"run-{n}", "state": None} for n in range(first, last)]
    return 200, {"task_instances": tasks, "total_entries": total}


def test_all_pages_are_read(api: AirflowApi, answers: Answers) -> None:
    """
    However long Airflow makes them; and one that is empty is the last one.
    """
    answers.to_come = [page(0, 100, 250), page(100, 150, 250), page(150, 250, 250)]
    assert len(api.look("run", None).states) == 250
    assert [path.rpartition("=")[2] for path in answers.asked] == ["0", "100", "150"]
    answers.to_come = [page(0, 100, 250), page(0, 0, 250)]
    assert len(api.look("run", None).states) == 100


def test_only_what_is_new_is_asked_for(api: AirflowApi, answers: Answers) -> None:
    """
    New by the clock of who answers, and with some leeway.
    """
    answers.to_come = [page(0, 1, 1)]
    first = api.look("run", None)
    assert first.at is not None
    assert "updated_at_gte" not in answers.asked[0]
    api.look("run", first.at)
    assert "updated_at_gte=20" in answers.asked[1]


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_run_that_goes_on_is_deleted_later(api: AirflowApi, answers: Answers) -> None:
    """
    Airflow deletes what is over; a run is over a moment after its task.
    """
    clock = Clock()
    leftovers = Leftovers(api, keep=False, clock=clock)
    leftovers.delete("run")
    leftovers.tidy()
    assert answers.asked == []
    for status, left in ((409, 1), (204, 0)):
        clock.now = leftovers.due or 0.0
        answers.to_come = [(status, {})]
        leftovers.tidy()
        assert len(leftovers) == left
    assert leftovers.due is None


def test_a_run_that_was_ended_is_deleted_later(api: AirflowApi, answers: Answers) -> None:
    """
    Airflow's scheduler may have it in hand at that moment.
    """
    clock = Clock()
    leftovers = Leftovers(api, keep=False, clock=clock)
    leftovers.end("run", has_begun=True)
    answers.to_come = [(200, {})]
    leftovers.tidy()
    leftovers.tidy()
    assert answers.asked == ["PATCH /api/v2/dags/amltk/dagRuns/run"]
    assert leftovers.due == ENDING
    clock.now = ENDING
    leftovers.tidy()
    assert answers.asked[1:] == ["DELETE /api/v2/dags/amltk/dagRuns/run"]
    assert not leftovers


def test_what_goes_on_is_ended_first(api: AirflowApi, answers: Answers) -> None:
    """
    Even if runs are to stay in Airflow; whether it was there at all does not matter.
    """
    clock = Clock()
    leftovers = Leftovers(api, keep=True, clock=clock)
    leftovers.delete("over")
    leftovers.end("waiting", has_begun=False)
    leftovers.end("running", has_begun=True)
    answers.to_come = [(404, {})]
    leftovers.tidy()
    ended = [f"PATCH /api/v2/dags/amltk/dagRuns/{run}" for run in ("running", "waiting")]
    assert answers.asked == ended
    assert not leftovers


def test_who_may_not_delete_leaves_it_at_that(
    api: AirflowApi, answers: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    """
    It is logged once, and calls go on.
    """
    leftovers = Leftovers(api, keep=False, clock=Clock())
    leftovers.end("one", has_begun=True)
    leftovers.end("two", has_begun=True)
    answers.to_come = [(403, {"detail": "Forbidden"})]
    leftovers.tidy()
    leftovers.end("three", has_begun=True)
    leftovers.tidy()
    assert len(answers.asked) == 1
    assert len(caplog.records) == 1
    assert "role" in caplog.text
    assert not leftovers


def test_it_is_tidied_up_a_little_at_a_time(api: AirflowApi, answers: Answers) -> None:
    """
    So that a thousand runs do not keep anybody from hearing of results.
    """
    leftovers = Leftovers(api, keep=True, clock=Clock())
    for n in range(25):
        leftovers.end(str(n), has_begun=False)
    answers.to_come = [(200, {})]
    left: list[int] = []
    while leftovers:
        leftovers.tidy()
        left.append(len(leftovers))
    assert left == [15, 5, 0]
