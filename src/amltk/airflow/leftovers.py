"""Runs that nobody needs any more: they are ended if they go on, and deleted."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from amltk.airflow.answers import AirflowRefusedError
from amltk.airflow.api import AirflowApi

__all__ = ["Leftovers"]

logger: logging.Logger = logging.getLogger("amltk")

AT_A_TIME = 10
"""Runs that are seen to before somebody else gets a turn."""

FINISHING = 1.0
"""Seconds that Airflow takes to notice that a run is over when its task is."""

ENDING = 2.0
"""Seconds in which Airflow's scheduler may still have a run in hand that was ended. It dies if the
run is deleted then, where its database cannot lock a row, as SQLite."""


@dataclass(slots=True, eq=False)
class Leftover:
    """A run."""

    run_id: str
    to_end: bool
    due: float


class Leftovers:
    """The runs to be tidied up.

    Args:
        api: Where they are.
        keep: Whether to leave in Airflow what is over, for somebody to look at.
        clock: What time it is, in seconds.
    """

    def __init__(self, api: AirflowApi, *, keep: bool, clock: Callable[[], float]) -> None:
        self._api = api
        self._keep = keep
        self._clock = clock
        self._runs: deque[Leftover] = deque()
        self._allowed = True

    def __len__(self) -> int:
        return len(self._runs)

    @property
    def due(self) -> float | None:
        """When there is something to do, or `None`."""
        return min((run.due for run in self._runs), default=None)

    def end(self, run_id: str, *, has_begun: bool) -> None:
        """Have a run ended that goes on; one that has begun before anything else is done."""
        if self._allowed:
            add = self._runs.appendleft if has_begun else self._runs.append
            add(Leftover(run_id, to_end=True, due=0.0))

    def delete(self, run_id: str) -> None:
        """Have a run deleted that is over, or will be in a moment."""
        if self._allowed and not self._keep:
            due = self._clock() + FINISHING
            self._runs.append(Leftover(run_id, to_end=False, due=due))

    def tidy(self) -> None:
        """Do some of what is due.

        Raises:
            AirflowUnreachableError: If Airflow does not answer; it can be tried again.
        """
        now = self._clock()
        for run in [run for run in self._runs if run.due <= now][:AT_A_TIME]:
            try:
                is_done = self._see_to(run)
            except AirflowRefusedError as error:
                self._give_up(error)
                break
            if is_done:
                self._runs.remove(run)

    def _see_to(self, run: Leftover) -> bool:
        if not run.to_end:
            run.due = self._clock() + FINISHING
            return self._api.delete(run.run_id)
        self._api.fail(run.run_id)
        run.to_end = False
        run.due = self._clock() + ENDING
        return self._keep

    def _give_up(self, error: AirflowRefusedError) -> None:
        logger.warning("%d runs are left in Airflow as they are: %s", len(self._runs), error)
        self._runs.clear()
        self._allowed = False
