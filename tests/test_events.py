"""Events, emitters, and how one subscribes to them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

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
    as_keys: dict[object, int] = {SAVED: 1}
    assert as_keys["saved"] == 1


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
    once = emitter.on(SAVED, every=1)(callback)
    assert other(once) is callback
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


def test_a_generator_is_no_callback() -> None:
    """
    Calling it would run nothing, which nobody means.
    """

    def generator() -> Iterator[None]:
        yield

    with pytest.raises(TypeError, match="yield"):
        Emitter().subscriber(Event[[]]("e"))(generator)


def test_an_unknown_option_of_a_callback_is_named() -> None:
    """
    The error says what was written, and what could be.
    """
    options: Any = {"evry": 2}
    with pytest.raises(TypeError, match=r"'evry'.*every"):
        Emitter().subscriber(Event[[]]("e"), **options)
