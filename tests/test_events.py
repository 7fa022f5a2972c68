"""Events, emitters, and the one loop that calls the callbacks."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk import Emitter, Event, Scheduler, Subscriber
from amltk.callbacks import is_async
from amltk.exceptions import AmltkError, EventNotKnownError
from amltk.scheduling import ResultEvent

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


# What an event is.


@given(st.text(), st.text())
def test_an_event_is_its_name(a: str, b: str) -> None:
    """
    For all names, Event(a) = Event(b) iff a = b, Event(a) = a, and what is equal has one hash.
    """
    assert (Event(a) == Event(b)) is (a == b)
    assert (Event(a) == b) is (b == Event(a)) is (a == b)
    assert hash(Event(a)) == hash(a) == hash(ResultEvent(a))
    assert ResultEvent(a) == Event(a)
    assert str(Event(a)) == a


def test_an_event_cannot_be_changed() -> None:
    """
    Events are values: a name is given once.
    """
    event: Any = SAVED
    with pytest.raises(AttributeError):
        event.name = "lost"


def test_an_event_is_no_other_thing() -> None:
    """
    It equals events and names only.
    """
    assert SAVED != 5
    assert SAVED is not None
    assert {SAVED: 1}["saved"] == 1


def test_counts_are_found_by_event_and_by_name() -> None:
    """
    `counts["on_start"]` and `counts[Scheduler.STARTED]` are one entry.
    """
    counts = Scheduler.with_sequential().event_counts
    assert len(counts) == 11
    assert "on_start" in counts
    counts["on_start"] += 1
    assert counts[Scheduler.STARTED] == 1
    assert len(counts) == 11


# Registering.


def test_a_callback_comes_back_as_it_was() -> None:
    """
    Decorators stack: a function that is registered on two events is still itself.
    """
    emitter = Emitter()
    log: list[int] = []

    def callback(n: int) -> None:
        log.append(n)

    other = emitter.subscriber(Event[[int]]("other"))
    assert other(emitter.on(SAVED, every=1)(callback)) is callback
    emitter.emit(SAVED, 1)
    other.emit(2)
    assert log == [1, 2]


def test_options_can_be_given_at_any_of_three_places() -> None:
    """
    With `on`, with the subscriber, or beside the callback; the last word counts.
    """
    emitter = Emitter()
    log: list[str] = []
    emitter.on(SAVED, repeat=2)(appends(log, "on"))
    emitter.subscriber(SAVED)(repeat=3)(appends(log, "subscriber"))
    emitter.subscriber(SAVED, repeat=9)(appends(log, "beside"), repeat=4)
    emitter.emit(SAVED, 1)
    assert Counter(log) == {"on": 2, "subscriber": 3, "beside": 4}


def test_options_of_one_callback_are_not_those_of_the_next() -> None:
    """
    `subscriber(every=2)` makes another subscriber, and leaves this one as it is.
    """
    on_saved = saved()
    log: list[str] = []
    on_saved(every=2)(appends(log, "second"))
    on_saved(appends(log, "each"))
    on_saved.emit(1)
    on_saved.emit(2)
    assert log == ["each", "second", "each"]


def test_each_callback_counts_for_itself() -> None:
    """
    Two callbacks under one `limit=1` are called once each.
    """
    log: list[int] = []
    once = saved()(limit=1)
    once.add(appends(log, 1), appends(log, 2))
    once.emit(0)
    once.emit(0)
    assert log == [1, 2]


def test_every_counts_from_when_the_callback_was_registered() -> None:
    """
    Emissions before it do not count.
    """
    on_saved = saved()
    log: list[int] = []
    on_saved.emit(1)
    on_saved(log.append, every=2)
    on_saved.emit(2)
    on_saved.emit(3)
    assert log == [3]


def test_several_can_be_added_or_none() -> None:
    """
    If one of several callbacks cannot be one, none of them is registered.
    """
    on_saved = saved()
    wrong: Any = 5
    with pytest.raises(TypeError):
        on_saved.add(print, wrong)
    assert on_saved.registrations == ()


@pytest.mark.parametrize("option", ["limit", "repeat", "every"])
@pytest.mark.parametrize("value", [0, -1])
def test_options_that_can_never_call_anything_are_refused(option: str, value: int) -> None:
    """
    Wherever it is given, the error names the option and its value.
    """
    options: Any = {option: value}
    emitter = Emitter()
    for give in (
        lambda: emitter.on(SAVED, **options),
        lambda: emitter.subscriber(SAVED, **options),
        lambda: emitter.subscriber(SAVED)(**options),
        lambda: emitter.subscriber(SAVED)(print, **options),
    ):
        with pytest.raises(ValueError, match=f"{option}={value}"):
            give()
    assert emitter.subscriber(SAVED).registrations == ()


class AwaitedWhenCalled:
    async def __call__(self) -> None: ...


class PlainWhenMade:
    """Making one is a plain call, whatever its instances are."""

    async def __call__(self) -> None: ...


async def coroutine() -> None: ...


async def generator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    "callback", [coroutine, generator, AwaitedWhenCalled(), functools.partial(coroutine)]
)
def test_what_has_to_be_awaited_is_refused(callback: Callable[..., Any]) -> None:
    """
    A coroutine function would be called and then forgotten: it is refused when it is registered.
    """
    with pytest.raises(TypeError, match="saved"):
        saved()(callback)


def test_a_class_is_called_to_make_an_instance() -> None:
    """
    A class is no coroutine function only since its instances are.
    """
    assert is_async(AwaitedWhenCalled())
    assert not is_async(PlainWhenMade)


def test_what_cannot_be_called_is_refused() -> None:
    """
    `on_saved(f())` is told from `on_saved(f)` where it is written.
    """
    callback: Any = 5
    with pytest.raises(TypeError, match="callable"):
        saved()(callback)


def test_an_unknown_name_lists_the_known_ones() -> None:
    """
    A name that nobody declared is an error of this library, and a `KeyError`.
    """
    emitter = Emitter("store")
    emitter.subscriber(SAVED)
    emitter.subscriber(LOST)
    with pytest.raises(EventNotKnownError, match=r"store .*'svaed'.*lost, saved") as caught:
        emitter.on("svaed")
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, AmltkError)
    with pytest.raises(EventNotKnownError, match="none"):
        Emitter().on("saved")


def test_a_known_event_is_found_by_its_name() -> None:
    """
    The event and its name lead to the same callbacks.
    """
    emitter = Emitter()
    log: list[int] = []
    emitter.subscriber(SAVED)
    emitter.on("saved")(log.append)
    emitter.emit(SAVED, 1)
    emitter.on("saved").emit(2)
    assert log == [1, 2]
    assert emitter.events == (SAVED,)
    assert [subscriber.event for subscriber in emitter] == [SAVED]


def test_a_callback_can_be_taken_off() -> None:
    """
    `remove` takes off one callback, also a method, and leaves the others.
    """
    on_saved = saved()
    log: list[int] = []
    kept: list[int] = []
    on_saved.add(log.append, kept.append)
    on_saved.remove(log.append)
    on_saved.emit(1)
    assert (log, kept) == ([], [1])
    with pytest.raises(ValueError, match="not registered"):
        on_saved.remove(print)


def test_every_event_is_counted() -> None:
    """
    `event_counts` is a `dict` of all events of the emitter, also of those that never happened.
    """
    emitter = Emitter()
    emitter.subscriber(LOST)
    emitter.emit(SAVED, 1)
    emitter.emit(SAVED, 2)
    assert emitter.event_counts == {"lost": 0, "saved": 2}
    assert list(emitter.event_counts) == [LOST, SAVED]
    assert isinstance(emitter.event_counts, Counter)
    assert emitter.on(SAVED).event_count == 2


def test_they_print_as_what_they_are() -> None:
    """
    An emitter tells its name and how many events, a subscriber its event and how often.
    """
    emitter = Emitter("store")
    on_saved = emitter.subscriber(SAVED)
    on_saved(print)
    assert repr(emitter) == "<Emitter store: 1 events>"
    assert repr(on_saved) == "<Subscriber of saved: emitted 0x, 1 callbacks>"


# Emitting.


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
    expected = [((1,), {"self": 2, "callback": 3}), ((4,), {})]
    assert got == [call for call in expected for _ in range(2)]


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
    After n emissions a callback was called min(limit, repeat * (n // every)) times.
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
    if isinstance(caught, ExceptionGroup):
        assert len(raised) > 1
        assert list(caught.exceptions) == raised
        assert "saved" in str(caught)
    else:
        assert [caught] == (raised or [None])


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
