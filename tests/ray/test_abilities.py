"""What Ray says it can do, tried on it in the same way as on all others."""

from __future__ import annotations

import pytest

from amltk.backends.base import Backend
from tests.backends.test_abilities import (
    executor,
    test_a_call_costs_about_as_much_as_the_backend_says,
    test_a_call_talks_to_the_scheduler_or_is_refused,
    test_a_call_that_is_computed_is_stopped_with_what_it_started,
    test_a_call_that_waits_for_a_worker_can_be_cancelled,
    test_a_worker_that_dies_takes_no_other_call_with_it,
    test_calls_are_taken_after_a_worker_has_died,
    test_functions_come_to_the_worker_as_the_backend_says,
    test_the_program_goes_on_while_a_call_is_computed,
)
from tests.ray.conftest import on_local

__all__ = [
    "executor",
    "test_a_call_costs_about_as_much_as_the_backend_says",
    "test_a_call_talks_to_the_scheduler_or_is_refused",
    "test_a_call_that_is_computed_is_stopped_with_what_it_started",
    "test_a_call_that_waits_for_a_worker_can_be_cancelled",
    "test_a_worker_that_dies_takes_no_other_call_with_it",
    "test_calls_are_taken_after_a_worker_has_died",
    "test_functions_come_to_the_worker_as_the_backend_says",
    "test_the_program_goes_on_while_a_call_is_computed",
]

pytestmark = pytest.mark.timeout(180, func_only=True)


@pytest.fixture
def backend(shared_ray: None) -> Backend:
    """Two workers on a local Ray."""
    return on_local()


@pytest.fixture
def parallel(backend: Backend) -> Backend:
    """The same."""
    return backend
