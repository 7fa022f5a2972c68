"""Events, who listens to them, and the one loop that calls those who do.

An `Event[P]` is a name and the signature its callbacks are called with. An `Emitter` has events;
a `Subscriber[P]` is one event of one emitter, and takes callbacks for it. Nothing in here knows
of schedulers, threads or clocks: callbacks run where `emit` is called, in the order in which they
were registered, which is what makes a program written with them reproducible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, overload

from typing_extensions import ParamSpec, TypedDict, TypeVar, Unpack, override

from amltk.callbacks import (
    INTERRUPTS,
    name_of,
    raise_together,
    refuse_unknown,
    refuse_what_cannot_be_called,
    repeat,
)
from amltk.exceptions import EventNotKnownError
from amltk.pace import Pace

if TYPE_CHECKING:
    from rich.tree import Tree

__all__ = ["CallbackOptions", "Emitter", "Event", "Registration", "Subscriber"]

P = ParamSpec("P", default=...)
E = ParamSpec("E")
Q = ParamSpec("Q", default=...)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class CallbackFor(Protocol[E, T_co, Q]):
    """A callback that can be called with `E` and was written with the signature `Q`.

    Matching an overloaded protocol means to match each of its overloads: the first checks the
    callback against its event, the second captures how the user wrote it. A decorator can then
    refuse what does not fit and still give back the very type it was given.
    """

    @overload
    def __call__(self, *args: E.args, **kwargs: E.kwargs) -> T_co: ...
    @overload
    def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> T_co: ...


class LambdaFor(Protocol[E]):
    """Matches nothing; its presence in a union tells checkers what a lambda's parameters are."""

    _nothing_has_this: int

    def __call__(self, *args: E.args, **kwargs: E.kwargs) -> object: ...


class CallbackOptions(TypedDict, total=False, closed=True):
    """When, and how often, a callback is called."""

    when: Callable[[], bool] | None
    """Asked each time the callback is due; it is called only if this returns `True`."""
    limit: int | None
    """The most calls there will ever be, repeats included; no limit if `None`."""
    repeat: int
    """How many times in a row to call it each time it is due; 1 if not given."""
    every: int
    """Be due on every so many emissions: with 2 on the 2nd, the 4th, …; 1 if not given."""


@dataclass(frozen=True, eq=False)
class Event(Generic[P]):
    """The name of something that happens; its callbacks are called with `P`.

    Equal to every event of the same name, and to the name itself.

    ```python
    SAVED: Event[[str, int]] = Event("saved")  # called with a path and a size in bytes
    ```
    """

    name: str
    """What the event is called, wherever a `str` is easier to write than the event."""

    @override
    def __eq__(self, other: object) -> bool:
        if isinstance(other, Event):
            return self.name == other.name
        return self.name == other

    @override
    def __hash__(self) -> int:
        return hash(self.name)

    @override
    def __str__(self) -> str:
        return self.name

    @override
    def __format__(self, spec: str, /) -> str:
        return format(self.name, spec)


@dataclass(slots=True, eq=False)
class Registration:
    """A callback on an event, as `Subscriber.registrations` lists it."""

    callback: Callable[..., object]
    """The function that was registered."""
    pace: Pace | None
    """When it is due; `None` for once on every emission."""
    channel: Channel
    """The event of the emitter it is registered on."""
    since: int
    """How often the event had been emitted when the callback was registered."""

    @property
    def n_calls(self) -> int:
        """How often the callback was called."""
        return self.channel.count - self.since if self.pace is None else self.pace.calls


