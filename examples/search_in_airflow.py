"""The other way round: a whole search within one task of an Airflow.

Copy this file to where Airflow looks for DAGs. Its workers need amltk, and nothing else: to Airflow
this is a task like any other, which starts processes and ends when they are done. So it is for
searches that fit on one worker; trials that are to run on many are what `Scheduler.with_airflow` is
for.
"""

from __future__ import annotations

import random
from asyncio import Future

from airflow.sdk import dag, get_current_context, task

from amltk import Scheduler


def evaluate(x: float) -> tuple[float, float]:
    """Stands for what is expensive."""
    return x, (x - 1) ** 2


@task(task_id="search", retries=0)
def search() -> float:
    """Search for a number of seconds; what is returned, the next task of a DAG can go on with."""
    # Forked workers have the functions of this file, which they could not import by its name.
    scheduler = Scheduler.with_processes(2, mp_context="fork")
    evaluating = scheduler.task(evaluate)
    trials: list[tuple[float, float]] = []

    @scheduler.on_start(repeat=2)
    @evaluating.on_result
    def try_another(*_: object) -> None:
        evaluating(random.uniform(-4, 4))

    @evaluating.on_result
    def keep(_: Future[tuple[float, float]], trial: tuple[float, float]) -> None:
        trials.append(trial)

    ended = scheduler.run(timeout=get_current_context()["params"]["seconds"])
    print(f"{len(trials)} trials; {ended.code.name}")  # in the log of the task
    return min(trials, key=lambda trial: trial[1])[0]


@dag("search", schedule=None, params={"seconds": 60}, tags=["amltk"])
def searching() -> None:
    """One search."""
    search()


searching()
