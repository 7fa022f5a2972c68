"""What happens inside the process of a limited call.

It sets its own limits, unpacks the call, makes it, and sends what came of it. The limit of memory is
lifted before that: what has run out of memory still has to say so.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import process
from multiprocessing.connection import Connection, wait
from typing import Any, TypeAlias

from amltk.backends.payload import Packed, pack_error, pack_result, said, unpack_call
from amltk.backends.signals import leave_signals_alone
from amltk.exceptions import MemoryLimitException, NotPicklableError
from amltk.pynisher.enforcing import limit_cpu_time, memory_limited
from amltk.pynisher.limits import Bounds
from amltk.pynisher.mailbox import CALLING, OUTCOME, SETTING_UP, send
from amltk.pynisher.packing import dumps

__all__ = ["Order", "live"]

Plain: TypeAlias = tuple[Callable[..., Any], tuple[object, ...], Mapping[str, object]]
"""A function and its arguments."""

WITHOUT_MEMORY = ("failed to map segment", "cannot allocate memory", "can't start new thread")
"""What Python says when a library or a thread did not get its memory."""


@dataclass(frozen=True)
class Order:
    """What a limited process is to do."""

    name: str
    """What the function is called in messages."""
    call: Plain | bytes
    """The call, or the call packed."""
    bounds: Bounds
    """What it may use."""


def live(pipe: Connection, order: Order) -> None:
    """Be the process of a limited call.

    Args:
        pipe: Where the outcome goes.
        order: What to do.
    """
    try:
        make_the_call(pipe, order)
    except BaseException:  # noqa: BLE001 - it cannot even say what happened, so it prints nothing
        os._exit(1)


def make_the_call(pipe: Connection, order: Order) -> None:
    leave_signals_alone()
    os.setsid()  # what it starts is found by that, whoever its parent is by then
    end_with_parent()
    process.current_process().daemon = False  # it may have processes of its own
    send(pipe.fileno(), SETTING_UP)
    packed = outcome_of(pipe, order)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()  # it may not come to that later, if a thread is left
    send(pipe.fileno(), OUTCOME, packed)


def end_with_parent() -> None:
    """Have the system end this process and its group when the one that waits for it is gone.

    Linux does so even if this one never looks, since it computes in C.
    """
    parent = process.parent_process()
    if parent is None:
        return
    # Python keeps a pipe open for this. It becomes readable when the parent's end is closed, and
    # the system can be asked to send a signal then.
    sentinel = parent.sentinel
    fcntl.fcntl(sentinel, fcntl.F_SETOWN, -os.getpgrp())
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(sentinel, fcntl.F_SETSIG, signal.SIGKILL)
    else:  # only Linux sends another signal than this one, which some systems ignore
        signal.signal(signal.SIGIO, end_group)
    fcntl.fcntl(sentinel, fcntl.F_SETFL, fcntl.fcntl(sentinel, fcntl.F_GETFL) | os.O_ASYNC)
    if wait([sentinel], 0):
        end_group()


def end_group(*_: object) -> None:
    os.killpg(os.getpgrp(), signal.SIGKILL)


def outcome_of(pipe: Connection, order: Order) -> Packed:
    """Make the call within its limits, and pack what comes of it."""
    try:
        if order.bounds.cpu_time is not None:
            limit_cpu_time(order.bounds.cpu_time)
        with memory_limited(order.bounds.memory, order.name):
            call = order.call
            function, args, kwargs = unpack_call(call) if isinstance(call, bytes) else call
            send(pipe.fileno(), CALLING)
            result = function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001
        return pack_error(as_limit(error, order), error, dumps)
    return pack_result(function, result, dumps)


def as_limit(error: BaseException, order: Order) -> BaseException:
    """What to say of what was raised: that it was the limit, if it was."""
    if order.bounds.memory is None or not is_out_of_memory(error):
        return error
    return MemoryLimitException(
        f"{order.name}() needs more memory than its `memory_limit` of {order.bounds.memory:,} bytes "
        f"({said(error)}). The interpreter and all that is loaded into it are part of that. Give "
        "it more, or less to do."
    )


def is_out_of_memory(error: BaseException | None) -> bool:
    match error:
        case MemoryLimitException():  # of a call within this call: it says so itself
            return False
        case MemoryError():
            return True
        case NotPicklableError():
            return is_out_of_memory(error.__cause__)
        case OSError():
            return error.errno == errno.ENOMEM
        case ImportError() | RuntimeError():
            return any(words in str(error).lower() for words in WITHOUT_MEMORY)
        case _:
            return False
