"""Calls of functions as runs of a DAG in Airflow.

    scheduler ── submit ──▶ AirflowExecutor ── box in the storage, run of the DAG ──▶ Airflow
              ◀── future ── its thread      ◀── state of the task, outcome in the box ── worker

`dag.py` is what Airflow runs, and is put there with `python -m amltk.airflow install-dag`. All the
rest is for this side, which needs no Airflow.
"""

from __future__ import annotations

__all__ = ["DAG_ID", "PROTOCOL"]

DAG_ID = "amltk"
"""The name of the DAG, unless somebody has changed it in their copy of the file."""

PROTOCOL = "amltk-protocol-1"
"""What this side and the DAG agree on: a tag of the DAG."""
