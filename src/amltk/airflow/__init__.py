"""Calls of functions as runs of a DAG in Airflow.

    scheduler ── submit ──▶ AirflowExecutor ── box in the storage, run of the DAG ──▶ Airflow
              ◀── future ── its thread      ◀── state of the task, outcome in the box ── worker

`dag.py` is what Airflow runs, and is put there with `python -m amltk.airflow install-dag`. All the
rest is for this side, which needs no Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amltk.airflow.executor import AirflowExecutor

__all__ = ["DAG_ID", "PROTOCOL", "AirflowExecutor"]

DAG_ID = "amltk"
"""The name of the DAG, unless somebody has changed it in their copy of the file."""

PROTOCOL = "amltk-protocol-1"
"""What this side and the DAG agree on: a tag of the DAG."""

if not TYPE_CHECKING:  # for whom each other name would be one that is there

    def __getattr__(name):  # noqa: ANN001, ANN202
        """Import the executor when somebody asks for it: to install the DAG takes no HTTP client."""
        if name != "AirflowExecutor":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from amltk.airflow.executor import AirflowExecutor  # noqa: PLC0415

        return AirflowExecutor
