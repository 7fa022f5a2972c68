"""What a backend is: a value that says where work runs, and can open an executor there.

Whoever wants one of their own writes a frozen dataclass with an `open` method; nothing has to be
registered or inherited.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from types import FunctionType
from typing import Protocol, runtime_checkable

from typing_extensions import TypeIs

from amltk.backends.abilities import Abilities, SaysItsAbilities
from amltk.backends.adapting import ON_A_CLUSTER_OF_OTHERS, is_of_a_client
from amltk.backends.termination import ProcessPool, can_be_ended, closed
from amltk.callbacks import name_of
from amltk.exceptions import BackendNotInstalledError, ExecutorShutdownError

__all__ = ["Backend", "Given", "abilities_of", "backend_for"]


@runtime_checkable
class Backend(Protocol):
    """A recipe for an executor; each run opens a fresh one and closes it at its end."""

    def open(self) -> Executor:
        """Make a new executor."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """An executor that somebody else made."""

    executor: Executor
    """The executor itself; `open` gives this one every time."""
    terminate: bool = True
    """Whether the run takes it over, and shuts it down at its end; loky's shared pool it never
    does."""

    @property
    def abilities(self) -> Abilities:
        """What is known of such an executor; one that stays open is not ended."""
        known = abilities_of_executor(self.executor)
        return replace(known, stops_running=known.stops_running and self.is_ours_to_shut())

    def open(self) -> Executor:
        """Return the executor.

        Raises:
            ExecutorShutdownError: If an earlier run has shut it down.
        """
        if id(self.executor) in closed:
            raise shut_down(self.executor)
        return self.executor

    def is_ours_to_shut(self) -> bool:
        """Whether the run may shut it down: not what others in this process use as well."""
        kind = type(self.executor)
        is_lokys_shared_pool = kind.__module__ == "loky.reusable_executor"
        return self.terminate and not is_lokys_shared_pool


def abilities_of(backend: Executor | Backend) -> Abilities:
    """What can be relied on with a backend, or with an executor that a run takes over.

    Of a backend that does not say, it is what every executor can.

    Raises:
        TypeError: If it is neither.
    """
    known = backend_for(backend)
    return known.abilities if isinstance(known, SaysItsAbilities) else Abilities()


def backend_for(executor: object, *, terminate: bool = True) -> Backend:
    """The backend that somebody means who passes this.

    Raises:
        TypeError: If it is neither an executor nor a backend.
        ValueError: If it is a backend, and its executors are to stay open.
    """
    if isinstance(executor, Executor):
        return Given(executor, terminate=terminate)
    if isinstance(executor, type) or not isinstance(executor, Backend):
        raise TypeError(
            f"{executor!r} is neither an executor nor a recipe for one. Pass an instance of "
            "concurrent.futures.Executor, or something with an open() that makes one, such as "
            "amltk.backends.Processes(2)."
        )
    if not terminate:
        raise ValueError(
            f"`terminate=False` leaves open the executor that you made, but {executor!r} is a "
            "recipe: each run opens an executor from it that nobody else knows, and closes it."
        )
    return executor


def abilities_of_executor(executor: Executor) -> Abilities:
    if isinstance(executor, SaysItsAbilities):
        return executor.abilities
    if is_of_a_client(executor):
        return ON_A_CLUSTER_OF_OTHERS
    if isinstance(executor, ThreadPoolExecutor):
        return Abilities(functions="any", overhead=2e-5)
    is_pool = isinstance(executor, ProcessPool)
    return Abilities(
        cancels_queued=not is_pool,  # what such a pool has fetched ahead counts as running
        stops_running=can_be_ended(executor),
        functions="by value" if is_of_loky(executor) else "by name",
        overhead=1e-4 if is_pool else None,
    )


def is_of_loky(executor: Executor) -> bool:
    return any(kind.__module__ == "loky.process_executor" for kind in type(executor).__mro__)


def shut_down(executor: Executor) -> ExecutorShutdownError:
    """What to say of an executor that is not open any more."""
    return ExecutorShutdownError(
        f"{type(executor).__name__} cannot be used again: it was shut down, as it is at the end of "
        "a run. Give each run a new executor; or keep this one open with "
        "Scheduler(executor=..., terminate=False); or use a recipe, such as "
        "Scheduler.with_processes(2), which opens a fresh one for each run."
    )


@contextmanager
def needs(
    package: str,
    *,
    extra: str,
    what: str = "This backend",
    raises: Callable[[str], ImportError] = BackendNotInstalledError,
) -> Generator[None]:
    """Around the import of what a backend runs on: says what to install if it fails.

    Args:
        package: What is imported.
        extra: The extra of ours that brings it.
        what: What it is that needs it.
        raises: Makes the error.

    Raises:
        BackendNotInstalledError: If the import fails; or what else is to be raised.
    """
    try:
        yield
    except ImportError as error:
        missing = raises(
            f"{what} needs the package {package!r}, which cannot be imported ({error}). "
            f'Install it with: pip install "amltk[{extra}]"'
        )
        missing.name = package
        raise missing from error


def summary(backend: object) -> str:
    """A backend as one would write it: with the fields that are not as they are by default."""
    if isinstance(backend, Given):
        return type(backend.executor).__name__
    if not is_dataclass(backend):
        return repr(backend)
    said = [
        f"{field.name}={in_words(getattr(backend, field.name))}"
        for field in fields(backend)
        if field.repr and getattr(backend, field.name) != field.default
    ]
    return f"{type(backend).__name__}({', '.join(said)})"


def in_words(value: object) -> str:
    return name_of(value) if isinstance(value, FunctionType) else repr(value)


def keep_copies(recipe: object) -> None:
    """Have a recipe stay as it is, whatever becomes of the mappings that it was made with.

    To be called in its `__post_init__`.
    """
    for field in fields(recipe) if is_dataclass(recipe) else ():
        value: object = getattr(recipe, field.name)
        if maps_something(value):
            object.__setattr__(recipe, field.name, dict(value))


def maps_something(value: object) -> TypeIs[Mapping[object, object]]:
    """Whether this is a mapping."""
    return isinstance(value, Mapping)


def require_at_least_one(name: str, value: object) -> None:
    """Refuse a count that could never do anything."""
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be a whole number, or None.")
    if value < 1:
        raise ValueError(f"`{name}={value}` would never compute anything: it has to be at least 1.")


def require_initializer(initializer: object, initargs: object) -> None:
    """Refuse what could not be called in a worker."""
    if initializer is not None and not callable(initializer):
        raise TypeError(f"`initializer={initializer!r}` has to be a function, or None.")
    if not isinstance(initargs, tuple):
        raise TypeError(f"`initargs={initargs!r}` has to be a tuple of arguments.")


def n_cores() -> int:
    """How many cores this process may use, which on a shared machine may not be all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
