"""What tests have workers compute, and how they look at a run.

Functions stand here at the top level so that every kind of worker finds them by name.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
from asyncio import Future
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn, Self

import amltk
from amltk import Scheduler

EVENTS = (
    Scheduler.STARTED,
    Scheduler.FINISHING,
    Scheduler.FINISHED,
    Scheduler.STOP,
    Scheduler.TIMEOUT,
    Scheduler.EMPTY,
    Scheduler.FUTURE_SUBMITTED,
    Scheduler.FUTURE_DONE,
    Scheduler.FUTURE_RESULT,
    Scheduler.FUTURE_EXCEPTION,
    Scheduler.FUTURE_CANCELLED,
)
"""The eleven events of a scheduler."""

DAEMONS: set[int] = set()
"""Processes that are there for more than one test, with all that they start."""


class Boom(Exception):
    """Raised by what is to fail."""


def echo(value: int) -> int:
    return value


def fail(text: str = "failed") -> NoReturn:
    raise Boom(text)


def fail_twice() -> NoReturn:
    raise ExceptionGroup("both", [Boom("one"), ValueError("two")])


class Stubborn(Exception):
    """Can be pickled, and takes no attribute afterwards."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(name)


def fail_stubbornly() -> NoReturn:
    raise Stubborn


def keywords(*args: object, **kwargs: object) -> tuple[tuple[object, ...], dict[str, object]]:
    return args, kwargs


def pid() -> int:
    return os.getpid()


def die(with_signal: int = signal.SIGKILL) -> None:
    """Have the worker killed that computes this."""
    os.kill(os.getpid(), with_signal)


def die_at(which: int, n: int) -> int:
    """Have the worker killed that computes number `which`."""
    if n == which:
        die()
    return n


def leave(code: int = 3) -> NoReturn:
    sys.exit(code)


def wait_at(gate: str) -> str:
    """Wait until whoever holds the gate lets go of it."""
    with open(gate) as pipe:  # noqa: PTH123
        return pipe.read()


def begin_and_wait_at(path: str, gate: str) -> str:
    """The same, with a line in a file for each time."""
    with Path(path).open("a") as file:
        file.write("begun\n")
    return wait_at(gate)


def have_a_child_wait_at(gate: str) -> None:
    """Start a process that waits at the gate, and wait for it."""
    subprocess.run(["cat", gate], check=True, stdout=subprocess.DEVNULL)


def future_of(future: Future[Any] | None) -> Future[Any]:
    assert future is not None  # no plugin refused the call
    return future


class Gate:
    """A named pipe that calls can wait at, wherever they run.

    To open it for writing means to wait until a call has come to it, so when `hold` returns that
    call is running, and it goes on running until the gate is let go.
    """

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._held: list[IO[str]] = []

    def hold(self) -> None:
        """Wait until a call is here, and keep it here."""
        self._held.append(open(self.path, "w"))  # noqa: PTH123, SIM115

    def let_go(self) -> None:
        """Let every call go on that is here, and those that come later pass."""
        if not Path(self.path).is_fifo():
            return
        both_ends = os.open(self.path, os.O_RDWR)  # for those that nobody has waited for
        passage = Path(f"{self.path}.open")
        passage.touch()
        passage.replace(self.path)  # at once: calls come at any time
        while self._held:
            self._held.pop().close()
        os.close(both_ends)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that nobody listens at, and that nobody is given who asks for just any."""
    ports: list[int] = []
    candidates = iter(random.SystemRandom().sample(range(20_000, 32_000), 1000))
    while len(ports) < count:
        port = next(candidates)
        with suppress(OSError), socket.create_server((host, port)):
            ports.append(port)
    return ports


def story_of(scheduler: Scheduler) -> list[str]:
    """The names of the events that the scheduler emits from now on, in their order."""
    story: list[str] = []
    for event in EVENTS:
        scheduler.emitter.on(event.name)(partial(heard, story, event.name))
    return story


def heard(story: list[str], name: str, *_: object) -> None:
    story.append(name)


def all_accounted_for(scheduler: Scheduler) -> bool:
    """Whether every call that was submitted is done or cancelled, and everybody was told."""
    counts = scheduler.event_counts
    done, cancelled = counts[Scheduler.FUTURE_DONE], counts[Scheduler.FUTURE_CANCELLED]
    told = counts[Scheduler.FUTURE_RESULT] + counts[Scheduler.FUTURE_EXCEPTION]
    return counts[Scheduler.FUTURE_SUBMITTED] == done + cancelled and done == told


def in_thread(work: Callable[[], object]) -> BaseException | None:
    """Do something in another thread, and return what it raised."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    return raised[0] if raised else None


@contextmanager
def program(path: Path, code: str, *args: str) -> Generator[subprocess.Popen[str]]:
    """A Python program in a session of its own, as if in a terminal of its own.

    It runs with every warning and check that Python has, and ends here at the latest.
    """
    path.write_text(code)
    source = Path(amltk.__file__).parents[1]
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", str(path), *args],
        env={**os.environ, "PYTHONPATH": str(source), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        end_session(process)


def end_session(process: subprocess.Popen[Any]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


class CannotComeBack(Exception):
    """Can be pickled, and not unpickled: its `__init__` takes more than it passes on."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what)
        self.why = why


class CannotBeSaid(CannotComeBack):
    """Not even its message can be had."""

    def __str__(self) -> str:
        raise ValueError("no message")


class ComesBackAsText(Exception):
    """Unpickles as something that is no exception."""

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, ("text",)


class ComesBackAsNothing(Exception):
    """Unpickles as what looks like no exception at all."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return type(None), ()


class LeavesWhenUnpickled:
    """Whoever unpickles it leaves the program."""

    def __reduce__(self) -> tuple[Callable[[str], NoReturn], tuple[str]]:
        return sys.exit, ("bye",)


class FailsWhenUnpickled:
    """Can be pickled, and not unpickled."""

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("not a number",)


class CannotBeShown:
    """A function that can neither be pickled nor printed."""

    def __call__(self) -> None:
        return

    def __repr__(self) -> str:
        raise ValueError("no name")

    def __reduce__(self) -> NoReturn:
        raise ValueError("no pickle")


def return_a_lock() -> object:
    return threading.Lock()


def return_what_leaves() -> object:
    return LeavesWhenUnpickled()


def return_what_fails() -> object:
    return FailsWhenUnpickled()


def raise_what_cannot_come_back() -> NoReturn:
    raise CannotComeBack("what", "why")


def raise_what_cannot_be_said() -> NoReturn:
    raise CannotBeSaid("what", "why")


def raise_text() -> NoReturn:
    raise ComesBackAsText("boom")


def raise_nothing() -> NoReturn:
    raise ComesBackAsNothing("boom")


def raise_with_a_lock() -> NoReturn:
    raise Boom(threading.Lock())


def raise_stop_iteration() -> NoReturn:
    raise StopIteration(5)


def remember(flag: str) -> None:
    """Leave a mark; as an initializer: what was marked, `recall` finds."""
    os.environ["AMLTK_TEST_FLAG"] = flag


def recall(name: str = "AMLTK_TEST_FLAG") -> str | None:
    return os.environ.get(name)


def die_while(flag: str) -> None:
    """As an initializer: kill the worker if there is such a file, and take the file away."""
    path = Path(flag)
    if path.exists():
        path.unlink()
        die()


def mark_and_die(flag: str) -> None:
    Path(flag).touch()
    die()


def fork_one_that_waits_and_die(gate: str) -> None:
    """Leave behind a process that has copies of all this worker has open."""
    if os.fork() == 0:
        wait_at(gate)
        os._exit(0)
    die()
