"""Functions as callbacks: which can be one, what to call them, and calling them several times."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping

from typing_extensions import ParamSpec, TypeVar

__all__ = [
    "INTERRUPTS",
    "ask",
    "is_async",
    "name_of",
    "raise_together",
    "refuse_unknown",
    "refuse_what_cannot_be_called",
    "repeat",
]

Q = ParamSpec("Q")
R = TypeVar("R")

INTERRUPTS = (KeyboardInterrupt, SystemExit)
"""What is never held back until the other callbacks have run."""


def name_of(function: Callable[..., object]) -> str:
    """What to call a function in a message."""
    name = getattr(function, "__qualname__", None)
    return name if isinstance(name, str) else f"{type(function).__qualname__} object"


def refuse_what_cannot_be_called(callback: object, event: object) -> None:
    """Raise a `TypeError` for what is no function, or one that has to be awaited."""
    if not callable(callback):
        raise TypeError(
            f"A callback of {event} has to be callable, and {callback!r} is not. "
            "Pass the function itself, not what it returns."
        )
    if inspect.isgeneratorfunction(callback):
        raise TypeError(
            f"{name_of(callback)}() cannot be a callback of {event}: it has a `yield`, so calling "
            "it runs nothing. Make it a plain function."
        )
    if is_async(callback):
        raise TypeError(
            f"{name_of(callback)}() cannot be a callback of {event}: it is an `async def`, and "
            "callbacks are called, not awaited. Make it a plain `def`; inside of it, "
            "asyncio.create_task(...) starts a coroutine."
        )


def ask(function: Callable[Q, R], /, *args: Q.args, **kwargs: Q.kwargs) -> R:
    """Call code of the user that decides something: Ctrl-C in here hits that code, and not ours."""
    return function(*args, **kwargs)


def refuse_unknown(options: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raise a `TypeError` for options that do not exist; checkers see them, programs may not."""
    unknown = sorted({*options} - {*known})
    if unknown:
        raise TypeError(
            f"{what} has no option {', '.join(map(repr, unknown))}. It has: {', '.join(known)}."
        )


def is_async(function: Callable[..., object]) -> bool:
    """Whether calling a function gives a coroutine or an async generator instead of a result."""
    call = None if isinstance(function, type) else getattr(function, "__call__", None)  # noqa: B004
    return any(
        inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in (function, call)
    )


def repeat(
    callback: Callable[..., object],
    times: int,
    args: Iterable[object],
    kwargs: Mapping[str, object],
) -> None:
    """Call a callback so many times in a row, each time whatever came of the one before."""
    errors: list[BaseException] = []
    for _ in range(times):
        try:
            callback(*args, **kwargs)
        except INTERRUPTS:
            raise
        except BaseException as error:  # noqa: BLE001
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else Repeated(errors)


class Repeated(BaseException):
    """Carries what several repeats of one callback raised to the emission they belong to."""

    def __init__(self, errors: list[BaseException]) -> None:
        super().__init__()
        self.errors = errors


def raise_together(event: object, errors: list[BaseException]) -> None:
    """Raise the one error there is, or all of them as a group."""
    flat: list[BaseException] = []
    for error in errors:
        flat.extend(error.errors if isinstance(error, Repeated) else [error])
    if len(flat) == 1:
        raise flat[0]
    raise BaseExceptionGroup(f"{len(flat)} calls of callbacks of {event} failed", flat)
