"""The pool of processes, as an executor of its own."""

from __future__ import annotations

import gc
import os
import threading
import traceback
from collections.abc import Callable, Generator
from concurrent.futures import Future, wait
from pathlib import Path

import psutil
import pytest

from amltk.backends.start_method import StartMethod
from amltk.backends.worker_pool import WorkerPool
from amltk.exceptions import NotPicklableError, WorkerLostError
from tests.helpers import (
    Boom,
    Gate,
    echo,
    fail,
    pid,
    program,
    wait_at,
)


@pytest.fixture(params=["fork", "forkserver"])
def how(request: pytest.FixtureRequest) -> StartMethod:
    """The ways to start a process."""
    chosen: StartMethod = request.param
    return chosen


@pytest.fixture
def pool(how: StartMethod) -> Generator[WorkerPool]:
    """A pool of two."""
    pool = WorkerPool(2, mp_context=how)
    yield pool
    pool.shutdown()


# As every executor.


def test_a_call_returns_its_result(pool: WorkerPool) -> None:
    """
    With its arguments and keywords, computed in another process.
    """
    assert pool.submit(echo, value=5).result() == 5
    assert pool.submit(pid).result() != os.getpid()


def test_a_call_raises_its_exception_with_its_traceback(pool: WorkerPool) -> None:
    """
    One sees where it was raised, in the worker.
    """
    error = pool.submit(fail, "why").exception()
    assert isinstance(error, Boom)
    assert "in fail" in "".join(traceback.format_exception(error))


def test_map_keeps_the_order(pool: WorkerPool) -> None:
    """
    Results come in the order of what they are computed from.
    """
    assert list(pool.map(echo, range(100))) == list(range(100))


def test_shutdown_computes_what_is_left(how: StartMethod) -> None:
    """
    And returns when all workers are gone; after that work is refused.
    """
    with WorkerPool(2, mp_context=how) as pool:
        futures = [pool.submit(echo, n) for n in range(20)]
    assert [future.result(timeout=0) for future in futures] == list(range(20))
    assert pool.pids == ()
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(echo, 1)
    pool.shutdown()


def test_shutdown_may_cancel_what_no_worker_has_begun(how: StartMethod, tmp_path: Path) -> None:
    """
    What runs is finished; whoever waits for the cancelled ones is told.
    """
    pool = WorkerPool(1, mp_context=how)
    with Gate(tmp_path / "gate") as gate:
        running = pool.submit(wait_at, gate.path)
        gate.hold()
        queued = [pool.submit(echo, n) for n in range(5)]
        pool.shutdown(wait=False, cancel_futures=True)
        assert wait(queued).not_done == set()
        assert all(future.cancelled() for future in queued)
    assert running.result() == ""
    pool.shutdown()


def test_a_queued_call_can_be_cancelled(how: StartMethod, tmp_path: Path) -> None:
    """
    One that is running cannot.
    """
    with WorkerPool(1, mp_context=how) as pool, Gate(tmp_path / "gate") as gate:
        running = pool.submit(wait_at, gate.path)
        gate.hold()
        queued = pool.submit(echo, 1)
        assert queued.cancel()
        assert not running.cancel()
        gate.let_go()
        assert pool.submit(echo, 2).result() == 2


def test_a_last_call_that_no_worker_gets_keeps_nobody_waiting(how: StartMethod) -> None:
    """
    `shutdown` returns, though what it waits for is cancelled, or cannot be sent.
    """
    for _ in range(5):
        with WorkerPool(1, mp_context=how) as pool:
            pool.submit(echo, 1).result()
            pool.submit(echo, 2).cancel()
        with WorkerPool(1, mp_context=how) as pool:
            pool.submit(echo, 1).result()
            pool.submit(id, threading.Lock())


