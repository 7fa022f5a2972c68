"""Calls and outcomes as bytes.

What cannot be pickled is turned into an error that says so, at the end where it is noticed, so
that whoever waits for the outcome always gets one.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeAlias

from typing_extensions import override

from amltk.backends.raised import as_pickled, raised_again
from amltk.callbacks import name_of
from amltk.exceptions import NotPicklableError

__all__ = [
    "Packed",
    "RemoteTraceback",
    "come_from",
    "outcome_of",
    "pack_call",
    "pack_error",
    "pack_result",
    "said",
    "unpack_call",
    "unpack_outcome",
]

Packed: TypeAlias = bytes | memoryview
"""Something pickled."""


class RemoteTraceback(Exception):  # noqa: N818 - it is a cause, nobody raises it
    """The traceback of an exception in the process where it was raised, as text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    @override
    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


def pack_call(
    function: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    dumps: Callable[[object], Packed] = ForkingPickler.dumps,
) -> Packed:
    """Pickle a call.

    Raises:
        NotPicklableError: If the function or an argument cannot be pickled.
    """
    try:
        return dumps((function, args, kwargs))
    except BaseException as error:
        raise NotPicklableError(
            f"Cannot send {name_of(function)}() with its arguments to a worker: {said(error)}. "
            "Functions have to be defined at the top level of a module, and arguments have to "
            "be picklable."
        ) from error


def outcome_of(
    packed_call: Packed, dumps: Callable[[object], Packed] = ForkingPickler.dumps
) -> Packed:
    """Compute a packed call, in the worker, and pack what comes of it."""
    try:
        function, args, kwargs = unpack_call(packed_call)
    except NotPicklableError as error:
        return pack_error(error, error.__cause__ or error, dumps)
    try:
        result = function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001
        return pack_error(error, error, dumps)
    return pack_result(function, result, dumps)


def unpack_call(packed_call: Packed) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Unpickle a function with its arguments, in the worker.

    Raises:
        NotPicklableError: If that cannot be done here.
    """
    try:
        function, args, kwargs = pickle.loads(packed_call)
    except BaseException as error:
        raise NotPicklableError(
            f"A worker cannot unpickle the call it got: {said(error)}. The function has to be "
            "importable in the worker under the name it was defined with."
        ) from error
    return function, args, kwargs


def pack_result(
    function: Callable[..., object],
    result: object,
    dumps: Callable[[object], Packed],
) -> Packed:
    """Pickle what a call returned, or else an error that says why it cannot be."""
    try:
        return dumps((None, result))
    except BaseException as error:  # noqa: BLE001
        kind = type(result).__qualname__
        return pack_error(
            NotPicklableError(
                f"Cannot send back what {name_of(function)}() returned, a {kind}: {said(error)}. "
                "Return something that can be pickled."
            ),
            error,
            dumps,
        )


def pack_error(
    error: BaseException,
    origin: BaseException,
    dumps: Callable[[object], Packed] = ForkingPickler.dumps,
) -> Packed:
    """Pickle an exception with the traceback of where it comes from."""
    trace = traced(origin)
    try:
        packed = dumps((as_pickled(error), trace))
        if type(raised_again(pickle.loads(packed)[0])) is type(error):
            return packed
        reason = "it would arrive as something else"
    except BaseException as failure:  # noqa: BLE001 - many can be pickled but not unpickled
        reason = said(failure)
    replacement = NotPicklableError(
        f"The call raised {said(error)}. The exception itself cannot be sent back: {reason}. "
        "What it passes to `Exception.__init__` has to be what its own `__init__` takes."
    )
    return dumps((replacement, trace))


def unpack_outcome(packed: Packed) -> tuple[BaseException | None, Any]:
    """The exception, or `None` and the result, that a worker sent."""
    try:
        error, value = pickle.loads(packed)
        error = raised_again(error)
    except BaseException as reason:  # noqa: BLE001
        unreadable = NotPicklableError(
            f"The outcome that a worker sent cannot be unpickled here: {said(reason)}."
        )
        unreadable.__cause__ = reason
        return unreadable, None
    return (None, value) if error is None else (come_from(error, value), None)


def come_from(error: BaseException, trace: str) -> BaseException:
    """The exception, with the traceback that it had where it comes from."""
    with suppress(BaseException):  # some exceptions refuse every attribute
        BaseException.__setattr__(error, "__cause__", RemoteTraceback(trace))
    return error


def traced(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except BaseException as failure:  # noqa: BLE001 - its `__str__` is code of somebody else
        return f"{type(error).__qualname__}, whose traceback cannot be shown: {failure!r}"


def said(error: BaseException) -> str:
    """An exception in a line; whatever its own `__str__` does."""
    try:
        return f"{type(error).__qualname__}: {error}"
    except BaseException:  # noqa: BLE001
        return type(error).__qualname__
