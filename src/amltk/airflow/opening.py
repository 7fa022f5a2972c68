"""From a recipe to an executor that works, as far as that can be known before the first call."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from secrets import token_hex

from amltk.airflow import PROTOCOL
from amltk.airflow.answers import AirflowRefusedError, rows
from amltk.airflow.api import AirflowApi
from amltk.airflow.executor import AirflowExecutor
from amltk.airflow.manager import Manager
from amltk.airflow.runs import Session
from amltk.airflow.storage import Storage
from amltk.airflow.tokens import NewToken, from_user, logging_in
from amltk.backends.airflow import Airflow

__all__ = ["open_executor"]

INSTALL = "`python -m amltk.airflow install-dag DIRECTORY`"


def open_executor(recipe: Airflow) -> AirflowExecutor:
    """Look whether Airflow and the storage are ready, and open an executor if they are.

    Raises:
        BackendUnavailableError: If they are not.
        BackendNotInstalledError: If a package is missing for this kind of storage.
    """
    name = f"amltk-{datetime.now(UTC):%Y%m%d-%H%M%S}-{token_hex(4)}"
    api = AirflowApi(recipe.url, recipe.dag_id, new_token_for(recipe))
    try:
        check(api)
        storage = Storage(
            os.fspath(recipe.storage),
            name,
            seen_as=recipe.worker_storage,
            options=recipe.storage_options,
        )
    except BaseException:
        api.close()
        raise
    session = Session(f"{name}-", recipe.poll_interval, recipe.patience, recipe.keep_runs)
    return AirflowExecutor(Manager(api, storage, session))


def new_token_for(recipe: Airflow) -> NewToken:
    if recipe.token is not None:
        return from_user(recipe.token)
    return logging_in(recipe.username or "", recipe.password or "")


def check(api: AirflowApi) -> None:
    """Look whether Airflow would compute calls.

    Raises:
        AirflowUnreachableError: If it does not answer.
        AirflowRefusedError: If it would not.
    """
    api.version()  # before anybody is told a password
    dag = api.dag()
    this = f"The DAG {api.dag_id!r} of the Airflow at {api.url}"
    if dag is None or dag.get("is_stale"):
        raise AirflowRefusedError(
            f"{this} is not there. Put its file where Airflow looks for DAGs, with {INSTALL}. "
            "Airflow may take some minutes to find it; if it does not, "
            "`airflow dags list-import-errors` says why."
        )
    if PROTOCOL not in {tag.get("name") for tag in rows(dag.get("tags"))}:
        raise AirflowRefusedError(
            f"{this} is not the one that goes with this version of amltk. Install it again with "
            f"{INSTALL[:-1]} --force`; or is it called something else (`dag_id`)?"
        )
    if dag.get("has_import_errors"):
        raise AirflowRefusedError(
            f"{this} cannot be loaded any more: `airflow dags list-import-errors` says why."
        )
    if dag.get("is_paused"):
        raise AirflowRefusedError(
            f"{this} is paused, so it would compute nothing. Unpause it on its page in Airflow, or "
            f"with `airflow dags unpause {api.dag_id}`."
        )