def test_many_threads_may_submit_at_once(pool: WorkerPool) -> None:
    """
    Every call gets its own result.
    """
    results: dict[int, int] = {}

    def submit(thread: int) -> None:
        futures = {n: pool.submit(echo, n) for n in range(thread * 100, thread * 100 + 100)}
        results.update({n: future.result() for n, future in futures.items()})

    threads = [threading.Thread(target=submit, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: n for n in range(800)}


def test_a_callback_of_a_future_may_submit(pool: WorkerPool) -> None:
    """
    From the thread that settles futures, five hundred times in a row.
    """
    last: Future[int] = Future()

    def go_on(future: Future[int]) -> None:
        left = future.result() - 1
        if left:
            pool.submit(echo, left).add_done_callback(go_on)
        else:
            last.set_result(left)

    pool.submit(echo, 500).add_done_callback(go_on)
    assert last.result() == 0


def test_a_call_submitted_while_the_manager_wakes_up(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    It is found, and so is every call after it: no wake-up is lost.
    """
    between: list[Future[int]] = []
    read = os.read

    def submit_and_read(fd: int, n: int) -> bytes:
        between.append(pool.submit(echo, 1))
        return read(fd, n)

    with monkeypatch.context() as patched:
        patched.setattr("amltk.backends.pool_manager.os.read", submit_and_read)
        assert pool.submit(echo, 2).result() == 2
        assert between[0].result() == 1
    assert pool.submit(echo, 3).result() == 3


# The end of it.


def test_terminate_ends_everything_at_once(how: StartMethod, tmp_path: Path) -> None:
    """
    What runs is lost, what waits is cancelled, and the workers are gone when it returns.
    """
    pool = WorkerPool(1, mp_context=how)
    with Gate(tmp_path / "gate") as gate:
        running = pool.submit(wait_at, gate.path)
        queued = [pool.submit(echo, n) for n in range(3)]
        gate.hold()
        workers = [psutil.Process(worker) for worker in pool.pids]
        pool.terminate()
    assert isinstance(running.exception(timeout=0), WorkerLostError)
    assert all(future.cancelled() for future in queued)
    assert len(workers) == 1
    assert not workers[0].is_running()
    pool.terminate()


def test_a_pool_that_was_never_used_ends_as_well(how: StartMethod) -> None:
    """
    By each of the two ways.
    """
    WorkerPool(2, mp_context=how).shutdown()
    WorkerPool(2, mp_context=how).terminate()


def test_a_pool_that_is_forgotten_ends_its_workers(how: StartMethod) -> None:
    """
    Without `shutdown`, when nobody has it any more; what it has begun it finishes.
    """
    pool = WorkerPool(2, mp_context=how)
    future = pool.submit(echo, 1)
    workers = [psutil.Process(worker) for worker in pool.pids]
    del pool
    gc.collect()
    assert future.result() == 1
    while any(worker.is_running() for worker in workers):
        os.sched_yield()


AT_EXIT = """
import os, sys
from amltk.backends.worker_pool import WorkerPool

if __name__ == "__main__":
    pool = WorkerPool(2, mp_context=sys.argv[1])
    for n in range(5):
        pool.submit(os.write, 1, b"%d\\n" % n)
"""


def test_a_program_that_ends_waits_for_its_calls(how: StartMethod, tmp_path: Path) -> None:
    """
    Without `shutdown`, as with the executors of Python; and quietly.
    """
    with program(tmp_path / "p.py", AT_EXIT, how) as process:
        out, err = process.communicate()
    assert sorted(out.split()) == ["0", "1", "2", "3", "4"]
    assert (err, process.returncode) == ("", 0)


KILLED = """
import sys
from amltk.backends.worker_pool import WorkerPool

if __name__ == "__main__":
    pools = [WorkerPool(2, mp_context=sys.argv[1]) for _ in range(2)]
    for pool in pools:
        for future in [pool.submit(abs, -1) for _ in range(2)]:
            future.result()
    print(*[pid for pool in pools for pid in pool.pids], flush=True)
    sys.stdin.read()
    input()
"""


def test_workers_of_a_program_that_was_killed_end(how: StartMethod, tmp_path: Path) -> None:
    """
    Nobody tells them; that their connection is gone is enough, whichever pool forked when.
    """
    with Gate(tmp_path / "gate") as gate:
        code = KILLED.replace("sys.stdin.read()\n    input()", f"open({gate.path!r}).read()")
        with program(tmp_path / "p.py", code, how) as process:
            assert process.stdout is not None
            workers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
            process.kill()
            _, left = psutil.wait_procs(workers, timeout=60)
    assert len(workers) >= 2
    assert not left


def test_what_cannot_be_pickled_is_an_exception_of_its_call(pool: WorkerPool) -> None:
    """
    Not of `submit`, and of no other call.
    """
    calls: list[Callable[[], object]] = [lambda: None, threading.Lock().acquire]
    for call in calls:
        assert isinstance(pool.submit(call).exception(), NotPicklableError)
    assert pool.submit(echo, 1).result() == 1


def test_a_pool_prints_what_it_is(how: StartMethod) -> None:
    """
    Its size, and whether it takes work.
    """
    pool = WorkerPool(2, mp_context=how)
    assert repr(pool) == "<WorkerPool of 2 processes: open>"
    pool.shutdown()
    assert repr(pool) == "<WorkerPool of 2 processes: shut down>"
