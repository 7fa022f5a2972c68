"""The pool of threads, as an executor of its own."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path

import pytest

from amltk.backends.thread_pool import ThreadPool
from amltk.exceptions import ExecutorBrokenError
from tests.helpers import Boom, echo, fail, program


def wait_for(gate: threading.Event, begun: threading.Event) -> None:
    begun.set()
    gate.wait()


def test_calls_run_in_threads_of_its_own() -> None:
    """
    As many as it may have at most, named as it was asked to.
    """
    names: set[str] = set()
    with ThreadPool(2, name="mine") as pool:
        wait([pool.submit(lambda: names.add(threading.current_thread().name)) for _ in range(50)])
    assert names <= {"mine-0", "mine-1"}
    assert names


def test_two_calls_run_at_the_same_time() -> None:
    """
    They wait for each other, and could not otherwise.
    """
    meet = threading.Barrier(2)
    with ThreadPool(2, name="t") as pool:
        for _ in range(20):
            wait([pool.submit(meet.wait) for _ in range(2)])


def test_results_and_exceptions() -> None:
    """
    Whatever a call raises is in its future, and the thread goes on.
    """
    with ThreadPool(1, name="t") as pool:
        assert isinstance(pool.submit(fail).exception(), Boom)
        assert isinstance(pool.submit(exit).exception(), SystemExit)
        assert list(pool.map(echo, range(10))) == list(range(10))


def test_shutdown_may_cancel_what_no_thread_has_begun() -> None:
    """
    And those who wait for it are told.
    """
    gate, begun = threading.Event(), threading.Event()
    pool = ThreadPool(1, name="t")
    running = pool.submit(partial(wait_for, gate, begun))
    begun.wait()
    queued = [pool.submit(echo, n) for n in range(3)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert wait(queued).not_done == set()
    assert not running.done()
    gate.set()
    pool.shutdown()
    assert running.done()
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(echo, 1)


def test_a_callback_may_submit_while_the_pool_is_shut_down() -> None:
    """
    It is refused, and nobody waits for anybody.
    """
    gate, begun = threading.Event(), threading.Event()
    refused: list[BaseException] = []
    pool = ThreadPool(1, name="t")
    pool.submit(partial(wait_for, gate, begun))
    begun.wait()

    def submit_again(_: Future[int]) -> None:
        with pytest.raises(RuntimeError) as caught:
            pool.submit(echo, 2)
        refused.append(caught.value)

    pool.submit(echo, 1).add_done_callback(submit_again)
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    pool.shutdown()
    assert len(refused) == 1


def test_an_initializer_that_raises_breaks_the_pool() -> None:
    """
    The calls that wait say what it raised, and so does every later submit.
    """
    with ThreadPool(2, name="t", begin=lambda: fail("no licence")) as pool:
        error = pool.submit(echo, 1).exception()
        assert isinstance(error, ExecutorBrokenError)
        assert "no licence" in str(error)
        with pytest.raises(ExecutorBrokenError, match="no licence"):
            pool.submit(echo, 1)


ABANDONED = """
import threading
from amltk import Scheduler

begun = threading.Event()

def never_end():
    begun.set()
    threading.Event().wait()

scheduler = Scheduler.with_threads(1)
scheduler.on_start(lambda: scheduler.submit(never_end))
scheduler.on_start(begun.wait)
scheduler.on_start(scheduler.stop)
print(scheduler.run(wait=False).code)
"""


def test_an_abandoned_call_does_not_keep_the_program(tmp_path: Path) -> None:
    """
    It ends with it, quietly.
    """
    with program(tmp_path / "p.py", ABANDONED) as process:
        out, err = process.communicate()
    assert (out, err, process.returncode) == ("ExitCode.STOPPED\n", "", 0)
