"""A real Airflow for the tests of this directory that ask for one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

import tests.helpers
from amltk.airflow.__main__ import install
from amltk.airflow.executor import AirflowExecutor
from amltk.backends import Airflow
from tests.airflow.answering import Answers, answering
from tests.airflow.server import ROOT, USERS, AirflowServer, until
from tests.helpers import free_ports

ENVIRONMENT = Path(os.environ.get("AMLTK_TEST_AIRFLOW", ROOT / ".venv-airflow"))
"""Where Airflow is installed for the tests."""


@pytest.fixture(scope="session")
def airflow_environment() -> Path:
    """An environment with Airflow, of the same Python as this one: functions travel as code."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "bin" / "airflow").exists():
        pytest.skip(f"there is no Airflow in {ENVIRONMENT}: `make airflow` installs one")
    code = "import sys; print(*sys.version_info[:2])"
    version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    if version.stdout.split() != [str(part) for part in sys.version_info[:2]]:
        pytest.skip(f"{ENVIRONMENT} has another version of Python: {version.stdout.strip()}")
    return ENVIRONMENT


@pytest.fixture(scope="session")
def airflow(
    airflow_environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[AirflowServer]:
    """An Airflow with amltk's DAG, for all tests together; some stop it and start it again."""
    server = AirflowServer(airflow_environment, tmp_path_factory.mktemp("airflow"), free_ports(3))
    install(server.dags, force=False)
    shutil.copy(ROOT / "examples" / "search_in_airflow.py", server.dags)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def recipe(airflow: AirflowServer) -> Callable[..., Airflow]:
    """Makes recipes for that Airflow; with what is passed to it, instead or as well."""

    def make(**said: Any) -> Airflow:
        who: dict[str, Any] = {} if "token" in said else {"username": "op", "password": USERS["op"]}
        default: dict[str, Any] = {
            "url": airflow.url,
            "storage": airflow.storage,
            "poll_interval": 0.2,
        }
        return Airflow(**{**default, **who, **said})

    return make


@pytest.fixture
def executor(recipe: Callable[..., Airflow]) -> Generator[AirflowExecutor]:
    """An executor in that Airflow, which does not wait until it could delete its runs."""
    with recipe(keep_runs=True).open() as executor:
        yield executor


@pytest.fixture
def answers() -> Generator[Answers]:
    """A server that is no Airflow, and says what it is told to say."""
    with answering() as said:
        yield said


@pytest.fixture(autouse=True)
def workers_have_only_what_they_are_sent() -> Generator[None]:
    """The functions that tests share travel as code, since Airflow's workers cannot import them."""
    cloudpickle.register_pickle_by_value(tests.helpers)
    yield
    cloudpickle.unregister_pickle_by_value(tests.helpers)


@pytest.fixture(autouse=True)
def airflow_is_left_as_it_was(request: pytest.FixtureRequest) -> Generator[None]:
    """Fail a test that leaves something in the storage, or runs that go on in Airflow."""
    yield
    if "airflow" in request.fixturenames:
        server: AirflowServer = request.getfixturevalue("airflow")
        until(lambda: not list(server.storage.iterdir()))
        until(lambda: not {"queued", "running"} & set(server.runs().values()))
