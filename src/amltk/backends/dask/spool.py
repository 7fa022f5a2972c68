"""Files in which workers on this machine leave the outcomes of calls.

A Dask worker is sent calls ahead of time. When it dies, Dask cannot tell the call that it was computing
from those that only waited there; and what it had computed, but nobody had fetched yet, Dask computes
again. So each call has a file here. A worker makes it when it begins with the call and writes the
outcome into it, which the death of the worker cannot undo. Whoever makes the file first has the call:
that is how it is cancelled, too. All this costs less than to fetch outcomes through the scheduler.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from io import FileIO
from pathlib import Path

__all__ = ["Spool", "compute_once"]

DONE = b"d"
"""The first byte of a file, once the rest of it is there."""


class Spool:
    """The folder of these files, as the process sees it that submits the calls."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="amltk-dask-", ignore_cleanup_errors=True)

    @property
    def path(self) -> str:
        """Where it is."""
        return self._folder.name

    def take(self, number: int) -> bytes | None:
        """The outcome of a call, if it is there; the file is deleted then."""
        try:
            with file_of(self.path, number).open("rb") as file:
                is_done, outcome = file.read(len(DONE)) == DONE, file.read()
        except FileNotFoundError:
            return None
        if not is_done:
            return None
        file_of(self.path, number).unlink()
        return outcome

    def has_begun(self, number: int) -> bool:
        """Whether a worker has begun this call; not any more when the outcome was taken."""
        return file_of(self.path, number).exists()

    def keep_from_beginning(self, number: int) -> bool:
        """See to it that no worker begins this call; returns whether none has yet."""
        try:
            begin(self.path, number).close()
        except FileExistsError:
            return False
        return True

    def close(self) -> None:
        """Delete the folder."""
        self._folder.cleanup()


def compute_once(folder: str, number: int, compute: Callable[[], bytes]) -> None:
    """Compute a call, in a worker, and leave its outcome; not if somebody else has the call."""
    try:
        file = begin(folder, number)
    except FileExistsError:
        return
    with file:
        left = memoryview(compute())
        file.seek(len(DONE))
        while left:
            left = left[file.write(left) :]
        file.seek(0)
        file.write(DONE)


def begin(folder: str, number: int) -> FileIO:
    return FileIO(str(file_of(folder, number)), "xb")


def file_of(folder: str, number: int) -> Path:
    return Path(folder, str(number))
