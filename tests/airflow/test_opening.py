"""What is wrong is said when a recipe is opened, by a real Airflow, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from amltk import Scheduler
from amltk.backends import Airflow
from amltk.exceptions import BackendUnavailableError, ExecutorBrokenError, WorkerLostError
from tests.airflow.server import AirflowServer
from tests.helpers import echo, free_ports

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "wrong"}, "does not accept the token, or the username and password"),
        ({"token": "wrong"}, "does not accept the token"),
        ({"dag_id": "nosuch"}, r"'nosuch' .* is not there\. .*install-dag"),
        ({"dag_id": "search"}, r"not the one that goes with this version .*--force"),
        ({"storage": "/dev/null/calls"}, "Cannot write to the storage '/dev/null/calls'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_is_said(
    recipe: Callable[..., Airflow], wrong: dict[str, Any], said: str
) -> None:
    """
    With what to do about it; the run of a scheduler raises it.
    """
    for open_it in (recipe(**wrong).open, Scheduler(recipe(**wrong)).run):
        with pytest.raises(BackendUnavailableError, match=said):
            open_it()


def test_where_nobody_listens(tmp_path: Path) -> None:
    """
    There is no Airflow.
    """
    recipe = Airflow(f"http://127.0.0.1:{free_ports(1)[0]}", tmp_path, token="abc")
    with pytest.raises(BackendUnavailableError, match="does not answer at"):
        recipe.open()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def paused(airflow: AirflowServer) -> Generator[None]:
    """Airflow's operators have paused the DAG."""
    airflow.ask("PATCH", "/dags/amltk", is_paused=True).raise_for_status()
    yield
    airflow.ask("PATCH", "/dags/amltk", is_paused=False).raise_for_status()


def test_a_dag_that_is_paused(recipe: Callable[..., Airflow], paused: None) -> None:
    """
    Would compute nothing.
    """
    with pytest.raises(BackendUnavailableError, match=r"is paused.*airflow dags unpause amltk"):
        recipe().open()


def test_a_user_who_may_only_look(recipe: Callable[..., Airflow], airflow: AirflowServer) -> None:
    """
    This comes out with the first call.
    """
    with recipe(token=airflow.token("viewer")).open() as executor:
        error = executor.submit(echo, 1).exception()
        assert isinstance(error, ExecutorBrokenError)
        assert not isinstance(error, WorkerLostError)
        assert "role" in str(error)
        with pytest.raises(ExecutorBrokenError, match="role"):
            executor.submit(echo, 2)
