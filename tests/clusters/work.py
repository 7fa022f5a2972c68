"""What jobs compute in the tests of cluster managers."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from amltk.scheduling import Comm
from tests.helpers import wait_at


class Span(NamedTuple):
    """When something began and ended, on the clock that all nodes share here."""

    begin: float
    end: float


def variable(name: str) -> str:
    """What the job finds in its environment."""
    return os.environ[name]


def tell_and_wait(name: str, told: str, gate: str) -> str:
    """Write down what a variable says, and wait; returns it as well."""
    Path(told).write_text(os.environ[name])
    wait_at(gate)
    return os.environ[name]


def wait_the_first_time(flag: str, gate: str) -> str:
    """Wait at the gate if nobody has been here before."""
    if Path(flag).exists():
        return "second time"
    Path(flag).touch()
    return wait_at(gate)


def take_a_moment() -> Span:
    """Do nothing for a moment, and say when."""
    begin = time.monotonic()
    time.sleep(0.1)
    return Span(begin, time.monotonic())


def ask_back(name: str, *, comm: Comm = Comm.NONE) -> str:
    """Say what the job finds in its environment, and return what that is answered with."""
    comm.send(os.environ[name])
    answer: str = comm.request("and now?", timeout=30)
    return answer


def speak_and_wait(name: str, gate: str, *, comm: Comm = Comm.NONE) -> None:
    """Say what the job finds in its environment, and wait."""
    comm.send(os.environ[name])
    wait_at(gate)
