"""Asynchronous successive halving: who has earned an evaluation with more data.

Every trial begins on the lowest rung of a ladder, where an evaluation is cheap. Of those that
were evaluated on a rung the best `1/eta` go on to the next, where it costs `eta` times as much.
Nobody waits for a rung to be full: as soon as one more trial belongs to the best, it may go on.

There is no scheduler here and no clock: scores come in, decisions come out.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["SuccessiveHalving"]

T = TypeVar("T", bound=Hashable)


class Rung(Generic[T]):
    """The trials that were evaluated with the same amount of data."""

    def __init__(self) -> None:
        self.scores: dict[T, float] = {}
        self.promoted: set[T] = set()

    def best(self, eta: int) -> list[T]:
        """The best `1/eta` of the trials, rounded down; of equal ones those that came first."""
        ranked = sorted(self.scores, key=self.scores.__getitem__, reverse=True)
        return ranked[: len(ranked) // eta]


class SuccessiveHalving(Generic[T]):
    """Keeps the scores of all rungs, and says which trial goes on to which.

    Args:
        n_rungs: How many rungs there are; nobody goes on from the last one.
        eta: One trial in so many goes on.

    Raises:
        ValueError: If there is no rung, or if `eta` would let everybody go on.
    """

    def __init__(self, n_rungs: int, eta: int = 3) -> None:
        if n_rungs < 1:
            raise ValueError(f"`n_rungs={n_rungs}` is no ladder: it has to be at least 1.")
        if eta <= 1:
            raise ValueError(f"`eta={eta}` lets every trial go on: it has to be at least 2.")
        self.eta = eta
        self.rungs: tuple[Rung[T], ...] = tuple(Rung() for _ in range(n_rungs))
        """From the cheapest to the one with all the data."""

    def record(self, trial: T, rung: int, score: float) -> None:
        """A trial was evaluated on a rung; a higher score is better."""
        self.rungs[rung].scores[trial] = score

    def promote(self) -> tuple[T, int] | None:
        """The next trial to go on and the rung it goes to, or `None` if nobody has earned it.

        Higher rungs come first. Whom this returns counts as promoted and is not returned again
        for this rung.
        """
        for number in reversed(range(len(self.rungs) - 1)):
            rung = self.rungs[number]
            for trial in rung.best(self.eta):
                if trial not in rung.promoted:
                    rung.promoted.add(trial)
                    return trial, number + 1
        return None
