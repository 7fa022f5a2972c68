"""Attempting calls again that failed, or that were lost with their worker."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, TypeAlias

from typing_extensions import TypeIs, TypeVar, override

from amltk.callbacks import ask
from amltk.events import Event
from amltk.exceptions import PluginError
from amltk.scheduling.attempts import Again, Failure, require_seconds
from amltk.scheduling.call import Call, refuse_what_cannot_be_submitted
from amltk.scheduling.lifecycle import is_exception_type
from amltk.scheduling.task import Task
from amltk.scheduling.task_plugin import TaskPlugin

__all__ = ["Retry", "exponential"]

R = TypeVar("R")

Which: TypeAlias = (
    type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
)
"""Types of exceptions, or a function that says yes to some."""


@dataclass(frozen=True)
class Retry(TaskPlugin):
    """Attempts calls of a task again.

    Whoever listens to the task hears of a call once, at its end: attempts in between are not
    its outcome. While a call waits for its next attempt it is pending, so the run goes on; when
    the run ends, it ends with what it raised last, and so it does if a plugin refuses the attempt.

    ```python
    task = scheduler.task(download, plugins=Retry(attempts=5, on=OSError, wait=exponential()))
    ```

    Raises:
        ValueError: If a number is too small to mean anything.
        TypeError: If something is of a type that cannot be used.
    """

    attempts: int = 3
    """How often a call is attempted in all, the first time included."""
    on: Which = Exception
    """What to attempt a call again for: exception types, or a function of the exception. A call
    that was lost with its worker is attempted again in any case."""
    wait: float | Callable[[int], float] = 0.0
    """Seconds before the next attempt, or a function of how many attempts there have been."""
    max_lost: int = 3
    """How often a call may be lost with its worker; this is counted apart from `attempts`."""
    change: Callable[[Call[Any], int], Call[Any]] | None = None
    """Makes the next call out of the last one and the number of the attempt, from 2: one with
    more memory or more time, for instance. `None` for the same call."""

    name: ClassVar[str] = "retry"

    RETRY: ClassVar[Event[[int, BaseException, float]]] = Event("retry")
    """A call is going to be attempted again; passes the attempt that failed, counted from 1,
    what it raised, and the seconds until the next one."""
    GAVE_UP: ClassVar[Event[[int, BaseException]]] = Event("gave-up")
    """A call is not attempted any more; passes the last attempt and what it raised."""

    def __post_init__(self) -> None:
        require_count("attempts", self.attempts, least=1)
        require_count("max_lost", self.max_lost, least=0)
        require_which(self.on)
        if not callable(self.wait):
            require_seconds("wait", self.wait)
        if self.change is not None and not callable(self.change):
            raise TypeError(f"`change={self.change!r}` has to be a function that makes a call.")

    @override
    def attach_task(self, task: Task[..., Any], /) -> None:
        if any(isinstance(plugin, Retry) for plugin in task.plugins):
            raise PluginError(
                f"{self!r} cannot be attached to {task!r}: there is another one already, and what "
                "one gives up the other would attempt again. Put all of it into one policy."
            )
        super().attach_task(task)
        task.on(self.RETRY)
        task.on(self.GAVE_UP)

    @override
    def attempt_failed(self, failure: Failure[R], /) -> Again[R] | None:
        """Attempt the call again, if it is one of those and has attempts left."""
        if not (failure.lost or self._is_one(failure.error)):
            return None
        if self._has_had_its_chances(failure):
            self.tell(self.task.on(self.GAVE_UP), failure.attempt, failure.error)
            return None
        wait = self._wait_after(failure)
        call = failure.call if failure.lost else self._changed(failure)
        self.tell(self.task.on(self.RETRY), failure.attempt, failure.error, wait)
        return Again(call, wait)

    @override
    def copy(self) -> Self:
        """The same policy."""
        return replace(self)

    def _is_one(self, error: BaseException) -> bool:
        return isinstance(error, self.on) if names_types(self.on) else ask(self.on, error)

    def _has_had_its_chances(self, failure: Failure[Any]) -> bool:
        if failure.lost:
            return failure.n_lost > self.max_lost
        return failure.attempt >= self.attempts

    def _wait_after(self, failure: Failure[Any]) -> float:
        if isinstance(self.wait, int | float):
            return self.wait
        wait = ask(self.wait, failure.attempt)
        require_seconds(f"wait({failure.attempt})", wait)
        return wait

    def _changed(self, failure: Failure[R]) -> Call[R]:
        if self.change is None:
            return failure.call
        call = ask(self.change, failure.call, failure.attempt + 1)
        require_call(call)
        refuse_what_cannot_be_submitted(call.function)
        return call


def exponential(
    first: float = 1.0,
    *,
    factor: float = 2.0,
    most: float = 60.0,
    jitter: float = 0.0,
    seed: int | None = None,
) -> Callable[[int], float]:
    """Waits that grow: `first * factor ** (attempt - 1)` seconds, but never more than `most`.

    Args:
        first: Seconds before the second attempt.
        factor: How much longer each wait is than the one before.
        most: The longest wait, in seconds.
        jitter: Up to this part of a wait is added to it by chance, so that calls which failed
            together do not come back together; also not beyond `most`.
        seed: Makes that chance repeatable.
    """
    settings = {"first": first, "factor": factor, "most": most, "jitter": jitter}
    for name, value in settings.items():
        require_seconds(name, value)
    chance = random.Random(seed)  # noqa: S311 - it keeps no secrets

    def wait(attempt: int) -> float:
        try:
            exact = min(most, first * factor ** (attempt - 1))
        except OverflowError:
            exact = most
        return min(most, exact * (1 + jitter * chance.random()))

    return wait


def require_count(name: str, value: object, *, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be a whole number.")
    if value < least:
        raise ValueError(f"`{name}={value}` makes no sense: it has to be at least {least}.")


def names_types(on: Which) -> TypeIs[type[BaseException] | tuple[type[BaseException], ...]]:
    return isinstance(on, (type, tuple))


def require_which(on: Which) -> None:
    if not (chooses_types(on) if names_types(on) else callable(on)):
        raise TypeError(
            f"`on={on!r}` has to be a type of exception, a tuple of these, or a function that "
            "takes an exception and returns whether to try again."
        )


def chooses_types(on: type[BaseException] | tuple[type[BaseException], ...]) -> bool:
    types = (on,) if isinstance(on, type) else on
    return bool(types) and all(is_exception_type(kind) for kind in types)


def require_call(call: object) -> None:
    if not isinstance(call, Call):
        raise TypeError(
            f"`change` made {call!r}, and has to make a `Call`: call.with_kwargs(...), for instance."
        )
