"""Schedulers that have a real Airflow compute."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amltk import Scheduler
from amltk.backends import Airflow, load
from amltk.exceptions import BackendUnavailableError, WorkerLostError
from amltk.scheduling import ExitCode, Retry
from tests.airflow.server import USERS, AirflowServer
from tests.helpers import all_accounted_for, die, echo

pytestmark = pytest.mark.timeout(900)


def test_a_scheduler_computes_in_airflow(airflow: AirflowServer) -> None:
    """
    As on every other backend, as often as one likes.
    """
    scheduler = Scheduler.with_airflow(
        airflow.url, airflow.storage, username="op", password=USERS["op"], poll_interval=0.2
    )
    echoing = scheduler.task(echo)
    results: list[int] = []
    scheduler.on_start(lambda: echoing(1))
    echoing.on_result(lambda _, n: results.append(n))
    echoing.on_result(lambda _, n: n < 3 and echoing(n + 1))
    for _ in range(2):
        assert scheduler.run().code is ExitCode.EXHAUSTED
    assert results == [1, 2, 3, 1, 2, 3]
    assert all_accounted_for(scheduler)


def test_two_schedulers_can_share_an_airflow(recipe: Callable[..., Airflow]) -> None:
    """
    In one event loop, at the same time.
    """
    schedulers = [Scheduler(recipe()) for _ in range(2)]
    results: dict[int, list[Any]] = {0: [], 1: []}

    def prepare(i: int, scheduler: Scheduler) -> None:
        scheduler.on_start(lambda: scheduler.submit(echo, i), repeat=3)
        scheduler.on_future_result(lambda _, result: results[i].append(result))

    for i, scheduler in enumerate(schedulers):
        prepare(i, scheduler)

    async def run_both() -> None:
        await asyncio.gather(*(scheduler.async_run() for scheduler in schedulers))

    asyncio.run(run_both())
    assert results == {0: [0] * 3, 1: [1] * 3}


def test_a_lost_call_can_be_retried(recipe: Callable[..., Airflow], tmp_path: Path) -> None:
    """
    Its worker dies the first time; a call that is lost with every worker ends as that.
    """
    flag = str(tmp_path / "flag")

    def die_once() -> str:
        if os.path.exists(flag):  # noqa: PTH110
            return "alive"
        open(flag, "w").close()  # noqa: PTH123
        os._exit(3)

    scheduler = Scheduler(recipe())
    trying = scheduler.task(die_once, plugins=Retry(attempts=1, max_lost=1))
    failing = scheduler.task(die, plugins=Retry(attempts=1, max_lost=1))
    results: list[str] = []
    errors: list[BaseException] = []
    trying.on_result(lambda _, result: results.append(result))
    failing.on_exception(lambda _, error: errors.append(error))
    scheduler.on_start(trying)
    scheduler.on_start(failing)
    scheduler.run(on_exception="ignore")
    assert results == ["alive"]
    assert [type(error) for error in errors] == [WorkerLostError]
    assert failing.event_counts["retry"] == 1


def test_an_executor_that_broke_is_opened_afresh(
    recipe: Callable[..., Airflow], airflow: AirflowServer
) -> None:
    """
    With a token that has been replaced meanwhile, the run goes on.
    """
    tokens = iter(["wrong", "worse"])
    scheduler = Scheduler(recipe(token=lambda: next(tokens, None) or airflow.token()))
    with pytest.raises(BackendUnavailableError, match="does not accept the token"):
        scheduler.run()
    scheduler.on_start(lambda: scheduler.submit(echo, 1))
    results: list[Any] = []
    scheduler.on_future_result(lambda _, result: results.append(result))
    scheduler.run()
    assert results == [1]


def test_an_airflow_can_be_named_in_a_file(airflow: AirflowServer, tmp_path: Path) -> None:
    """
    The program need not know of it.
    """
    file = tmp_path / "airflow.toml"
    file.write_text(
        f'backend = "airflow"\nurl = "{airflow.url}"\nstorage = "{airflow.storage}"\n'
        f'username = "op"\npassword = "{USERS["op"]}"\n'
    )
    with load(file).open() as executor:
        assert executor.submit(echo, 1).result() == 1
