"""Loky's pools: the one of a run, the one that everybody shares, and what happens if one breaks."""

from __future__ import annotations

import os
from collections.abc import Generator
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

import loky
import psutil
import pytest

from amltk import Scheduler
from amltk.backends import Loky
from amltk.backends.payload import outcome_of, pack_call
from amltk.backends.reopening import ReopeningPool
from tests.helpers import echo, pid, program, recall, remember

NEVER = 1000
"""Seconds after which a worker ends that has nothing to do."""


@pytest.fixture
def shared() -> Generator[Any]:
    """The pool that loky shares between everybody in this process."""
    executor = loky.get_reusable_executor(max_workers=1, timeout=NEVER)
    yield executor
    executor.shutdown(wait=True)


def test_the_shared_pool_is_not_touched(shared: Any) -> None:
    """
    A run has a pool of its own, also if it ends that at once.
    """
    worker = shared.submit(pid).result()
    scheduler = Scheduler.with_loky(2)
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    scheduler.run()
    scheduler.on_start(scheduler.stop)
    scheduler.run(wait=False)
    assert loky.get_reusable_executor(max_workers=1, timeout=NEVER) is shared
    assert shared.submit(pid).result() == worker


def test_the_shared_pool_is_used_if_it_is_asked_for(shared: Any) -> None:
    """
    And left open, even by a run that does not wait.
    """
    worker = shared.submit(pid).result()
    scheduler = Scheduler.with_loky(1, reuse=True, timeout=NEVER)
    results: list[int] = []
    scheduler.on_start.add(lambda: scheduler.submit(pid))
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    scheduler.run()
    scheduler.on_start(scheduler.stop)
    scheduler.run(wait=False)
    assert results[0] == worker
    assert shared.submit(echo, 2).result() == 2


def test_workers_begin_as_they_are_told() -> None:
    """
    With an initializer and an environment.
    """
    recipe = Loky(1, initializer=remember, initargs=("here",), env={"AMLTK_TEST_ENV": "there"})
    with recipe.open() as pool:
        assert pool.submit(recall).result() == "here"
        assert pool.submit(recall, "AMLTK_TEST_ENV").result() == "there"
    assert recall() is None


BREAKING = """
import gc, os, signal
from amltk import Scheduler

def die():
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    for _ in range(4):
        scheduler = Scheduler.with_loky(1)
        scheduler.on_start(lambda: scheduler.submit(die), repeat=5)
        scheduler.run(on_exception="ignore")
        gc.collect()
        print(len(os.listdir("/proc/self/fd")), flush=True)
"""


def test_broken_pools_do_not_pile_up(tmp_path: Path) -> None:
    """
    Twenty pools that broke leave hardly more descriptors open than five do.
    """
    with program(tmp_path / "p.py", BREAKING) as process:
        out, err = process.communicate()
    first, *_, last = map(int, out.split())
    assert last <= first + 5
    assert err == ""


def test_a_run_waits_for_the_end_of_its_workers() -> None:
    """
    Whichever thread hears first that the last call is done; twenty times in a row.
    """
    pools = [Loky(1).open() for _ in range(5)]
    before = set(psutil.Process().children())
    for pool in pools:
        with pool:
            assert pool.submit(os.getppid).result() == os.getpid()
        assert set(psutil.Process().children()) <= before


# In front of any pool that breaks.


class Fragile(Executor):
    """A pool that a test breaks."""

    def __init__(self) -> None:
        self.broken = False
        self.shut = False
        self.in_hand: list[tuple[Future[Any], bytes]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if self.broken:
            raise BrokenExecutor
        future: Future[Any] = Future()
        self.in_hand.append((future, args[0]))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.shut = True

    def finish_all(self) -> None:
        while self.in_hand:
            future, packed = self.in_hand.pop(0)
            future.set_result(bytes(outcome_of(packed)))

    def break_now(self) -> None:
        self.broken = True
        while self.in_hand:
            self.in_hand.pop()[0].set_exception(BrokenExecutor("broken"))


class Opened:
    """A reopening pool for two calls at a time, and the pools that it has opened."""

    def __init__(self, *, owned: bool = True) -> None:
        self.pools: list[Fragile] = []
        self.executor = ReopeningPool(
            self.open, 2, owned=owned, pack=pack_call, compute=lambda packed: packed
        )

    def open(self) -> Fragile:
        self.pools.append(Fragile())
        return self.pools[-1]


def test_a_pool_is_given_what_it_can_run() -> None:
    """
    No more calls at a time than it has workers: that is all that it can take with it.
    """
    opened = Opened()
    futures = [opened.executor.submit(echo, n) for n in range(5)]
    assert len(opened.pools[0].in_hand) == 2
    opened.pools[0].finish_all()
    assert [future.result(timeout=0) for future in futures] == [0, 1, 2, 3, 4]
    opened.executor.shutdown()
    assert opened.pools[0].shut


def test_what_waits_goes_on_with_a_new_pool() -> None:
    """
    When a pool breaks, its two calls are lost and the other three are not.
    """
    opened = Opened()
    futures = [opened.executor.submit(echo, n) for n in range(5)]
    opened.pools[0].break_now()
    opened.pools[1].finish_all()
    assert [future.exception(timeout=0) is None for future in futures] == [False] * 2 + [True] * 3
    opened.executor.shutdown()


@pytest.mark.parametrize("owned", [True, False])
def test_a_pool_that_nobody_waits_for_is_shut_by_its_last_call(*, owned: bool) -> None:
    """
    If it is owned; otherwise it stays open.
    """
    opened = Opened(owned=owned)
    future = opened.executor.submit(echo, 1)
    opened.executor.shutdown(wait=False)
    assert not opened.pools[0].shut
    opened.pools[0].finish_all()
    assert future.result(timeout=0) == 1
    assert opened.pools[0].shut is owned
    with pytest.raises(RuntimeError, match="shutdown"):
        opened.executor.submit(echo, 1)
