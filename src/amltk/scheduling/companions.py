"""What is said between a run and the plugins of a task about an attempt at a call that begins.

A plugin may have something go along with an attempt: a companion. It hears how far the attempt
has come, and the outcome is not told to anybody before all companions have let it go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol

from typing_extensions import TypeVar

from amltk.backends.abilities import Abilities
from amltk.scheduling.call import Call, CallFuture
from amltk.scheduling.services import Services
from amltk.scheduling.waiting import Timer

__all__ = ["Accompanied", "Attempt", "Companion", "OpenRun"]

R = TypeVar("R")


class Companion(Protocol):
    """Goes along with one attempt at a call; everything here is called in the thread of the run.

    It is called once, or twice: an attempt that has ended can be cancelled until it is let go.
    """

    def attempt_ended(self, let_go: Callable[[], None], /) -> None:
        """The attempt has an outcome; nobody has been told, and nobody is until `let_go` is called.

        That may be now or later, but in the thread of the run.
        """
        ...

    def attempt_cancelled(self) -> None:
        """Nobody waits for the attempt any more, though it may go on; nobody has been told yet."""
        ...

    def attempt_withdrawn(self) -> None:
        """The executor did not take the attempt."""
        ...


class OpenRun(Protocol):
    """What a plugin can ask of the run that an attempt belongs to."""

    @property
    def services(self) -> Services:
        """What is open for as long as the run."""
        ...

    def soon(self, what: Callable[[], object], /) -> None:
        """Have a function called in the thread of the run; may be called from any thread."""
        ...

    def later(self, seconds: float, what: Callable[[], None], /) -> Timer:
        """Have a function called in the thread of the run after so many seconds."""
        ...

    def report(self, error: BaseException, /) -> None:
        """Something raised this: what becomes of it, the run decides."""
        ...


class Attempt(NamedTuple, Generic[R]):
    """An attempt at a call that is about to be given to the executor."""

    call: Call[R]
    """What is going to be computed."""
    future: CallFuture[R]
    """The future of the call: the same one for all attempts at it."""
    run: OpenRun
    """The run it is part of."""
    abilities: Abilities
    """What can be relied on where it is computed."""
    announce: Callable[[], None]
    """Tells everybody that the call was submitted, if they have not heard. Needed by a companion
    that has something to tell while the executor, which computes at once, still takes the call."""


class Accompanied(NamedTuple, Generic[R]):
    """An attempt with a companion."""

    call: Call[R]
    """What to compute."""
    companion: Companion
    """What goes along with it."""
