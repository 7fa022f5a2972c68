"""Airflow's REST API, version 2: as much of it as it takes to have calls computed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import quote

import httpx

from amltk.airflow.answers import (
    AirflowRefusedError,
    AirflowUnreachableError,
    content,
    detail,
    is_table,
    is_unauthorized,
    judged,
    rows,
    sending,
)
from amltk.airflow.tokens import NewToken

__all__ = ["AirflowApi", "Look"]

TIMEOUT = httpx.Timeout(20.0, connect=5.0)
"""Seconds to wait for an answer, and for a connection."""

PAGE = 100
"""Tasks in one answer: Airflow by default gives no more of them."""

OVERLAP = timedelta(seconds=30)
"""By how much the clocks of Airflow's machines may differ."""

NOT_FOUND, CONFLICT = 404, 409


class Look(NamedTuple):
    """What Airflow says about the tasks of runs."""

    states: dict[str, str | None]
    """The state of the task of each run, by the id of the run."""
    at: datetime | None
    """When it said so, by its own clock."""


class Page(NamedTuple):
    """A part of that."""

    states: dict[str, str | None]
    length: int
    total: int
    at: datetime | None


class AirflowApi:
    """A connection to one DAG of an Airflow.

    All that asks it something raises an `AirflowUnreachableError` or an `AirflowRefusedError` if it
    gets no answer.

    Args:
        url: Where Airflow's API server is.
        dag_id: The DAG.
        new_token: Gets a token: a first one, and another one when that has expired.
    """

    def __init__(self, url: str, dag_id: str, new_token: NewToken) -> None:
        self.url: str = url.rstrip("/")
        """Where it is."""
        self.dag_id: str = dag_id
        """The DAG."""
        self._new_token = new_token
        self._dag = f"/api/v2/dags/{quote(dag_id, safe='')}"
        limits = httpx.Limits(max_connections=1)
        self._client = httpx.Client(base_url=self.url, timeout=TIMEOUT, limits=limits)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def version(self) -> str:
        """The version of Airflow, which it tells everybody."""
        with sending(self.url):
            response = self._client.get("/api/v2/version")
        return str(content(judged(response)).get("version"))

    def scheduler_is_well(self) -> bool:
        """Whether Airflow's scheduler is running, without which nothing is computed."""
        with sending(self.url):
            response = self._client.get("/api/v2/monitor/health")
        scheduler = content(judged(response)).get("scheduler")
        return not (is_table(scheduler) and scheduler.get("status") == "unhealthy")

    def dag(self) -> Mapping[str, object] | None:
        """What Airflow says about the DAG; nothing if it has none of this name."""
        response = self._ask("GET", self._dag)
        return None if response.status_code == NOT_FOUND else content(response)

    def trigger(self, run_id: str, conf: Mapping[str, str], note: str) -> None:
        """Start a run, unless it was started already."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf, "note": note}
        self._there(self._ask("POST", f"{self._dag}/dagRuns", body=body))

    def look(self, prefix: str, since: datetime | None) -> Look:
        """See how the tasks of runs are.

        Args:
            prefix: How the ids of the runs begin.
            since: Only tasks with which something has happened since then; all if `None`.
        """
        query = {"run_id_prefix_pattern": prefix}
        if since is not None:
            query |= {"updated_at_gte": (since - OVERLAP).isoformat()}
        first = page = self._page(query, 0)
        states, read = dict(page.states), page.length
        while page.length and read < page.total:
            page = self._page(query, read)
            states |= page.states
            read += page.length
        return Look(states, first.at)

    def fail(self, run_id: str) -> None:
        """End a run, together with what it is computing."""
        self._ask("PATCH", f"{self._dag}/dagRuns/{run_id}", body={"state": "failed"})

    def delete(self, run_id: str) -> bool:
        """Delete a run, unless it goes on, and say whether it is gone."""
        response = self._ask("DELETE", f"{self._dag}/dagRuns/{run_id}")
        return response.status_code != CONFLICT

    def _page(self, query: Mapping[str, str], offset: int) -> Page:
        params: dict[str, str | int] = {**query, "order_by": "id", "limit": PAGE, "offset": offset}
        response = self._ask("GET", f"{self._dag}/dagRuns/~/taskInstances", params=params)
        answer = content(self._there(response))
        tasks = rows(answer.get("task_instances"))
        total = answer.get("total_entries")
        return Page(
            {str(task.get("dag_run_id")): text(task.get("state")) for task in tasks},
            length=len(tasks),
            total=total if isinstance(total, int) else 0,
            at=date_of(response),
        )

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        params: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        with sending(self.url):
            if "authorization" not in self._client.headers:
                self._log_in()
            response = self._client.request(method, path, json=body, params=params)
            if is_unauthorized(response):  # most likely the token has expired
                self._log_in()
                response = self._client.request(method, path, json=body, params=params)
            if is_unauthorized(response):
                raise AirflowUnreachableError(
                    f"Airflow does not accept the token that was got for it: {detail(response)}"
                )
        return judged(response)

    def _log_in(self) -> None:
        self._client.headers.pop("authorization", None)
        self._client.headers["authorization"] = f"Bearer {self._new_token(self._client)}"

    def _there(self, response: httpx.Response) -> httpx.Response:
        if response.status_code == NOT_FOUND:
            raise AirflowRefusedError(
                f"The Airflow at {self.url} has lost its DAG {self.dag_id!r}: was its file removed?"
            )
        return response


def date_of(response: httpx.Response) -> datetime | None:
    """When an answer was given, by the clock of who gave it."""
    try:
        return parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return None


def text(value: object) -> str | None:
    return value if isinstance(value, str) else None
