"""What is said between a run and the plugins of a task when an attempt at a call has failed."""

from __future__ import annotations

import sys
from concurrent.futures import BrokenExecutor
from typing import Generic, NamedTuple

from typing_extensions import TypeVar

from amltk.scheduling.call import Call

__all__ = ["Again", "Failure", "is_loss", "require_seconds"]

R = TypeVar("R")

LONGEST_WAIT = sys.float_info.max
"""In seconds; what is longer cannot be added to a time."""


class Failure(NamedTuple, Generic[R]):
    """An attempt at a call that did not return."""

    call: Call[R]
    """The call, as the plugin that is asked about it let it through."""
    error: BaseException
    """What it raised, or what became of its worker."""
    attempt: int
    """Which attempt it was, from 1; attempts that were lost are not counted."""
    n_lost: int
    """How many attempts were lost with their workers, this one included."""

    @property
    def lost(self) -> bool:
        """Whether the worker is to blame, and not the call."""
        return is_loss(self.error)


class Again(NamedTuple, Generic[R]):
    """That a call is to be attempted again."""

    call: Call[R]
    """What to compute this time."""
    wait: float
    """Seconds until then."""


def is_loss(error: BaseException) -> bool:
    """Whether this says that work was lost with its worker, and not that it failed."""
    return isinstance(error, BrokenExecutor)


def require_seconds(name: str, seconds: object) -> None:
    """Refuse what is no time to wait.

    Args:
        name: What it is called in the error.
        seconds: The number.
    """
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise TypeError(f"`{name}` is {seconds!r}, and has to be a number.")
    if not 0 <= seconds <= LONGEST_WAIT:
        raise ValueError(f"`{name}` is {seconds}, and cannot be negative or endless.")
