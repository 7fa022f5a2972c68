"""What has to become of calls when a worker is killed."""

from __future__ import annotations

from concurrent.futures import BrokenExecutor

from amltk.testing.calls import HELD, add, die, fail_to_begin
from amltk.testing.case import ExecutorCase

__all__ = ["Crashing", "FailingToBegin", "GoingOn", "Isolating"]


class Crashing(ExecutorCase):
    """A call that kills its worker."""

    def test_a_call_that_kills_its_worker_fails(self) -> None:
        """Nobody waits for it for ever: it raises a `BrokenExecutor`."""
        error = self.executor.submit(die).exception(self.patience)
        self.assertIsInstance(error, BrokenExecutor)


class GoingOn(ExecutorCase):
    """An executor that survives it."""

    def test_calls_are_computed_afterwards(self) -> None:
        """As if nothing had happened."""
        self.executor.submit(die).exception(self.patience)
        self.assertEqual(self.executor.submit(add, 1).result(self.patience), 1)


class Isolating(ExecutorCase):
    """An executor that loses nothing else."""

    def test_no_other_call_is_lost(self) -> None:
        """One that is being computed goes on, those that wait are computed."""
        held = self.held()
        killed = self.executor.submit(die)
        queued = [self.executor.submit(add, n) for n in range(10)]
        self.assertIsInstance(killed.exception(self.patience), BrokenExecutor)
        self.gate.open()
        self.assertEqual(held.result(self.patience), HELD)
        self.assertEqual([future.result(self.patience) for future in queued], list(range(10)))


class FailingToBegin(ExecutorCase):
    """An initializer that raises."""

    def test_a_call_fails_if_no_worker_can_begin(self) -> None:
        """Nobody waits for it for ever: it raises a `BrokenExecutor`, now or when submitted."""
        executor = self.opened(type(self).make(initializer=fail_to_begin))
        with self.assertRaises(BrokenExecutor):
            executor.submit(add, 1).result(self.patience)
