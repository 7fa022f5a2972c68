"""The tests that an executor has to pass, chosen by what it can do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import Executor

from amltk.backends.abilities import Abilities
from amltk.testing.case import ExecutorCase
from amltk.testing.collecting import Cancelling, Mapping, ShuttingDown, Waiting, WaitingMeanwhile
from amltk.testing.crashing import Crashing, FailingToBegin, GoingOn, Isolating
from amltk.testing.submitting import Initializing, Sending, Submitting

__all__ = ["executor_suite"]


def executor_suite(
    make: Callable[..., Executor],
    *,
    abilities: Abilities | None = None,
    n_workers: int = 2,
    patience: float = 30.0,
) -> type[ExecutorCase]:
    """Make a test case of all that an executor has to do.

    Put it into a module that pytest or unittest collects:

        TestMine = executor_suite(lambda **options: MyExecutor(2, **options))

    Args:
        make: Makes a new executor. If it takes the keywords `initializer` and `initargs`, both of
            them, these are tested, too.
        abilities: What the executor can do. What it cannot is not tested; if `None`, it is what
            any executor in another process can that does without extras, see `Abilities`.
        n_workers: How many calls an executor computes at the same time; at least 2, or 1 if it
            computes none while the program goes on.
        patience: Seconds after which something that has not happened counts as failed.

    Returns:
        A `unittest.TestCase` with one test for each thing.
    """
    cases = tuple(chosen(abilities or Abilities(), takes_initializer(make)))
    settings = {"make": staticmethod(make), "n_workers": n_workers, "patience": patience}
    module = inspect.getmodule(inspect.stack()[1].frame)
    name = {"__module__": module.__name__} if module is not None else {}
    return type("ExecutorSuite", cases, {**settings, **name})


def chosen(abilities: Abilities, initializer: bool) -> Iterator[type[ExecutorCase]]:
    yield from (Submitting, Mapping, ShuttingDown, Waiting)
    if abilities.in_background:
        yield WaitingMeanwhile
    if abilities.cancels_queued:
        yield Cancelling
    if initializer:
        yield from (Initializing, FailingToBegin)
    if abilities.functions != "any":
        yield from (Sending, Crashing)
    if abilities.survives_dead_worker:
        yield GoingOn
    if abilities.isolates_culprit:
        yield Isolating


def takes_initializer(make: Callable[..., Executor]) -> bool:
    parameters = inspect.signature(make).parameters
    return parameters.keys() >= {"initializer", "initargs"} or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )
