"""What Ctrl-C does while a scheduler runs.

Python raises `KeyboardInterrupt` between any two instructions. In code of the user that is just
right; in the middle of our book-keeping it would lose a future, or leave a process behind. So the
handler looks where the program is: code of the user is interrupted, and otherwise the run is told
to end and raises it when it has. The second Ctrl-C is raised wherever the program is.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

from amltk.backends.sequential import run_job
from amltk.callbacks import ask, repeat
from amltk.events import Subscriber
from amltk.pace import Pace

__all__ = ["CALLS_USER_CODE", "ctrl_c_goes_to", "held_back"]

held_back: int = 0
"""How often Ctrl-C has found the program in our book-keeping, and was not raised. Whoever goes on to
wait for code of the user looks whether that happened since it began, and raises it there."""

CALLS_USER_CODE = {f.__code__ for f in (Subscriber.emit, repeat, Pace.due, run_job)}
"""The functions of ours out of which code of the user is called."""

WAITS_FOR_AN_ANSWER = {ask.__code__}
"""Those that need what it returns: they are interrupted inside of it, and not on the way out."""


@contextmanager
def ctrl_c_goes_to(
    interrupt: Callable[[BaseException], None], give_up: Callable[[], None]
) -> Generator[None]:
    """Send the first Ctrl-C there, unless code of the user is running: there it is raised.

    The second one calls `give_up`, and is raised wherever the program is.

    Does nothing outside the main thread, where signals never arrive, and where the program has a
    handler of its own for SIGINT.
    """
    if not handler_is_ours_to_set():
        yield
        return
    presses = 0

    def handle(_signal: int, frame: FrameType | None) -> None:
        global held_back  # noqa: PLW0603
        nonlocal presses
        presses += 1
        if presses > 1:
            give_up()
        else:
            interrupt(KeyboardInterrupt())  # told even if it is raised: some code swallows it
        if presses > 1 or is_user_code(frame):
            raise KeyboardInterrupt
        held_back += 1

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def handler_is_ours_to_set() -> bool:
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def is_user_code(frame: FrameType | None) -> bool:
    """Whether the innermost function of ours on the stack is one that calls code of the user."""
    running = frame
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] == "amltk":
            if waits_for_an_answer(frame) or waits_for_an_answer(frame.f_back):
                return frame is not running  # the second is a lambda that says what to ask
            return frame.f_code in CALLS_USER_CODE
        frame = frame.f_back
    return True


def waits_for_an_answer(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code in WAITS_FOR_AN_ANSWER
