"""What has to become of one call, whoever computes it."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, as_completed
from functools import partial

from amltk.testing.calls import (
    Odd,
    add,
    arguments,
    fail,
    fail_oddly,
    forget,
    leave,
    note,
    pid,
    recall,
    remember,
    return_what_cannot_be_sent,
)
from amltk.testing.case import ExecutorCase

__all__ = ["Initializing", "Sending", "Submitting"]

NAMES = ("self", "fn", "function", "func", "task", "args", "kwargs", "key", "pure", "workers")
MORE_NAMES = ("priority", "resources", "retries", "timeout", "callback", "call", "wait")
N_CALLS = 50
LARGE = 2_000_000


class Submitting(ExecutorCase):
    """`submit`, and the future that it returns."""

    def test_a_call_returns_its_result(self) -> None:
        """Positional arguments and keywords reach the function."""
        self.assertEqual(self.executor.submit(add, 1, b=2).result(self.patience), 3)

    def test_every_keyword_is_the_functions(self) -> None:
        """Also one that the executor could take for its own."""
        keywords = {name: name.upper() for name in NAMES + MORE_NAMES}
        got = self.executor.submit(arguments, 1, **keywords).result(self.patience)
        self.assertEqual(got, ((1,), keywords))

    def test_what_a_call_raises_is_raised_by_its_future(self) -> None:
        """With its type and its arguments."""
        future = self.executor.submit(fail, "on purpose")
        with self.assertRaises(ValueError) as raised:
            future.result(self.patience)
        self.assertEqual(raised.exception.args, ("on purpose",))
        self.assertIs(future.exception(self.patience), raised.exception)

    def test_a_call_that_exits_ends_no_worker(self) -> None:
        """`sys.exit` is an exception like others."""
        future = self.executor.submit(leave)
        self.assertIsInstance(future.exception(self.patience), SystemExit)
        self.assertEqual(self.executor.submit(add, 1).result(self.patience), 1)

    def test_the_same_call_is_computed_each_time(self) -> None:
        """It is not looked up what it returned the last time."""
        path = str(self.gate.directory / "notes")
        for _ in range(4):
            self.executor.submit(note, path).result(self.patience)
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            self.assertEqual(len(file.readlines()), 4)

    def test_many_calls_return_each_their_own_result(self) -> None:
        """Nothing is lost, nothing comes twice."""
        futures = {self.executor.submit(add, n, n): n for n in range(N_CALLS)}
        done = as_completed(futures, timeout=self.patience)
        got = {futures[future]: future.result() for future in done}
        self.assertEqual(got, {n: 2 * n for n in range(N_CALLS)})

    def test_anything_that_can_be_called_can_be_submitted(self) -> None:
        """Builtins, methods, partials, and classes."""
        submit = self.executor.submit
        futures: list[Future[object]] = [
            submit(abs, -1),
            submit("a-b".split, "-"),
            submit(partial(add, 1), 1),
            submit(complex, 1, 2),
        ]
        got = [future.result(self.patience) for future in futures]
        self.assertEqual(got, [1, ["a", "b"], 2, 1 + 2j])

    def test_a_future_that_is_done_says_so(self) -> None:
        """It neither runs nor can it be cancelled."""
        future = self.executor.submit(add, 1)
        future.result(self.patience)
        self.assertTrue(future.done())
        self.assertFalse(future.running())
        self.assertFalse(future.cancel())
        self.assertFalse(future.cancelled())

    def test_callbacks_hear_of_the_outcome_once(self) -> None:
        """Whether the call returned or raised, and whether they were added before or after."""
        for call in (partial(add, 1), partial(fail, "on purpose")):
            heard: list[Future[int]] = []
            all_heard = threading.Event()
            future: Future[int] = self.executor.submit(call)
            future.add_done_callback(heard.append)
            future.add_done_callback(partial(tell, all_heard))
            self.assertTrue(all_heard.wait(self.patience))
            future.add_done_callback(heard.append)
            self.assertEqual(heard, [future, future])

    def test_several_threads_may_submit(self) -> None:
        """Each gets the results of its own calls."""
        got: list[int] = []

        def submit(n: int) -> None:
            got.append(self.executor.submit(add, n).result(self.patience))

        threads = [threading.Thread(target=submit, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(self.patience)
        self.assertEqual(sorted(got), list(range(8)))


class Sending(ExecutorCase):
    """What crosses to another process."""

    def test_calls_are_computed_in_another_process(self) -> None:
        """Otherwise these tests would say nothing."""
        self.assertNotEqual(self.executor.submit(pid).result(self.patience), os.getpid())

    def test_large_arguments_and_results_arrive(self) -> None:
        """Some megabytes are nothing special."""
        text = "x" * LARGE
        (got,), _ = self.executor.submit(arguments, text).result(self.patience)
        self.assertEqual(got, text)

    def test_an_argument_that_cannot_be_sent_fails_its_call(self) -> None:
        """At once or in the future, and no other call."""
        with self.assertRaises(Exception):  # noqa: B017 - each executor has its own
            self.executor.submit(arguments, threading.Lock()).result(self.patience)
        self.assertEqual(self.executor.submit(add, 1).result(self.patience), 1)

    def test_a_result_that_cannot_be_sent_fails_its_call(self) -> None:
        """Nobody waits for it for ever, and no other call fails."""
        future = self.executor.submit(return_what_cannot_be_sent)
        error = future.exception(self.patience)
        self.assertIsNotNone(error)
        self.assertEqual(self.executor.submit(add, 1).result(self.patience), 1)

    def test_an_exception_that_cannot_be_sent_fails_its_call(self) -> None:
        """With what can be said of it, and no other call fails."""
        error = self.executor.submit(fail_oddly).exception(self.patience)
        self.assertTrue(isinstance(error, Odd) or "what" in str(error), repr(error))
        self.assertEqual(self.executor.submit(add, 1).result(self.patience), 1)


class Initializing(ExecutorCase):
    """The initializer of an executor that takes one."""

    def test_a_worker_is_prepared_before_its_first_call(self) -> None:
        """Each of them."""
        make = type(self).make
        text = str(self.gate.directory)  # which no other test has
        self.addCleanup(forget)
        executor = self.opened(make(initializer=remember, initargs=(text,)))
        futures = [executor.submit(recall) for _ in range(N_CALLS)]
        self.assertEqual({future.result(self.patience) for future in futures}, {text})


def tell(event: threading.Event, _: object) -> None:
    """Set an event, as the callback of a future."""
    event.set()
