"""Recipes: values that say where work runs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import FrozenInstanceError, dataclass, fields
from typing import Any

import pytest

from amltk import Scheduler
from amltk.backends import Loky, Processes, Sequential, Threads
from amltk.backends.base import Backend, Given
from amltk.scheduling import SequentialExecutor
from tests.helpers import echo, fail


def test_a_recipe_is_a_value(backend: Backend) -> None:
    """
    Frozen, hashable, and equal to another one with the same fields.
    """
    same: Any = type(backend)(**{f: getattr(backend, f) for f in fields_of(backend)})
    assert same == backend
    assert hash(same) == hash(backend)
    for field in fields_of(backend):
        with pytest.raises(FrozenInstanceError):
            setattr(backend, field, 1)


def fields_of(backend: Any) -> list[str]:
    return [field.name for field in fields(backend)]


def test_a_recipe_with_options_that_are_dicts_is_hashable() -> None:
    """
    The environment of loky's workers is one.
    """
    assert hash(Loky(env={"A": "1"})) == hash(Loky(env={"A": "1"}))
    assert Loky(env={"A": "1"}) != Loky(env={"A": "2"})


def test_a_recipe_opens_a_new_executor_each_time(backend: Backend) -> None:
    """
    Each computes, and is closed without the other.
    """
    first, second = backend.open(), backend.open()
    assert first is not second
    with first:
        assert first.submit(echo, 1).result() == 1
    with second:
        assert second.submit(echo, 2).result() == 2


NONSENSE: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    (Processes, {"max_workers": 0}, "max_workers"),
    (Processes, {"max_workers": -1}, "max_workers"),
    (Processes, {"max_workers": 2.5}, "max_workers"),
    (Processes, {"max_workers": "2"}, "max_workers"),
    (Processes, {"max_workers": True}, "max_workers"),
    (Processes, {"max_tasks_per_child": 0}, "max_tasks_per_child"),
    (Processes, {"mp_context": "bogus"}, "mp_context"),
    (Processes, {"initializer": 5}, "initializer"),
    (Processes, {"initargs": 5}, "initargs"),
    (Threads, {"max_workers": 0}, "max_workers"),
    (Threads, {"max_workers": "2"}, "max_workers"),
    (Threads, {"initializer": 5}, "initializer"),
    (Loky, {"max_workers": 0}, "max_workers"),
    (Loky, {"context": "bogus"}, "context"),
    (Loky, {"timeout": -1}, "timeout"),
    (Loky, {"initializer": 5}, "initializer"),
]


@pytest.mark.parametrize(("recipe", "options", "name"), NONSENSE)
def test_what_cannot_work_cannot_be_built(
    recipe: Callable[..., object], options: dict[str, Any], name: str
) -> None:
    """
    The error names the field; `with_*` refuses the same.
    """
    with pytest.raises((TypeError, ValueError), match=name):
        recipe(**options)


def test_a_given_executor_is_given_each_time() -> None:
    """
    Open for as long as nobody has closed it.
    """
    with ThreadPoolExecutor(1) as executor:
        given = Given(executor, terminate=False)
        assert given.open() is given.open() is executor


@dataclass
class Counting(Executor):
    """An executor that is compared by what it has counted, and so cannot be hashed."""

    submitted: int = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        self.submitted += 1
        return SequentialExecutor().submit(fn, *args, **kwargs)


def test_an_executor_need_not_be_hashable() -> None:
    """
    Nothing is asked of it but to be an executor.
    """
    executor = Counting()
    scheduler = Scheduler(executor)
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    scheduler.run()
    assert executor.submitted == 1


# One after the other, in this process.


def test_a_sequential_call_is_done_when_it_is_submitted() -> None:
    """
    With its result, or with what it raised.
    """
    with SequentialExecutor() as executor:
        assert executor.submit(echo, 1).result(timeout=0) == 1
        assert str(executor.submit(fail, "why").exception(timeout=0)) == "why"
        assert list(executor.map(echo, [1, 2])) == [1, 2]
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(echo, 1)


def test_a_sequential_call_can_be_interrupted() -> None:
    """
    `KeyboardInterrupt` goes through to whoever submitted; everything else is the future's.
    """

    def interrupt(error: type[BaseException]) -> None:
        raise error

    with SequentialExecutor() as executor:
        with pytest.raises(KeyboardInterrupt):
            executor.submit(interrupt, KeyboardInterrupt)
        for error in (SystemExit, GeneratorExit, BaseException):
            assert isinstance(executor.submit(interrupt, error).exception(), error)


@pytest.mark.parametrize("recipe", [Processes(2), Threads(2), Sequential(), Loky(2)], ids=repr)
def test_a_recipe_prints_as_it_is_written(recipe: Backend) -> None:
    """
    A scheduler shows what differs from the defaults.
    """
    shown = repr(Scheduler(recipe))
    expected = f"{type(recipe).__name__}({'' if recipe == Sequential() else 'max_workers=2'})"
    assert f"<Scheduler on {expected}: " in shown