class Channel:
    """One event of one emitter: its callbacks and its count, for every subscriber of it."""

    __slots__ = ("callbacks", "count", "event", "registrations")

    def __init__(self, event: Event) -> None:
        self.event: Event = event
        self.count: int = 0
        # Replaced, never changed: an emission in progress keeps the tuple it began with.
        self.registrations: tuple[Registration, ...] = ()
        self.callbacks: tuple[tuple[Callable[..., object], Pace | None], ...] = ()

    def register(self, callback: Callable[..., object], pace: Pace | None) -> None:
        registration = Registration(callback, pace, self, since=self.count)
        self._replace((*self.registrations, registration))

    def remove(self, callback: Callable[..., object]) -> None:
        kept = tuple(r for r in self.registrations if r.callback != callback)
        if len(kept) == len(self.registrations):
            raise ValueError(
                f"Cannot remove {name_of(callback)}() from {self.event}: it is not registered. "
                f"Registered are: {[name_of(r.callback) for r in kept]}"
            )
        self._replace(kept)

    def _replace(self, registrations: tuple[Registration, ...]) -> None:
        self.registrations = registrations
        self.callbacks = tuple((r.callback, r.pace) for r in registrations)


class Subscriber(Generic[P]):
    """One event of one emitter: takes callbacks for it, and emits it.

    ```python
    @emitter.on(SAVED)
    def report(path: str, size: int) -> None: ...


    @emitter.on(SAVED, every=10)  # or `subscriber(every=10)`
    def tidy_up(path: str, size: int) -> None: ...
    ```
    """

    __slots__ = ("_channel", "event", "options")

    def __init__(self, event: Event[P], channel: Channel, options: CallbackOptions) -> None:
        refuse_unknown(options, CallbackOptions.__annotations__, "A callback")
        Pace.of(**options)  # what cannot work is refused before there is a callback
        self.event: Event[P] = event
        """The event that callbacks subscribe to here."""
        self.options: CallbackOptions = options
        """When callbacks that are registered here are called."""
        self._channel = channel

    @property
    def event_count(self) -> int:
        """How often the event was emitted."""
        return self._channel.count

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """The callbacks of the event, in the order in which they are called."""
        return self._channel.registrations

    @overload
    def __call__(
        self, callback: CallbackFor[P, T, Q] | LambdaFor[P], /, **options: Unpack[CallbackOptions]
    ) -> Callable[Q, T]: ...
    @overload
    def __call__(self, /, **options: Unpack[CallbackOptions]) -> Subscriber[P]: ...
    def __call__(
        self, /, *callbacks: Callable[..., T], **options: Unpack[CallbackOptions]
    ) -> Callable[..., T] | Subscriber[P]:
        """Register a callback and return it, or get a decorator with these options.

        Args:
            *callbacks: The function to call; it comes back as it is, so decorators stack. None
                to get a decorator; several can be registered with `add`.
            **options: `when`, `limit`, `repeat` and `every`: see `Emitter.on`.

        Raises:
            TypeError: If the callback cannot be called, or is an `async def`.
            ValueError: If `limit`, `repeat` or `every` is below 1.
        """
        subscriber: Subscriber[P] = self._with(options) if options else self
        if not callbacks:
            return subscriber
        callback, *others = callbacks
        if others:
            raise TypeError(
                f"{self.event} was given {len(callbacks)} callbacks at once. Register one at a "
                "time, or all of them with .add(...)."
            )
        subscriber.add(callback)
        return callback

    def add(self, *callbacks: Callable[P, object]) -> None:
        """Register several callbacks at once, in this order; lambdas get their types here.

        Raises:
            TypeError: If a callback cannot be called, or is an `async def`.
        """
        for callback in callbacks:
            refuse_what_cannot_be_called(callback, self._channel.event)
        for callback in callbacks:
            self._channel.register(callback, Pace.of(**self.options))

    def remove(self, callback: Callable[..., object], /) -> None:
        """Take a callback off the event again; an emission in progress still calls it.

        Raises:
            ValueError: If the callback is not registered on the event.
        """
        self._channel.remove(callback)

    def emit(self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call every callback that is due, in the order of registration.

        Raises:
            BaseException: What a callback raised, after all others ran; an `ExceptionGroup`
                if several did. `KeyboardInterrupt` and `SystemExit` end the emission at once.
        """
        channel = self._channel
        channel.count += 1
        errors = None
        for callback, pace in channel.callbacks:
            try:
                if pace is not None:
                    repeat(callback, pace.due(), args, kwargs)
                elif kwargs:
                    callback(*args, **kwargs)
                else:  # a call without keywords is cheaper, and by far the most common
                    callback(*args)
            except INTERRUPTS:
                raise
            except BaseException as error:  # noqa: BLE001
                errors = [error] if errors is None else [*errors, error]
        if errors is not None:
            raise_together(channel.event, errors)

    def _with(self, options: CallbackOptions) -> Subscriber[P]:
        merged = CallbackOptions(**self.options)
        merged.update(options)
        return Subscriber(self.event, self._channel, merged)

    @override
    def __repr__(self) -> str:
        n = len(self._channel.registrations)
        return f"<Subscriber of {self._channel.event}: emitted {self.event_count}x, {n} callbacks>"


class Emitter:
    """Something that things happen to, and that tells whoever wants to know.

    ```python
    LOADED: Event[[str]] = Event("loaded")

    emitter = Emitter("reader")
    on_loaded = emitter.subscriber(LOADED)
    on_loaded(print)
    on_loaded.emit("data.csv")
    ```
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self._channels: dict[Event, Channel] = {}

    @property
    def events(self) -> tuple[Event, ...]:
        """The events known here, in the order in which they became known."""
        return tuple(self._channels)

    @property
    def event_counts(self) -> Counter[Event | str]:
        """How often each event was emitted; look them up as events or by their names."""
        counts: Counter[Event | str] = Counter()
        counts.update({event: channel.count for event, channel in self._channels.items()})
        return counts

    def subscriber(self, event: Event[P], /, **options: Unpack[CallbackOptions]) -> Subscriber[P]:
        """Declare an event, if it is not yet known, and get what subscribes to it.

        Args:
            event: The event.
            **options: See `on`.
        """
        return Subscriber(event, self._channel(event), options)

    @overload
    def on(self, event: Event[P], /, **options: Unpack[CallbackOptions]) -> Subscriber[P]: ...
    @overload
    def on(self, event: str, /, **options: Unpack[CallbackOptions]) -> Subscriber: ...
    def on(
        self, event: Event[P] | str, /, **options: Unpack[CallbackOptions]
    ) -> Subscriber[P] | Subscriber:
        """Subscribe to an event; use what this returns as a decorator.

        With `n` for the emissions so far, that makes `min(limit, repeat * (n // every))` calls, less
        those that `when` held back.

        Args:
            event: The event, or the name of one that is known here.
            **options: When to call the callback. `when`: a function that is asked each time it is
                due; `limit`: the most calls; `repeat`: calls in a row; `every`: be due on every so
                many emissions only.

        Raises:
            EventNotKnownError: If nobody declared an event of this name.
            ValueError: If `limit`, `repeat` or `every` is below 1.
        """
        channel = self._channel(event)
        return Subscriber(channel.event, channel, options)

    def emit(self, event: Event[P], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call the callbacks of an event; see `Subscriber.emit`.

        Hold on to a `subscriber` instead where this happens often: it need not look up the event.
        """
        self.subscriber(event).emit(*args, **kwargs)

    def _channel(self, event: Event | str) -> Channel:
        # An event finds the channel of its name and a name that of its event: they are equal.
        lookup = event if isinstance(event, Event) else Event(event)
        channel = self._channels.get(lookup)
        if channel is None:
            if not isinstance(event, Event):
                raise EventNotKnownError(self._unknown(event))
            channel = self._channels[event] = Channel(event)
        return channel

    def _unknown(self, name: str) -> str:
        known = ", ".join(sorted(event.name for event in self._channels)) or "none"
        return (
            f"{self.name or 'This emitter'} has no event named {name!r}. Known events: {known}. "
            f"To declare a new one, pass Event({name!r}) instead of its name."
        )

    def __iter__(self) -> Iterator[Subscriber]:
        for channel in tuple(self._channels.values()):
            yield Subscriber(channel.event, channel, {})

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name or ''}: {len(self._channels)} events>"

    def __rich__(self) -> Tree:
        from amltk.rendering.tree import emitter_tree  # noqa: PLC0415

        return emitter_tree(self)

    def _repr_mimebundle_(self, **_: object) -> Mapping[str, str]:
        from amltk.rendering.export import mimebundle  # noqa: PLC0415

        return mimebundle(self)
