"""What an emission does: whom it calls, in which order, how often; and what if they raise."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk import Emitter, Event, Subscriber
from amltk.scheduling.lifecycle import is_group

SAVED: Event[[int]] = Event("saved")
LOST: Event[[]] = Event("lost")


def saved() -> Subscriber[[int]]:
    return Emitter("store").subscriber(SAVED)


def appends(log: list[Any], value: object) -> Callable[..., None]:
    return lambda *_, **__: log.append(value)


def raises(error: BaseException) -> Callable[..., NoReturn]:
    def callback(*_: object, **__: object) -> NoReturn:
        raise error

    return callback


def test_arguments_arrive_as_they_were_given() -> None:
    """
    Positions and keywords reach each callback, with and without options.
    """
    got: list[tuple[object, ...]] = []
    on: Subscriber = Emitter().subscriber(Event("any"))

    def keep(*args: object, **kwargs: object) -> None:
        got.append((args, kwargs))

    on.add(keep)
    on(keep, repeat=1, limit=5)
    on.emit(1, self=2, callback=3)
    on.emit(4)
    assert got[:2] == [((1,), {"self": 2, "callback": 3})] * 2
    assert got[2:] == [((4,), {})] * 2


paces = st.fixed_dictionaries(
    {},
    optional={
        "repeat": st.integers(min_value=1, max_value=4),
        "every": st.integers(min_value=1, max_value=4),
        "limit": st.integers(min_value=1, max_value=10),
    },
)


@given(options=st.lists(paces, max_size=8), n=st.integers(min_value=0, max_value=12))
def test_callbacks_run_in_the_order_of_registration(options: list[dict[str, int]], n: int) -> None:
    """
    For every list of callbacks, each emission calls them in the order they were registered in.
    """
    on_saved = saved()
    log: list[int] = []
    for position, option in enumerate(options):
        arguments: Any = option
        on_saved(appends(log, position), **arguments)
    for _ in range(n):
        log.clear()
        on_saved.emit(0)
        assert log == sorted(log)
    assert on_saved.event_count == n


@given(options=paces, n=st.integers(min_value=0, max_value=40))
def test_how_often_a_callback_is_called(options: dict[str, int], n: int) -> None:
    """
    For every n: n emissions make min(limit, repeat * (n // every)) calls.
    """
    on_saved = saved()
    log: list[int] = []
    arguments: Any = options
    on_saved(log.append, **arguments)
    for i in range(n):
        on_saved.emit(i)
    wanted = options.get("repeat", 1) * (n // options.get("every", 1))
    assert len(log) == min(options.get("limit", wanted), wanted)
    assert on_saved.registrations[0].n_calls == len(log)


class Restless:
    """Five callbacks that register, remove and emit, each as its part of a plan says."""

    def __init__(self, plan: list[list[tuple[str, int]]]) -> None:
        self.on_saved = saved()
        self.plan = plan
        self.callbacks = [functools.partial(self.called, which) for which in range(5)]
        self.registered: list[int] = []
        self.log: list[tuple[int, int]] = []
        self.fuel = 20

    def called(self, which: int, number: int) -> None:
        self.log.append((number, which))
        for what, other in self.plan[which]:
            self.act(what, other)

    def act(self, what: str, which: int) -> None:
        if what == "register" and which not in self.registered:
            self.registered.append(which)
            self.on_saved.add(self.callbacks[which])
        elif what == "remove" and which in self.registered:
            self.registered.remove(which)
            self.on_saved.remove(self.callbacks[which])
        elif what == "emit" and self.fuel:
            self.fuel -= 1
            self.emit()

    def emit(self) -> None:
        """Emit a number of its own, and look who was called with it."""
        number, there = self.on_saved.event_count, tuple(self.registered)
        self.on_saved.emit(number)
        assert [which for n, which in self.log if n == number] == list(there)


acts = st.tuples(st.sampled_from(["register", "remove", "emit"]), st.integers(0, 4))


@given(
    plan=st.lists(st.lists(acts, max_size=3), min_size=5, max_size=5),
    start=st.permutations(range(5)),
    n=st.integers(1, 5),
)
def test_an_emission_calls_those_that_were_there_when_it_began(
    plan: list[list[tuple[str, int]]], start: list[int], n: int
) -> None:
    """
    For every script of callbacks that register, remove and emit, each emission calls exactly those
    that were registered when it began, once and in their order; nested emissions too.
    """
    restless = Restless(plan)
    for which in start[:3]:
        restless.act("register", which)
    for _ in range(n):
        restless.emit()


def test_an_emission_within_an_emission_comes_first() -> None:
    """
    What a callback emits is over before the next callback is called.
    """
    on_saved = saved()
    log: list[tuple[str, int]] = []

    @on_saved
    def again(n: int) -> None:
        log.append(("first", n))
        if n:
            on_saved.emit(n - 1)

    on_saved.add(lambda n: log.append(("second", n)))
    on_saved.emit(2)
    firsts = [("first", 2), ("first", 1), ("first", 0)]
    assert log == [*firsts, ("second", 0), ("second", 1), ("second", 2)]


# Callbacks that raise.


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=8))
def test_a_callback_that_raises_silences_nobody(script: list[tuple[bool, int]]) -> None:
    """
    For every set of callbacks that raise, repeats included, all others run; one error is raised as
    it is, several as a group of all of them in order.
    """
    on_saved = saved()
    calls: list[int] = []
    raised: list[BaseException] = []

    def register(position: int, fails: bool, times: int) -> None:
        @on_saved(repeat=times)
        def _(_: int) -> None:
            calls.append(position)
            if fails:
                raised.append(ValueError(position))
                raise raised[-1]

    for position, (fails, times) in enumerate(script):
        register(position, fails, times)
    caught: BaseException | None = None
    try:
        on_saved.emit(0)
    except BaseException as error:
        caught = error
    assert calls == [p for p, (_, times) in enumerate(script) for _ in range(times)]
    if len(raised) > 1:
        assert isinstance(caught, Exception)
        assert is_group(caught)
        assert list(caught.exceptions) == raised
        assert "saved" in str(caught)
    else:
        assert caught is (raised[0] if raised else None)


def test_a_group_that_was_raised_stays_one() -> None:
    """
    A callback's own `ExceptionGroup` is one error, and is not taken apart.
    """
    on_saved = saved()
    own = ExceptionGroup("own", [ValueError(1), ValueError(2)])
    on_saved.add(raises(own))
    with pytest.raises(ExceptionGroup) as caught:
        on_saved.emit(0)
    assert caught.value is own
    other = KeyError()
    on_saved.add(raises(other))
    with pytest.raises(ExceptionGroup) as caught:
        on_saved.emit(0)
    assert caught.value.exceptions == (own, other)


def test_errors_that_are_no_exceptions_make_a_base_group() -> None:
    """
    An `asyncio.CancelledError` is raised together with the others.
    """
    on_saved = saved()
    on_saved.add(raises(asyncio.CancelledError()), raises(ValueError()))
    with pytest.raises(BaseExceptionGroup) as caught:
        on_saved.emit(0)
    assert not isinstance(caught.value, ExceptionGroup)
    assert [type(e) for e in caught.value.exceptions] == [asyncio.CancelledError, ValueError]


@given(
    position=st.integers(0, 3),
    interrupt=st.sampled_from([KeyboardInterrupt(), SystemExit(3)]),
    times=st.integers(1, 3),
)
def test_leaving_the_program_is_not_held_back(
    position: int, interrupt: BaseException, times: int
) -> None:
    """
    For every position, `KeyboardInterrupt` and `SystemExit` go through at once.
    """
    on_saved = saved()
    log: list[int] = []
    for before in range(position):
        on_saved.add(appends(log, before))
    on_saved(raises(interrupt), repeat=times)
    on_saved.add(appends(log, 99))
    with pytest.raises(type(interrupt)) as caught:
        on_saved.emit(0)
    assert caught.value is interrupt
    assert log == list(range(position))


def test_when_that_raises_is_an_error_like_any_other() -> None:
    """
    The callback is not called, the others are, and the error is raised.
    """
    on_saved = saved()
    log: list[int] = []
    on_saved(appends(log, 1), when=raises(ZeroDivisionError()))
    on_saved.add(appends(log, 2))
    with pytest.raises(ZeroDivisionError):
        on_saved.emit(0)
    assert log == [2]


def test_an_emitter_raises_what_its_subscriber_raises() -> None:
    """
    `emit` of the emitter is that of the subscriber.
    """
    emitter = Emitter()
    error = ValueError()
    emitter.on(LOST)
    emitter.subscriber(LOST).add(raises(error))
    with pytest.raises(ValueError) as caught:
        emitter.emit(LOST)
    assert caught.value is error


def test_how_often_a_callback_was_called_can_be_asked() -> None:
    """
    A registration knows its function, and the calls since it was registered.
    """
    on_saved = saved()
    on_saved.emit(1)
    on_saved(str)
    on_saved(str, every=2)
    on_saved.emit(2)
    assert [(r.callback, r.n_calls) for r in on_saved.registrations] == [(str, 1), (str, 0)]
