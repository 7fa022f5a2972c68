"""Two ways to do the same, measured in turn.

A machine is never equally fast for long. So no figure stands alone here: whatever is measured is
measured together with what it is compared to, one right after the other, several times, and what
counts is the median of how the two compare.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

__all__ = ["Pair", "in_turn", "median_difference", "median_ratio", "seconds"]


@dataclass(frozen=True)
class Pair:
    """One measurement of each, in the same unit."""

    ours: float
    theirs: float


def in_turn(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> list[Pair]:
    """Measure both so many times, after one round that does not count.

    Every other round begins with theirs, so that neither always comes first.
    """
    pairs = [one_round(ours, theirs, ours_first=bool(n % 2)) for n in range(rounds + 1)]
    return pairs[1:]


def one_round(ours: Callable[[], float], theirs: Callable[[], float], *, ours_first: bool) -> Pair:
    if ours_first:
        first = tidily(ours)
        return Pair(ours=first, theirs=tidily(theirs))
    first = tidily(theirs)
    return Pair(ours=tidily(ours), theirs=first)


def tidily(measure: Callable[[], float]) -> float:
    """Measure without the garbage of what was measured before."""
    gc.collect()
    return measure()


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    begin = perf_counter()
    work()
    return perf_counter() - begin


def median_ratio(pairs: list[Pair]) -> float:
    """How many times theirs ours is."""
    return median(pair.ours / pair.theirs for pair in pairs)


def median_difference(pairs: list[Pair]) -> float:
    """How much more than theirs ours is."""
    return median(pair.ours - pair.theirs for pair in pairs)
