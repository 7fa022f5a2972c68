"""What the tests have executors compute; at the top level, so that workers can import it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

__all__ = [
    "HELD",
    "Gate",
    "Odd",
    "add",
    "arguments",
    "becomes_true",
    "die",
    "fail",
    "fail_oddly",
    "fail_to_begin",
    "forget",
    "leave",
    "mark",
    "note",
    "pid",
    "recall",
    "remember",
    "return_what_cannot_be_sent",
    "wait_at",
]

HELD = 42
"""What a call returns that was held."""

GLANCE = 0.005
"""Seconds between two looks at whether something is so."""


class Odd(Exception):  # noqa: N818 - the name is what the tests say of it
    """Its constructor takes more than it passes on, so pickle cannot make another one."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what)
        self.why: str = why


class Gate:
    """A directory with which calls are held, wherever on this machine they are computed.

    Args:
        directory: An empty directory.
        patience: Seconds after which whoever waits gives up.
    """

    def __init__(self, directory: Path, patience: float) -> None:
        self.directory = directory
        self.patience = patience

    def has(self, name: str) -> bool:
        """Whether the call of this name has begun."""
        return (self.directory / name).exists()

    def wait_for(self, name: str) -> None:
        """Wait until the call of this name has begun.

        Raises:
            TimeoutError: If it does not in time.
        """
        if not becomes_true((self.directory / name).exists, self.patience):
            raise TimeoutError(f"{name!r} did not happen within {self.patience} s.")

    def open(self) -> None:
        """Let all calls go on."""
        (self.directory / "open").touch()


def becomes_true(condition: Callable[[], bool], patience: float) -> bool:
    """Whether something is so, or will be in time."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(GLANCE)
    return True


def wait_at(gate: Gate, name: str) -> int:
    """Say that this call has begun, wait until it may go on, and return `HELD`.

    Raises:
        RuntimeError: If it may not in time; who waits for this call has other errors.
    """
    (gate.directory / name).touch()
    if not becomes_true((gate.directory / "open").exists, gate.patience):
        raise RuntimeError(f"Nobody opened the gate within {gate.patience} s.")
    return HELD


def add(a: int, b: int = 0) -> int:
    """The sum."""
    return a + b


def arguments(*args: object, **kwargs: object) -> tuple[tuple[object, ...], dict[str, object]]:
    """What it was called with."""
    return args, kwargs


def pid() -> int:
    """In which process it is computed."""
    return os.getpid()


def note(path: str) -> None:
    """Add a line to a file: how often a call was computed, can be counted."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("x\n")


def mark(gate: Gate, name: str) -> int:
    """Say that this call has begun, and be done."""
    (gate.directory / name).touch()
    return 0


def fail(text: str) -> int:
    """Raise a `ValueError`."""
    raise ValueError(text)


def fail_oddly() -> NoReturn:
    """Raise what cannot be unpickled."""
    raise Odd("what", "why")


def leave() -> NoReturn:
    """Call `sys.exit`, which ends neither the worker nor the program."""
    sys.exit(3)


def return_what_cannot_be_sent() -> object:
    """Return a generator, which cannot be pickled."""
    return (i for i in range(3))


def die() -> None:
    """Kill the process that computes this."""
    os.kill(os.getpid(), signal.SIGKILL)


VARIABLE = "AMLTK_TESTING_REMEMBERED"


def remember(text: str) -> None:
    """An initializer that leaves something behind in its process."""
    os.environ[VARIABLE] = text


def recall() -> str | None:
    """What the initializer has left behind."""
    return os.environ.get(VARIABLE)


def forget() -> None:
    """Undo what the initializer did, if it was in this process."""
    os.environ.pop(VARIABLE, None)


def fail_to_begin() -> NoReturn:
    """An initializer that raises."""
    raise RuntimeError("this initializer fails")
