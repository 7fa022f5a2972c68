"""When to look the next time, and for how long to put up with no answer. There is no clock here."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FIRST_RETRY", "Trouble", "until_next_look"]

LONGEST = 30.0
"""Seconds between two looks, at most."""

FIRST_RETRY, LAST_RETRY = 0.25, 10.0
"""Seconds until something is tried again: the first time, and at most."""


def until_next_look(quiet: float, took: float, shortest: float) -> float:
    """Seconds until the next look at Airflow.

    Looking often is for calls that end soon. When nothing has happened for a while, nothing is likely
    to happen in the next moment, and to hear of it late by a twentieth of that while does no harm.

    Args:
        quiet: Seconds in which nothing has happened.
        took: Seconds that the last look took: a server that is slow is not asked all the time.
        shortest: Seconds between two looks, at least.
    """
    return max(shortest, min(quiet / 20, LONGEST), 4 * took)


@dataclass(slots=True)
class Trouble:
    """A time in which Airflow does not answer."""

    patience: float
    """Seconds after which it is given up."""
    since: float | None = None
    """When it began; `None` if there is none."""
    tries: int = 0
    """What was tried since then."""

    def until_next_try(self, now: float) -> float | None:
        """Take note that there was no answer.

        Returns:
            Seconds until the next try, or `None` if there is to be none.
        """
        if self.since is None:
            self.since = now
        left = self.since + self.patience - now
        if left <= 0:
            return None
        wait = FIRST_RETRY * 2.0 ** min(self.tries, 10)
        self.tries += 1
        return min(wait, LAST_RETRY, left)

    def is_over(self) -> None:
        """Take note that there was an answer."""
        self.since = None
        self.tries = 0
