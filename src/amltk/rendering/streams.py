"""What a program prints while something is drawn below it.

While a display is on the screen, `sys.stdout` and `sys.stderr` are replaced by streams that only
remember what is written: a `print` costs an append and waits for nobody. The thread that draws
takes what was written, and puts it above the display.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, TextIO

__all__ = ["Printed", "catch_prints", "release_prints"]

STREAMS = ("stdout", "stderr")


class Printed:
    """What was printed and is not on the screen yet.

    Args:
        wake: Called whenever there is something new.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._written: deque[str] = deque()
        self.rest: str = ""
        """The beginning of a line whose end was not written yet."""

    def write(self, text: str) -> None:
        """Remember a text; may be called from any thread."""
        self._written.append(text)
        self._wake()

    def take_lines(self) -> list[str]:
        """The lines that were completed since the last time."""
        text = self.rest + "".join(taken_from(self._written))
        *lines, rest = text.split("\n")
        self.rest = overwritten(rest)
        return [overwritten(line) for line in lines]


def taken_from(written: deque[str]) -> Iterable[str]:
    while written:
        yield written.popleft()


def overwritten(line: str) -> str:
    """What is left to see of a line in which carriage returns went back to its beginning."""
    return line.rstrip("\r").rpartition("\r")[2]


class Stream:
    """Stands in for `sys.stdout` or `sys.stderr`; whatever is not writing, that one answers."""

    def __init__(self, printed: Printed, file: TextIO) -> None:
        self._printed = printed
        self.rich_proxied_file = file  # the name by which rich finds where to write itself

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)

    def write(self, text: str, /) -> int:
        """Remember the text."""
        self._printed.write("" + text)  # what is no text fails here, where it was written
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:
        """Remember all of these."""
        self._printed.write("".join(lines))

    def flush(self) -> None:
        """Nothing is to be done: what was written is shown as soon as possible."""


def catch_prints(printed: Printed) -> None:
    """Have what the program prints remembered from now on, as far as it goes to a terminal."""
    for name in STREAMS:
        file = getattr(sys, name)
        if file is not None and not isinstance(file, Stream) and file.isatty():
            setattr(sys, name, Stream(printed, file))


def release_prints() -> None:
    """Have what the program prints printed again."""
    for name in STREAMS:
        stream = getattr(sys, name)
        if isinstance(stream, Stream):
            setattr(sys, name, stream.rich_proxied_file)


if hasattr(os, "register_at_fork"):
    # A forked worker has no thread that would draw what it prints.
    os.register_at_fork(after_in_child=release_prints)
