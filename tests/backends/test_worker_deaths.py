"""Workers of a pool: how they begin, and what it costs if they die."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Generator
from multiprocessing.context import ForkProcess
from pathlib import Path

import psutil
import pytest
from typing_extensions import override

from amltk.backends.start_method import StartMethod
from amltk.backends.worker_pool import WorkerPool
from amltk.backends.worker_process import start
from amltk.exceptions import ExecutorBrokenError, WorkerLostError
from tests.helpers import (
    Gate,
    die,
    die_while,
    echo,
    fail,
    fork_one_that_waits_and_die,
    in_thread,
    mark_and_die,
    pid,
    recall,
    remember,
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


# Workers.


class BesideAnotherThread(ForkProcess):
    """A process that is started while another thread filters warnings."""

    @override
    def start(self) -> None:
        in_thread(lambda: warnings.filterwarnings("error", "mine"))
        super().start()


def test_filters_that_are_set_while_a_worker_is_forked_stay() -> None:
    """
    Nothing is put back that somebody has changed in between, and nothing of ours stays.
    """
    with warnings.catch_warnings():
        before = list(warnings.filters)
        process = BesideAnotherThread(target=echo, args=(1,))
        start(process, "fork")
        process.join()
        added, *others = warnings.filters
    assert added[0] == "error"
    assert others == before


def test_an_initializer_is_called_in_each_worker(how: StartMethod) -> None:
    """
    Before its first call, with its arguments.
    """
    with WorkerPool(2, mp_context=how, initializer=remember, initargs=("here",)) as pool:
        assert set(pool.map(recall, ["AMLTK_TEST_FLAG"] * 10)) == {"here"}
    assert recall() is None


def test_an_initializer_that_raises_breaks_the_pool(how: StartMethod) -> None:
    """
    The calls that wait say what it raised, and so does every later submit.
    """
    with WorkerPool(1, mp_context=how, initializer=fail, initargs=("no licence",)) as pool:
        try:
            error = pool.submit(echo, 1).exception()
        except ExecutorBrokenError as early:
            error = early
        assert isinstance(error, ExecutorBrokenError)
        assert "no licence" in str(error)
        with pytest.raises(ExecutorBrokenError, match="no licence"):
            pool.submit(echo, 1)


def test_an_initializer_that_cannot_be_pickled_breaks_the_pool() -> None:
    """
    It is said, and nobody waits for ever.
    """
    with WorkerPool(1, mp_context="forkserver", initializer=lambda: None) as pool:
        error = pool.submit(echo, 1).exception()
        assert isinstance(error, ExecutorBrokenError)
        assert "pickle" in str(error)


def test_a_worker_is_replaced_after_its_calls(how: StartMethod) -> None:
    """
    With `max_tasks_per_child=2` six calls see at least three processes.
    """
    with WorkerPool(1, mp_context=how, max_tasks_per_child=2) as pool:
        pids = [pool.submit(pid).result() for _ in range(6)]
    assert len(set(pids)) == 3
    assert pids[::2] == pids[1::2]


def test_a_worker_that_dies_costs_its_call(pool: WorkerPool) -> None:
    """
    The error says which call was lost and how the worker died.
    """
    lost = pool.submit(die)
    with pytest.raises(WorkerLostError, match=r"SIGKILL.*die\(\)"):
        lost.result()
    assert pool.submit(echo, 1).result() == 1


def test_an_idle_worker_that_dies_is_replaced(pool: WorkerPool) -> None:
    """
    It has no call to lose.
    """
    victim = psutil.Process(pool.submit(pid).result())
    victim.kill()
    while victim.pid in pool.pids:  # until it is noticed
        os.sched_yield()
    assert [pool.submit(echo, n).result() for n in range(4)] == [0, 1, 2, 3]


def test_a_storm_of_deaths(pool: WorkerPool) -> None:
    """
    Thirty calls that kill their workers cost those thirty, and none of the others.
    """
    calls = [pool.submit(die) if n % 2 else pool.submit(echo, n) for n in range(60)]
    assert [call.result() for call in calls[::2]] == list(range(0, 60, 2))
    assert all(isinstance(call.exception(), WorkerLostError) for call in calls[1::2])


def test_a_worker_that_dies_while_it_starts_costs_nothing(how: StartMethod, tmp_path: Path) -> None:
    """
    Another one is started, and what is in the queue is computed.
    """
    flag = str(tmp_path / "flag")
    with WorkerPool(1, mp_context=how, initializer=die_while, initargs=(flag,)) as pool:
        lost = pool.submit(mark_and_die, flag)  # its replacement dies at once
        kept = [pool.submit(echo, n) for n in range(3)]
        assert isinstance(lost.exception(), WorkerLostError)
        assert [future.result() for future in kept] == [0, 1, 2]


def test_workers_that_never_start_break_the_pool(how: StartMethod) -> None:
    """
    There is an end to trying, and the error says how they died and what the usual cause is.
    """
    with WorkerPool(2, mp_context=how, initializer=die) as pool:
        try:
            error = pool.submit(echo, 1).exception()
        except ExecutorBrokenError as early:
            error = early
        assert isinstance(error, ExecutorBrokenError)
        assert "SIGKILL" in str(error)
        assert "__main__" in str(error)


def test_a_worker_that_dies_is_missed_although_a_child_of_it_lives(
    how: StartMethod, tmp_path: Path
) -> None:
    """
    The child has copies of all its connections; the call ends as lost all the same.
    """
    with WorkerPool(1, mp_context=how) as pool, Gate(tmp_path / "gate") as gate:
        lost = pool.submit(fork_one_that_waits_and_die, gate.path)
        gate.hold()  # the child is there
        assert isinstance(lost.exception(), WorkerLostError)
        assert pool.submit(echo, 1).result() == 1


def test_a_signal_that_kills_is_named(pool: WorkerPool) -> None:
    """
    One that was asked to end is told from one that ran out of memory.
    """
    with pytest.raises(WorkerLostError, match="SIGTERM"):
        pool.submit(die, signal.SIGTERM).result()


def test_ctrl_c_does_not_reach_workers(pool: WorkerPool) -> None:
    """
    What a terminal sends to all processes a worker ignores: the run decides about it.
    """
    pool.submit(die, signal.SIGINT).result()
