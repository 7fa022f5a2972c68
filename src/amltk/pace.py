"""How often a callback is due.

Each emission asks one question, *how many calls now?*, and two counters answer it. Nothing here
looks at a clock or at chance, so that the same emissions always give the same calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Pace"]


@dataclass(slots=True)
class Pace:
    """When a callback is due: its options, and what it has counted so far."""

    when: Callable[[], bool] | None = None
    """Asked each time the callback is due, before its repeats."""
    limit: int | None = None
    """The most calls, repeats included."""
    repeat: int = 1
    """How many calls in a row it is worth when it is due."""
    every: int = 1
    """Due on every so many emissions."""
    emissions: int = field(default=0, init=False)
    """Emissions seen, those on which `when` said no included."""
    calls: int = field(default=0, init=False)
    """Calls granted."""

    @classmethod
    def of(
        cls,
        *,
        when: Callable[[], bool] | None = None,
        limit: int | None = None,
        repeat: int = 1,
        every: int = 1,
    ) -> Pace | None:
        """The pace for these options, `None` for the usual one: once on every emission.

        Raises:
            ValueError: If `limit`, `repeat` or `every` is below 1.
            TypeError: If one of them is not a whole number, or `when` cannot be called.
        """
        for name, value in (("limit", limit), ("repeat", repeat), ("every", every)):
            if value is not None or name != "limit":
                _require_positive(name, value)
        if when is not None and not callable(when):
            raise TypeError(f"`when` has to be a function that takes nothing, not {when!r}.")
        if when is None and limit is None and repeat == every == 1:
            return None
        return cls(when, limit, repeat, every)

    def due(self) -> int:
        """Count one emission; how many calls of the callback it is worth."""
        self.emissions += 1
        if self.emissions % self.every or self._left() == 0:
            return 0
        if self.when is not None and not self.when():
            return 0
        granted = self._left()  # anew: `when` may have emitted the event itself
        self.calls += granted
        return granted

    def _left(self) -> int:
        return self.repeat if self.limit is None else min(self.repeat, self.limit - self.calls)


def _require_positive(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`{name}` has to be a whole number, not {value!r}.")
    if value < 1:
        raise ValueError(f"`{name}={value}` can never call anything: it has to be at least 1.")
