"""What a notebook shows while one types, which asks jedi about the objects that are there."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import jedi
import pytest

from amltk import Scheduler
from amltk.backends import Loky
from tests.ide.programs import PROGRAM


@pytest.fixture(scope="module")
def namespace() -> dict[str, Any]:
    """The names of a notebook in which the program was run."""
    names: dict[str, Any] = {}
    exec(compile(PROGRAM, "notebook", "exec", dont_inherit=True), names)
    return names


def test_a_task_is_called_like_the_function(namespace: dict[str, Any]) -> None:
    """At `task(` stand the names, types and defaults of the user's function."""
    (signature,) = jedi.Interpreter("task(", [namespace]).get_signatures()
    shown = [parameter.to_string() for parameter in signature.params]
    assert shown == ["rate: float", "epochs: int=1"]


def test_keywords_of_the_function_are_completed(namespace: dict[str, Any]) -> None:
    """The user's own parameters come up in a call of the task."""
    assert names("task(ep", namespace) == ["epochs="]


def test_a_backend_is_asked_for_with_its_fields(namespace: dict[str, Any]) -> None:
    """`with_loky` shows each field of the config with its default."""
    (signature,) = jedi.Interpreter("Scheduler.with_loky(", [namespace]).get_signatures()
    assert [p.name for p in signature.params] == [f.name for f in dataclasses.fields(Loky)]
    assert any(p.to_string().endswith("timeout: 'float | None'=10") for p in signature.params)
    assert names("Scheduler.with_loky(max_w", namespace) == ["max_workers="]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("task.on_re", {"on_result"}),
        ("scheduler.on_fin", {"on_finishing", "on_finished"}),
        ("Scheduler.with_", {"with_processes", "with_threads", "with_loky", "with_sequential"}),
    ],
)
def test_what_there_is_is_completed(
    namespace: dict[str, Any], typed: str, expected: set[str]
) -> None:
    """Events and backends come up."""
    assert expected <= set(names(typed, namespace))


def test_help_shows_the_function() -> None:
    """`help()` says the same."""
    assert inspect.signature(Scheduler.with_loky).parameters == inspect.signature(Loky).parameters


def names(typed: str, namespace: dict[str, Any]) -> list[str]:
    return [completion.name for completion in jedi.Interpreter(typed, [namespace]).complete()]
