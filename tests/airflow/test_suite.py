"""What every executor has to do, tried on a real Airflow."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from amltk.airflow.executor import AirflowExecutor
from amltk.backends import Airflow
from amltk.testing import executor_suite
from tests.airflow.server import WORKERS

pytestmark = pytest.mark.timeout(900)

recipes: list[Airflow] = []


@pytest.fixture(autouse=True)
def there_is_an_airflow(recipe: Callable[..., Airflow]) -> Generator[None]:
    """Tests of this kind cannot ask for a fixture themselves."""
    recipes.append(recipe(keep_runs=True))
    yield
    recipes.clear()


def opened() -> AirflowExecutor:
    return recipes[0].open()


TestAirflow = executor_suite(opened, abilities=Airflow.abilities, n_workers=WORKERS, patience=600.0)
