"""Warnings that are filtered while one call runs, and for nobody else.

Python has one list of filters in each process, `warnings.filters`, and takes the first that fits a
warning. `warnings.catch_warnings` puts a copy in its place and the original back, which goes wrong
when two calls in threads overlap: the first to leave ends the filters of the other, and the
last to leave puts back those of the first. Here nothing is put in place of anything. An entry is
added to the list that is there, and the same entry is taken out again, so it does not matter what
others did to the list in between.

A call in the main thread of its process, as in a worker process, has that process to itself: its
entry is for all threads. In any other thread there may be calls beside it, so there it looks at
warnings of that thread only. All of it happens in C: no other thread can come between two entries
while Python goes through the list.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from typing_extensions import override

__all__ = ["Action", "WarningFilter"]

Action: TypeAlias = Literal["default", "error", "ignore", "always", "module", "once"]
"""What becomes of a warning."""

ANYTHING = re.compile("")
NOTHING = re.compile("(?!)")

LEAVES_NO_NOTE = frozenset({"ignore", "error", "always"})
"""After these Python does not note that a warning was shown, and what others see of it is as before."""

# What is not for everybody, and what many libraries use all the same.
PARTS = vars(warnings)
IN_CONTEXT: Callable[[], list[Entry]] | None = PARTS.get("_get_filters")
"""From Python 3.14 on there may be a list for each context, and this tells which it is."""
forget_what_was_shown: Callable[[], None] = PARTS["_filters_mutated"]
"""Has Python look at its filters again, also for warnings that it has shown."""


@dataclass(frozen=True, slots=True)
class WarningFilter:
    """One line of `warnings.filterwarnings`; calling it makes what has it hold in between."""

    action: Action
    message: str
    category: type[Warning]
    module: str
    lineno: int
    append: bool

    def __call__(self) -> Filtering:
        """Make a context for one call."""
        return Filtering(self)


class Filtering:
    """Has a filter hold from when it is entered until it is left."""

    __slots__ = ("_entry", "_list", "_wanted")

    def __init__(self, wanted: WarningFilter) -> None:
        self._wanted = wanted
        self._entry = entry_of(wanted)
        self._list = filters()

    def __enter__(self) -> None:
        if self._wanted.append:
            self._list.append(self._entry)
        else:
            self._list.insert(0, self._entry)
        if self._wanted.action != "ignore":
            forget_what_was_shown()  # or else it would not be looked at again

    def __exit__(self, *_: object) -> None:
        self._entry[1].take(NOTHING)  # somebody may have kept a copy of the list
        discard(self._list, self._entry)
        now = filters()
        if now is not self._list:  # somebody has left a `catch_warnings`, or not left it yet
            discard(now, self._entry)
        if self._wanted.action not in LEAVES_NO_NOTE:
            forget_what_was_shown()


Entry: TypeAlias = "tuple[Action, Fits, type[Warning], re.Pattern[str] | None, int]"
"""What Python finds in its list. None is equal to another one, since no `Fits` is."""


class Fits:
    """The regular expression of one call: as long as that runs it fits what it fits, then nothing.

    It is pickled as what it is made of, for libraries that hand filters on to other processes.
    """

    match: Callable[[str], re.Match[str] | None] = NOTHING.match
    pattern: str = NOTHING.pattern
    flags: int = NOTHING.flags

    def take(self, made_of: re.Pattern[str]) -> Self:
        """Fit what this fits."""
        self.match, self.pattern, self.flags = made_of.match, made_of.pattern, made_of.flags
        return self

    @override
    def __reduce__(self) -> tuple[Callable[[str, int], re.Pattern[str]], tuple[str, int]]:
        return re.compile, (self.pattern, self.flags)


class FitsHere(threading.local, Fits):
    """One that does so in the thread where it is told to; in all others it fits nothing."""


def entry_of(wanted: WarningFilter) -> Entry:
    message = re.compile(wanted.message, re.IGNORECASE) if wanted.message else ANYTHING
    module = re.compile(wanted.module) if wanted.module else None
    in_main_thread = threading.get_ident() == threading.main_thread().ident
    fits = Fits() if in_main_thread else FitsHere()
    return wanted.action, fits.take(message), wanted.category, module, wanted.lineno


def filters() -> list[Entry]:
    """The list that Python goes through at this place of the program."""
    if IN_CONTEXT is not None:
        return IN_CONTEXT()
    shared: list[Entry] = PARTS["filters"]
    return shared


def discard(found: list[Entry], entry: Entry) -> None:
    try:  # noqa: SIM105 - this is on the way of each call, and a `with` takes longer
        found.remove(entry)
    except ValueError:
        pass
