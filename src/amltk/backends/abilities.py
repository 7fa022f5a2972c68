"""What a backend can do, as a value.

The scheduler asks it before it relies on something, the documentation shows it as a table, and
tests try each entry of it. It is said in one place, on the backend.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

__all__ = ["Abilities", "SaysItsAbilities"]

Functions: TypeAlias = Literal["any", "by value", "by name", "inherited"]
"""How a worker comes by the function that it is to call.

- `"any"`: it is in the same process, so whatever can be called will do.
- `"by value"`: lambdas and functions of the program itself travel as they are; those of a module
  are imported by the worker.
- `"inherited"`: it has a copy of this process and looks the function up by its name, also in a
  notebook; what was defined after the worker started, it does not find.
- `"by name"`: it imports the module of the function, the program itself included.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What can be relied on with a backend; what is not said, cannot."""

    in_background: bool = True
    """The program goes on while a call is computed."""
    cancels_queued: bool = True
    """A call that waits for a worker can be cancelled, and is not computed then."""
    stops_running: bool = False
    """At the end of a run that does not wait, and on Ctrl-C, calls that are being computed are
    ended, together with the processes that they have started. Otherwise they are abandoned."""
    survives_dead_worker: bool = False
    """When a worker has died, the same run still takes calls and computes them."""
    isolates_culprit: bool = False
    """A worker that dies takes no call with it but the one it was computing."""
    messages: bool = True
    """A call can talk to the scheduler while it is computed."""
    functions: Functions = "by name"
    """How a worker comes by the function."""
    overhead: float | None = None
    """Seconds that a call takes which does nothing, one of many with two workers: an order of
    magnitude, measured on a small machine; `None` if nobody has measured it."""


@runtime_checkable
class SaysItsAbilities(Protocol):
    """A backend that says what it can do."""

    @property
    def abilities(self) -> Abilities:
        """What can be relied on with it."""
        ...
