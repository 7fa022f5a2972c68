"""What Airflow is said to be able to do, tried in the same way as on all others.

That it ends calls that are running takes it a while: `test_endings.py` waits for that.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import cloudpickle
import pytest

from amltk.backends import Airflow
from amltk.backends.base import Backend
from tests.airflow.server import WORKERS
from tests.backends import test_abilities as common
from tests.backends.test_abilities import (
    executor,
    test_a_call_costs_about_as_much_as_the_backend_says,
    test_a_call_talks_to_the_scheduler_or_is_refused,
    test_a_call_that_waits_for_a_worker_can_be_cancelled,
    test_a_worker_that_dies_takes_no_other_call_with_it,
    test_calls_are_taken_after_a_worker_has_died,
    test_functions_come_to_the_worker_as_the_backend_says,
    test_the_program_goes_on_while_a_call_is_computed,
)

__all__ = [
    "executor",
    "test_a_call_costs_about_as_much_as_the_backend_says",
    "test_a_call_talks_to_the_scheduler_or_is_refused",
    "test_a_call_that_waits_for_a_worker_can_be_cancelled",
    "test_a_worker_that_dies_takes_no_other_call_with_it",
    "test_calls_are_taken_after_a_worker_has_died",
    "test_functions_come_to_the_worker_as_the_backend_says",
    "test_the_program_goes_on_while_a_call_is_computed",
]

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(autouse=True)
def few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow begins but one or two in a second, and this one has more workers than others."""
    monkeypatch.setattr(common, "N_WORKERS", WORKERS)
    monkeypatch.setattr(common, "N_CALLS", 5)


@pytest.fixture
def backend(recipe: Callable[..., Airflow]) -> Generator[Backend]:
    """A real Airflow, whose workers have none of the functions that it is sent."""
    cloudpickle.register_pickle_by_value(common)
    yield recipe()
    cloudpickle.unregister_pickle_by_value(common)
