"""What has to become of several calls, and of an executor at its end."""

from __future__ import annotations

import threading
from concurrent.futures import (
    ALL_COMPLETED,
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    CancelledError,
    as_completed,
    wait,
)

from amltk.testing.calls import HELD, add, becomes_true, fail, mark, wait_at
from amltk.testing.case import ExecutorCase

__all__ = ["Cancelling", "Mapping", "ShuttingDown", "Waiting", "WaitingMeanwhile"]

MOMENT = 0.05
"""Seconds that something is given that is not to happen."""


class Mapping(ExecutorCase):
    """`map`."""

    def test_results_come_in_the_order_of_the_arguments(self) -> None:
        """Whatever is done first; the shortest of several iterables ends it."""
        results = self.executor.map(add, range(20), [1] * 10, timeout=self.patience)
        self.assertEqual(list(results), list(range(1, 11)))

    def test_mapped_calls_need_nobody_who_asks(self) -> None:
        """All are submitted by `map` itself, not when their results are iterated over."""
        names = [f"mapped-{n}" for n in range(5)]
        results = self.executor.map(mark, [self.gate] * 5, names, timeout=self.patience)
        for name in names:
            self.gate.wait_for(name)
        self.assertEqual(list(results), [0] * 5)

    def test_a_failed_call_raises_at_its_place(self) -> None:
        """After the results of those before it."""
        results = self.executor.map(divide, [1, 2, 0, 3], timeout=self.patience)
        self.assertEqual([next(results), next(results)], [1.0, 0.5])
        with self.assertRaises(ZeroDivisionError):
            next(results)

    def test_chunks_change_nothing(self) -> None:
        """`chunksize` is about speed."""
        results = self.executor.map(add, range(10), chunksize=3, timeout=self.patience)
        self.assertEqual(list(results), list(range(10)))


class ShuttingDown(ExecutorCase):
    """`shutdown`."""

    def test_nothing_is_taken_any_more(self) -> None:
        """`submit` raises a `RuntimeError`; to shut down twice is no error."""
        self.executor.shutdown()
        self.executor.shutdown()
        with self.assertRaises(RuntimeError):
            self.executor.submit(add, 1)

    def test_what_was_submitted_is_still_computed(self) -> None:
        """`shutdown(wait=True)`, and leaving the `with`, wait for all of it."""
        with self.executor as executor:
            futures = [executor.submit(add, n) for n in range(10)]
        self.assertTrue(all(future.done() for future in futures))
        self.assertEqual([future.result() for future in futures], list(range(10)))

    def test_who_does_not_wait_gets_the_results_later(self) -> None:
        """`shutdown(wait=False)` cancels nothing."""
        futures = [self.executor.submit(add, n) for n in range(10)]
        self.executor.shutdown(wait=False)
        self.assertEqual([future.result(self.patience) for future in futures], list(range(10)))


class Waiting(ExecutorCase):
    """`wait` and `as_completed`."""

    def test_all_are_waited_for(self) -> None:
        """Those that return, and those that raise."""
        futures = {self.executor.submit(add, 1), self.executor.submit(fail, "on purpose")}
        done, pending = wait(futures, self.patience, return_when=ALL_COMPLETED)
        self.assertEqual((done, pending), (futures, set()))

    def test_each_is_yielded_once(self) -> None:
        """Also one that is passed twice."""
        futures = [self.executor.submit(add, n) for n in range(5)]
        done = list(as_completed([*futures, futures[0]], timeout=self.patience))
        self.assertEqual(sorted(map(id, done)), sorted(map(id, futures)))


