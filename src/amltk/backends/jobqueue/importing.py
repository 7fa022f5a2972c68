"""Importing dask-jobqueue without what it does to Ctrl-C.

Its import replaces the handler of SIGINT for the whole program, and so fails in any thread but the
main one. Neither is needed for submitting jobs.
"""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from amltk.backends.base import needs

__all__ = ["import_jobqueue"]

_one_at_a_time = threading.Lock()


def import_jobqueue() -> None:
    """Import dask-jobqueue.

    Raises:
        BackendNotInstalledError: If it is not installed.
    """
    with _one_at_a_time:
        if "dask_jobqueue" not in sys.modules:
            with needs("dask_jobqueue", extra="jobqueue"), no_new_handlers():
                importlib.import_module("dask_jobqueue")


@contextmanager
def no_new_handlers() -> Generator[None]:
    """Have this thread set no handlers of signals; others may."""
    thread, real = threading.get_ident(), signal.signal

    def pretend(number: int, handler: Any, /) -> Any:
        if threading.get_ident() != thread:
            return real(number, handler)
        return signal.getsignal(number)

    signal.__dict__["signal"] = pretend
    try:
        yield
    finally:
        signal.__dict__["signal"] = real
