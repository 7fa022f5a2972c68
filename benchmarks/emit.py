"""Telling one callback one thing, again and again.

Runs in the environment that the benchmark makes for itself. The other libraries are there and
nowhere else, hence the imports by name: no type checker could find them.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from pairs import Pair, in_turn, seconds

from amltk.events import Emitter, Event

N_EMISSIONS = 200_000


def callback(_value: int) -> None:
    """Hears of it."""


def against_a_loop(rounds: int) -> list[Pair]:
    callbacks = [callback]

    def loop() -> None:
        for value in range(N_EMISSIONS):
            for each in callbacks:
                each(value)

    return in_turn(lambda: seconds(emissions), lambda: seconds(loop), rounds)


def against_pyee(rounds: int) -> list[Pair]:
    emitter: Any = import_module("pyee").EventEmitter()
    emitter.add_listener("happened", callback)

    def emit() -> None:
        for value in range(N_EMISSIONS):
            emitter.emit("happened", value)

    return against(emit, rounds)


def against_blinker(rounds: int) -> list[Pair]:
    signal: Any = import_module("blinker").Signal()
    signal.connect(callback)

    def emit() -> None:
        for value in range(N_EMISSIONS):
            signal.send(value)

    return against(emit, rounds)


def against_psygnal(rounds: int) -> list[Pair]:
    signal: Any = import_module("psygnal").SignalInstance((int,))
    signal.connect(callback)

    def emit() -> None:
        for value in range(N_EMISSIONS):
            signal.emit(value)

    return against(emit, rounds)


def against(emit: Callable[[], None], rounds: int) -> list[Pair]:
    return in_turn(lambda: seconds(emissions), lambda: seconds(emit), rounds)


HAPPENED: Event[[int]] = Event("happened")
subscriber = Emitter().subscriber(HAPPENED)
subscriber(callback)


def emissions() -> None:
    for value in range(N_EMISSIONS):
        subscriber.emit(value)
