"""What all tests of an executor have in common."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import ClassVar
from unittest import TestCase

from typing_extensions import override

from amltk.testing.calls import Gate, wait_at

__all__ = ["ExecutorCase"]


class ExecutorCase(TestCase):
    """Has an executor, which is shut down after the test, and a gate to hold calls at."""

    make: ClassVar[Callable[..., Executor]]
    """Makes the executor."""
    n_workers: ClassVar[int]
    """How many calls it computes at the same time."""
    patience: ClassVar[float]
    """Seconds after which something that has not happened will not."""

    executor: Executor
    gate: Gate

    @override
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="amltk-testing-")
        self.addCleanup(directory.cleanup)
        self.gate = Gate(Path(directory.name), self.patience)
        self.executor = self.opened(type(self).make())
        self.addCleanup(self.gate.open)

    def opened(self, executor: Executor) -> Executor:
        """Have an executor shut down at the end of the test."""
        self.addCleanup(executor.shutdown)
        return executor

    def held(self, name: str = "held") -> Future[int]:
        """A call that is being computed, until the gate opens."""
        future = self.executor.submit(wait_at, self.gate, name)
        self.gate.wait_for(name)
        return future

    def all_workers_held(self) -> list[Future[int]]:
        """As many calls as there are workers, none of which is free now."""
        names = [f"held-{n}" for n in range(self.n_workers)]
        futures = [self.executor.submit(wait_at, self.gate, name) for name in names]
        for name in names:
            self.gate.wait_for(name)
        return futures
