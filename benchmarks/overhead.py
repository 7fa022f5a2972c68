"""What a call costs on each backend: `python benchmarks/overhead.py [BACKEND ...]`.

A backend is named as `amltk.backends.load` has it, so a TOML file will do. What is measured is how
long a run takes for each of many calls that do nothing, on workers that are there. It is shown beside
what the backend says of itself, which stands in `docs/backends.md`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pairs import seconds
from rich.console import Console
from rich.table import Table

from amltk import Scheduler
from amltk.backends import Backend, Given, abilities_of, load

HERE = ("sequential", "threads", "processes", "loky", "dask")
"""Those that need nothing but this machine."""

ROUNDS = 9
TO_MEASURE = 1.0
"""Seconds that a round takes, if the backend is as fast as it says."""


def nothing() -> None:
    """The whole call."""


def main(names: Sequence[str]) -> None:
    table = Table("backend", "calls", "us per call", "as it says", title="What a call costs")
    for name in names:
        backend = load(name)
        said = abilities_of(backend).overhead or TO_MEASURE
        n_calls = max(5, min(2_000, round(TO_MEASURE / said)))
        took = per_call(backend, n_calls)
        table.add_row(name, f"{n_calls}", f"{took * 1e6:.3g}", f"{said * 1e6:.3g}")
    Console().print(table)


def per_call(backend: Backend, n_calls: int) -> float:
    """The seconds for one of so many calls, in the round that was disturbed the least."""
    with backend.open() as executor:
        scheduler = Scheduler(Given(executor, terminate=False))

        @scheduler.on_start
        def submit_all() -> None:
            for _ in range(n_calls):
                scheduler.submit(nothing)

        scheduler.run()  # it may have to start workers
        return min(seconds(scheduler.run) for _ in range(ROUNDS)) / n_calls


if __name__ == "__main__":
    main(sys.argv[1:] or HERE)
