"""Futures that can be cancelled while their call is being computed."""

from __future__ import annotations

import threading
from concurrent.futures import ALL_COMPLETED, CancelledError, InvalidStateError, as_completed, wait
from typing import Any

import pytest

from amltk.backends.stoppable_future import StoppableFuture


class Stopped:
    """Counts how often it is asked to stop something."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.mark.parametrize("running", [False, True])
def test_cancelling_ends_it_at_once(*, running: bool) -> None:
    """
    For everybody: those who ask, those who wait, those who have left a callback.
    """
    stopped = Stopped()
    future: StoppableFuture[int] = StoppableFuture(stopped)
    told: list[Any] = []
    future.add_done_callback(told.append)
    if running:
        assert future.begin()
        assert future.running()
    assert future.cancel()
    assert future.cancelled()
    assert told == [future]
    assert stopped.times == 1
    assert wait([future], timeout=0, return_when=ALL_COMPLETED).done == {future}
    assert list(as_completed([future], timeout=0)) == [future]
    with pytest.raises(CancelledError):
        future.result(timeout=0)


@pytest.mark.parametrize("running", [False, True])
def test_who_waits_is_woken(*, running: bool) -> None:
    """
    Also if they began to before it was cancelled.
    """
    future: StoppableFuture[int] = StoppableFuture(Stopped())
    if running:
        future.begin()
    waiting = threading.Thread(target=lambda: list(as_completed([future])))
    waiting.start()
    while not future._waiters:
        pass
    future.cancel()
    waiting.join()


def test_what_is_done_cannot_be_cancelled() -> None:
    """
    Nor can what is cancelled begin, or have a result.
    """
    stopped = Stopped()
    done: StoppableFuture[int] = StoppableFuture(stopped)
    assert done.begin()
    done.set_result(1)
    assert not done.cancel()
    assert stopped.times == 0
    cancelled: StoppableFuture[int] = StoppableFuture(stopped)
    cancelled.cancel()
    assert cancelled.cancel()
    assert not cancelled.begin()
    assert not cancelled.begin()
    with pytest.raises(InvalidStateError):
        cancelled.set_result(1)


def test_it_begins_once() -> None:
    """
    To be told so twice changes nothing.
    """
    future: StoppableFuture[int] = StoppableFuture(Stopped())
    assert future.begin()
    assert not future.begin()
    assert future.running()
