"""What a scheduler is doing at one moment, read from any thread while it goes on.

Nothing here takes a lock, and nothing is built in full: of two hundred thousand pending calls it
looks at as many as will be shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from amltk.scheduling.call import Call
    from amltk.scheduling.lifecycle import ExitState
    from amltk.scheduling.scheduler import Scheduler

__all__ = ["Moment", "State", "moment_of"]

State: TypeAlias = Literal["not run yet", "running", "closing", "ended"]

V = TypeVar("V")

TRIES = 20
"""How often to look again at something that changed while it was looked at."""


@dataclass(frozen=True)
class Moment:
    """A scheduler at one moment."""

    state: State
    """Where in its life it is."""
    exit: ExitState | None
    """How its last run ended."""
    n_pending: int
    """The calls that have no outcome yet."""
    oldest: list[Call[Any]]
    """The first few of them."""


def moment_of(scheduler: Scheduler, n_calls: int) -> Moment:
    """Look at a scheduler, and at so many of its pending calls."""
    run = scheduler._run  # noqa: SLF001 - `scheduler.queue` has all calls, and would build them
    if run is None:
        state: State = "not run yet" if scheduler.exit_state is None else "ended"
        return Moment(state, scheduler.exit_state, 0, [])
    oldest = [future.call for future in first(run.pending, n_calls)]
    state = "running" if run.life.takes_work else "closing"
    return Moment(state, scheduler.exit_state, len(run.pending), oldest)


def first(items: Mapping[Any, V], n: int) -> list[V]:
    """The first `n` values of a mapping that another thread may be changing."""
    for _ in range(TRIES):
        try:
            return list(islice(items.values(), n))
        except RuntimeError:  # it changed in size between two of them
            continue
    return []