class WaitingMeanwhile(ExecutorCase):
    """The same, while a call goes on."""

    def test_the_first_that_is_done_is_enough(self) -> None:
        """`FIRST_COMPLETED` returns while another one goes on."""
        held, quick = self.held(), self.executor.submit(add, 1)
        done, pending = wait([held, quick], self.patience, return_when=FIRST_COMPLETED)
        self.assertEqual((done, pending), ({quick}, {held}))

    def test_the_first_that_raises_is_enough(self) -> None:
        """`FIRST_EXCEPTION` returns while another one goes on."""
        held, failing = self.held(), self.executor.submit(fail, "on purpose")
        done, pending = wait([held, failing], self.patience, return_when=FIRST_EXCEPTION)
        self.assertEqual((done, pending), ({failing}, {held}))

    def test_nobody_waits_longer_than_told(self) -> None:
        """`result`, `wait`, `as_completed` and `map` keep to their timeouts."""
        held = self.held()
        with self.assertRaises(TimeoutError):
            held.result(MOMENT)
        self.assertEqual(wait([held], MOMENT).not_done, {held})
        with self.assertRaises(TimeoutError):
            next(as_completed([held], MOMENT))
        with self.assertRaises(TimeoutError):
            next(self.executor.map(wait_at, [self.gate], ["mapped"], timeout=MOMENT))

    def test_mapped_calls_are_computed_at_the_same_time(self) -> None:
        """As many as there are workers."""
        names = [f"mapped-{n}" for n in range(self.n_workers)]
        gates = [self.gate] * self.n_workers
        results = self.executor.map(wait_at, gates, names, timeout=self.patience)
        for name in names:
            self.gate.wait_for(name)
        self.gate.open()
        self.assertEqual(list(results), [HELD] * self.n_workers)

    def test_those_that_are_done_are_yielded_first(self) -> None:
        """`as_completed` waits for no other than the next."""
        held, quick = self.held(), self.executor.submit(add, 1)
        done = as_completed([held, quick], timeout=self.patience)
        self.assertIs(next(done), quick)
        self.gate.open()
        self.assertIs(next(done), held)

    def test_a_call_that_goes_on_is_not_done(self) -> None:
        """And it gets its result all the same."""
        held = self.held()
        self.assertFalse(held.done())
        self.gate.open()
        self.assertEqual(held.result(self.patience), HELD)

    def test_a_call_that_goes_on_is_running(self) -> None:
        """It says so, though maybe not at once: some executors have to be told themselves."""
        held = self.held()
        self.assertTrue(becomes_true(held.running, self.patience))

    def test_who_shuts_down_can_do_something_else_meanwhile(self) -> None:
        """`shutdown(wait=False)` returns while a call goes on."""
        held = self.held()
        self.executor.shutdown(wait=False)
        self.assertFalse(held.done())
        self.gate.open()
        self.assertEqual(held.result(self.patience), HELD)


class Cancelling(ExecutorCase):
    """Calls that wait for a worker."""

    def test_a_call_that_waits_can_be_cancelled(self) -> None:
        """It is never computed, and its future raises `CancelledError`."""
        held = self.all_workers_held()
        queued = [self.executor.submit(mark, self.gate, f"queued-{n}") for n in range(20)]
        last = queued[-1]
        self.assertFalse(last.running())
        self.assertTrue(last.cancel())
        self.assertTrue(last.cancelled())
        with self.assertRaises(CancelledError):
            last.result(self.patience)
        self.gate.open()
        self.assertEqual(wait([*held, *queued], self.patience).not_done, set())
        self.assertTrue(self.gate.has("queued-0"))
        self.assertFalse(self.gate.has("queued-19"))

    def test_a_cancelled_call_keeps_nobody_waiting(self) -> None:
        """`shutdown` returns also if that was the last thing to do."""
        self.executor.submit(add, 1).result(self.patience)
        self.executor.submit(add, 2).cancel()
        thread = threading.Thread(target=self.executor.shutdown, daemon=True)
        thread.start()
        thread.join(self.patience)
        self.assertFalse(thread.is_alive())

    def test_shutdown_can_cancel_what_waits(self) -> None:
        """`cancel_futures=True`; what is being computed goes on."""
        held = self.all_workers_held()
        queued = [self.executor.submit(mark, self.gate, f"queued-{n}") for n in range(20)]
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.assertTrue(queued[-1].cancelled())
        self.gate.open()
        self.assertEqual([future.result(self.patience) for future in held], [HELD] * len(held))
        self.assertFalse(self.gate.has("queued-19"))


def divide(n: int) -> float:
    """One by a number."""
    return 1 / n
