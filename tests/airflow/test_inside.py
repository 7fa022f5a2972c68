"""A scheduler within a task of a real Airflow."""

from __future__ import annotations

import pytest

from tests.airflow.server import AirflowServer, until

pytestmark = pytest.mark.timeout(900)


def test_a_search_runs_in_a_task(airflow: AirflowServer) -> None:
    """
    The example, as it is copied: it searches for as long as it is told to, and finds something.
    """
    airflow.ask("PATCH", "/dags/search", is_paused=False).raise_for_status()
    run = airflow.ask(
        "POST", "/dags/search/dagRuns", logical_date=None, conf={"seconds": 5}
    ).raise_for_status()
    path = f"/dags/search/dagRuns/{run.json()['dag_run_id']}"
    until(lambda: airflow.ask("GET", path).json()["state"] in {"success", "failed"})
    result = airflow.ask("GET", f"{path}/taskInstances/search/xcomEntries/return_value").json()
    assert float(result["value"]) == pytest.approx(1, abs=0.5)
