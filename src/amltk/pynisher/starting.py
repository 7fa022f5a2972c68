"""Starting the process of a limited call, in whatever kind of process this is.

It may be the program itself with all its threads, one of our workers or of loky's, a daemon. Each has
its own reason why Python would not let it start another one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing import (
    forkserver,
    get_all_start_methods,
    get_context,
    get_start_method,
    process,
    set_start_method,
)
from multiprocessing.connection import Connection

from typing_extensions import TypeVar

from amltk.backends.start_method import ProcessContext, StartMethod, context_for, known
from amltk.backends.worker_process import start

__all__ = ["context_here", "started"]

T = TypeVar("T")

# Threads start processes one after the other: none is forked with the pipes of another one, and
# what belongs to all threads is changed by one of them at a time.
starting: threading.Lock = threading.Lock()


def make_starting_possible() -> None:
    """In a process that was forked while a thread had the lock, which is not there any more."""
    global starting  # noqa: PLW0603
    starting = threading.Lock()


os.register_at_fork(after_in_child=make_starting_possible)


def started(
    context: ProcessContext, live: Callable[[Connection, T], None], order: T
) -> tuple[process.BaseProcess, Connection]:
    """A process that was started, and where one reads what it says.

    Args:
        context: How to start it.
        live: What it does, with where to write and the order.
        order: What it is told.
    """
    method = context.get_start_method()
    with starting, may_have_children(), has_a_known_method(method):
        reader, writer = context.Pipe(duplex=False)
        # A daemon: a program that exits in the meantime ends it, and does not wait for it.
        new = context.Process(target=live, args=(writer, order), daemon=True)
        start(new, method)
        writer.close()
    return new, reader


@contextmanager
def may_have_children() -> Generator[None]:
    """In here, this process may start others even if it is a daemon.

    Python forbids that, since nobody would end them. Ours end with it.
    """
    this = process.current_process()
    was = this.daemon
    try:
        if was:
            this.daemon = False
        yield
    finally:
        if was:
            this.daemon = was


@contextmanager
def has_a_known_method(method: str) -> Generator[None]:
    """In here, what Python does by default is what a new process knows of.

    It is told what that is, and in a worker of loky it would be loky's own way.
    """
    was = get_start_method()
    if known(was) is not None:
        yield
        return
    set_start_method(method, force=True)
    try:
        yield
    finally:
        set_start_method(was, force=True)


def context_here(method: StartMethod | None) -> ProcessContext:
    """How processes are started in this one, which may be a worker."""
    context = context_for(method)
    if known(context.get_start_method()) is None:  # loky puts its own way in place of Python's
        context = context_for(known(get_all_start_methods()[0]))
    if context.get_start_method() == "forkserver":
        try:
            forkserver.ensure_running()  # before the time of the call counts
        except ChildProcessError:
            # It runs, but for the process that this one was forked from. Python sees no difference.
            return get_context("spawn")
    return context
