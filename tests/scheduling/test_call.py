"""A call, and the future of its outcome."""

from __future__ import annotations

import asyncio
import copy
import functools
import gc
import pickle
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

import pytest

from amltk.scheduling import Call, CallFuture
from amltk.scheduling.call import future_of, refuse_what_cannot_be_submitted
from tests.virtual_time import VirtualTimeLoop


def power(base: int, exponent: int = 2) -> int:
    return int(base**exponent)


def test_a_call_is_written_as_one_would_write_it() -> None:
    """
    It prints as the call it is.
    """
    assert repr(Call.of(power, 2, exponent=3)) == "power(2, exponent=3)"
    assert repr(Call.of(power, 2)) == "power(2)"


def test_a_call_keeps_every_keyword() -> None:
    """
    Keywords that are called like the parameters of `Call.of` and `with_kwargs` are the function's.
    """

    def takes(**kwargs: int) -> dict[str, int]:
        return kwargs

    names = ["cls", "function", "fn", "args", "kwargs", "key", "pure", "self"]
    keywords = dict.fromkeys(names, 1)
    assert Call.of(takes, **keywords).kwargs == keywords
    assert Call.of(takes).with_kwargs(**keywords).kwargs == keywords


def test_a_changed_call_is_another_one() -> None:
    """
    Plugins make new calls; the one they were asked about stays as it is.
    """
    call = Call.of(power, 2, exponent=3)
    longer = call.with_kwargs(exponent=4)
    other = call.with_function(int)
    assert (longer.function, longer.args, longer.kwargs) == (power, (2,), {"exponent": 4})
    assert (other.function, other.args, other.kwargs) == (int, (2,), {"exponent": 3})
    assert call == Call(power, (2,), {"exponent": 3})
    frozen: Any = call
    with pytest.raises(AttributeError):
        frozen.args = ()


def test_a_call_can_be_copied_and_sent() -> None:
    """
    `copy`, `deepcopy` and `pickle` give an equal call.
    """
    call = Call.of(power, 2, exponent=3)
    assert copy.copy(call) == call
    assert copy.deepcopy(call) == call
    assert pickle.loads(pickle.dumps(call)) == call


class AwaitedWhenCalled:
    async def __call__(self) -> None: ...


async def coroutine() -> None: ...


@pytest.mark.parametrize("function", [coroutine, functools.partial(coroutine), AwaitedWhenCalled()])
def test_what_has_to_be_awaited_cannot_be_submitted(function: Callable[..., object]) -> None:
    """
    Workers call functions; the error says what to do with an `async def`.
    """
    with pytest.raises(TypeError, match=r"asyncio\.run"):
        refuse_what_cannot_be_submitted(function)


def test_what_cannot_be_called_cannot_be_submitted() -> None:
    """
    `submit(f(1))` is told from `submit(f, 1)`.
    """
    function: Any = power(2)
    with pytest.raises(TypeError, match=r"submit\(f, 1\)"):
        refuse_what_cannot_be_submitted(function)


@pytest.mark.parametrize("function", [power, abs, int, AwaitedWhenCalled, functools.partial(power)])
def test_everything_else_can_be_submitted(function: Callable[..., object]) -> None:
    """
    Functions, builtins, classes and partials are all called alike.
    """
    refuse_what_cannot_be_submitted(function)


# The future.


@pytest.fixture
def loop() -> Generator[VirtualTimeLoop]:
    loop = VirtualTimeLoop()
    yield loop
    loop.close()
    assert loop.complaints == []


@pytest.fixture
def cancelled() -> list[Future[Any]]:
    return []


@pytest.fixture
def source() -> Future[int]:
    return Future()


@pytest.fixture
def future(
    loop: VirtualTimeLoop, source: Future[int], cancelled: list[Future[Any]]
) -> CallFuture[int]:
    return future_of(Call.of(power, 2), None, source, cancelled.append, loop)


def test_it_is_an_asyncio_future_that_knows_its_call(future: CallFuture[int]) -> None:
    """
    One can await it, and ask what it computes.
    """
    assert isinstance(future, asyncio.Future)
    assert repr(future.call) == "power(2)"
    assert future.owner is None


def test_cancelling_it_cancels_the_call(
    future: CallFuture[int], source: Future[int], cancelled: list[Future[Any]]
) -> None:
    """
    The executor's future is cancelled once, however often one tries.
    """
    assert future.cancel("no longer needed")
    assert not future.cancel()
    assert cancelled == [source]
    assert future.cancelled()


def test_dropping_it_asks_nothing_of_the_executor(
    future: CallFuture[int], cancelled: list[Future[Any]]
) -> None:
    """
    It is cancelled, and that is all.
    """
    future.drop()
    assert future.cancelled()
    assert cancelled == []


def test_what_came_too_late_is_not_cancelled(
    future: CallFuture[int], cancelled: list[Future[Any]]
) -> None:
    """
    Once there is an outcome, there is nothing to cancel.
    """
    future.set_result(4)
    assert not future.cancel()
    assert cancelled == []


def test_cancelling_who_awaits_it_cancels_the_call(
    loop: VirtualTimeLoop, future: CallFuture[int], cancelled: list[Future[Any]]
) -> None:
    """
    A coroutine that is cancelled while it awaits a call takes the call with it.
    """

    async def wait() -> int:
        return await future

    task = loop.create_task(wait())
    loop.run_until_idle()
    task.cancel()
    loop.run_until_idle()
    assert task.cancelled()
    assert len(cancelled) == 1


@pytest.mark.parametrize("error", [ValueError(), SystemExit(1), asyncio.CancelledError()])
def test_it_fails_as_the_computation_did(future: CallFuture[int], error: BaseException) -> None:
    """
    The very exception is there, also one that is no `Exception`.
    """
    future.fail(error)
    assert future.exception() is error
    assert not future.cancelled()


def test_nobody_has_to_look_at_a_failure(
    loop: VirtualTimeLoop, cancelled: list[Future[Any]]
) -> None:
    """
    A future that failed goes away in silence: it is published, so asyncio has nothing to complain of.
    """
    source: Future[int] = Future()
    future_of(Call.of(power, 2), None, source, cancelled.append, loop).fail(ValueError())
    gc.collect()
    assert loop.complaints == []


def test_the_one_error_that_futures_cannot_hold_is_wrapped(future: CallFuture[int]) -> None:
    """
    `StopIteration` becomes the cause of an error that says so.
    """
    error = StopIteration(3)
    future.fail(error)
    wrapped = future.exception()
    assert isinstance(wrapped, RuntimeError)
    assert wrapped.__cause__ is error
    assert "StopIteration(3)" in str(wrapped)
