from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console
from typing_extensions import override

from amltk import Scheduler
from amltk.rendering import canvas, live
from amltk.rendering.export import as_text
from amltk.rendering.live import shown_live
from tests.rendering.terminal import HIDE, SHOW, Tty, console_on


@pytest.fixture(autouse=True)
def nothing_stays_behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After each test: no thread that draws, and the streams are what they were.

    The last picture gets as long as it takes on a machine that has other things to do.
    """
    monkeypatch.setattr(live, "PATIENCE", 60.0)
    streams = sys.stdout, sys.stderr
    yield
    for thread in threading.enumerate():
        if thread.name == "amltk-display":
            thread.join()
    assert (sys.stdout, sys.stderr) == streams
    assert not canvas.taken.locked()


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler.with_sequential()


def test_the_last_picture_shows_the_end(scheduler: Scheduler) -> None:
    """
    When `run` returns, the final state is on the screen and the cursor is back.
    """
    terminal = Tty()
    scheduler.on_start(lambda: [scheduler.submit(pow, n, 2) for n in range(3)])
    with shown_live(scheduler, console_on(terminal)):
        scheduler.run()
    assert terminal.screen() == [*as_text(scheduler).splitlines(), ""]
    assert terminal.screen()[0] == "Scheduler  ended: exhausted · 3 done"
    assert terminal.getvalue().rindex(SHOW) > terminal.getvalue().rindex(HIDE)


def test_display_is_an_option_of_run(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `run(display=True)` draws where rich prints.
    """
    terminal = Tty()
    monkeypatch.setattr(live, "get_console", lambda: console_on(terminal))
    scheduler.run(display=True)
    assert "Scheduler  ended: exhausted" in terminal.shown()


def test_it_is_drawn_while_it_runs(scheduler: Scheduler) -> None:
    """
    A callback that waits until it is on the screen sees its wish come true.
    """
    drawn = threading.Event()
    terminal = Tty(lambda text: drawn.set() if "Scheduler  running" in text else None)

    @scheduler.on_start
    def wait_for_the_picture() -> None:
        drawn.wait()

    with shown_live(scheduler, console_on(terminal)):
        scheduler.run()
    assert "Scheduler  running" in terminal.shown()


def test_pictures_follow_each_other(scheduler: Scheduler) -> None:
    """
    What changes during a run is drawn again, over what was there.
    """
    called = threading.Event()
    terminal = Tty(lambda text: called.set() if "wait_to_be_seen() 1" in text else None)
    console = console_on(terminal)

    @scheduler.on_start
    def wait_to_be_seen() -> None:
        called.wait()

    with shown_live(scheduler, console):
        scheduler.run()
    assert terminal.getvalue().count("\x1b[1A") > 0


@pytest.mark.parametrize("term", ["a file", "dumb"])
def test_where_nothing_can_be_drawn_over_there_is_one_picture(
    scheduler: Scheduler, term: str
) -> None:
    """
    A file, a pipe and a dumb terminal get the final state, once.
    """
    file = io.StringIO()
    with shown_live(scheduler, Console(file=file, width=100, _environ={"TERM": term})):
        scheduler.run()
    assert file.getvalue().count("Scheduler  ") == 1
    assert "Scheduler  ended: exhausted" in file.getvalue()
    assert "\x1b" not in file.getvalue()


def test_a_tall_picture_is_made_compact(scheduler: Scheduler) -> None:
    """
    What does not fit on the screen is drawn with less in it; at the end there is all of it.
    """
    drawn = threading.Event()
    terminal = Tty(lambda text: drawn.set() if "Scheduler  running" in text else None)
    scheduler.on_start(drawn.wait)
    for _ in range(20):
        scheduler.on_start(locals, when=lambda: False)
    with shown_live(scheduler, console_on(terminal, height=15)):
        scheduler.run()
    assert "locals()" not in terminal.shown().partition("Scheduler  ended")[0]
    assert terminal.screen() == [*as_text(scheduler).splitlines(), ""]
    assert terminal.shown().count("locals()") == 20


def raise_an_error(_: str) -> None:
    raise OSError("the terminal is gone")


def want_to_exit(_: str) -> None:
    raise SystemExit(1)


@pytest.mark.parametrize("fail", [raise_an_error, want_to_exit])
def test_a_terminal_that_fails_does_not_end_the_run(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture, fail: Callable[[str], None]
) -> None:
    """
    An error while drawing is logged, once, and the run does not notice.
    """
    with shown_live(scheduler, console_on(Tty(fail))):
        state = scheduler.run()
    assert state.code is Scheduler.ExitCode.EXHAUSTED
    errors = [r for r in caplog.records if r.name == "amltk"]
    assert [(r.levelno, r.getMessage()) for r in errors] == [
        (logging.ERROR, "Cannot draw the run, which goes on unseen.")
    ]
    assert errors[0].exc_info is not None


def test_a_look_that_fails_ends_the_drawing_and_not_the_run(
    scheduler: Scheduler, caplog: pytest.LogCaptureFixture
) -> None:
    """
    What cannot be looked at is not drawn any more; the cursor is back all the same.
    """

    class Unreadable(list[Any]):
        @override
        def __iter__(self) -> Iterator[Any]:
            raise RuntimeError("no")

    terminal = Tty()
    scheduler.tasks = Unreadable()
    with shown_live(scheduler, console_on(terminal)):
        state = scheduler.run()
    assert state.code is Scheduler.ExitCode.EXHAUSTED
    assert len(caplog.records) == 1
    assert terminal.getvalue().rindex(SHOW) > terminal.getvalue().rindex(HIDE)


def test_a_blocked_terminal_blocks_neither_the_run_nor_its_end(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    While somebody holds the terminal, runs begin, compute and end; then the picture appears.
    """
    monkeypatch.setattr(live, "PATIENCE", 0.0)
    blocked, unblock = threading.Event(), threading.Event()

    def block(_: str) -> None:
        blocked.set()
        unblock.wait()

    terminal = Tty(block)
    scheduler.on_start(blocked.wait)
    scheduler.on_start(lambda: scheduler.submit(pow, 2, 10))
    with shown_live(scheduler, console_on(terminal)):
        scheduler.run()
    assert terminal.getvalue() == ""
    assert scheduler.event_counts["on_finished"] == 1
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    unblock.set()
    join_the_drawing_thread()
    assert "Scheduler  ended: exhausted · 1 done" in terminal.shown()


def join_the_drawing_thread() -> None:
    for thread in threading.enumerate():
        if thread.name == "amltk-display":
            thread.join()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_whatever_ends_the_run_the_terminal_is_left_as_it_was(
    scheduler: Scheduler, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    After Ctrl-C or an error, the cursor is back and `print` prints.
    """
    terminal = Tty()
    monkeypatch.setattr(sys, "stdout", terminal)
    scheduler.on_start(raising(error))
    with pytest.raises(error), shown_live(scheduler, console_on(terminal)):
        scheduler.run()
    assert sys.stdout is terminal
    assert terminal.getvalue().rindex(SHOW) > terminal.getvalue().rindex(HIDE)


def raising(error: type[BaseException]) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_what_is_printed_stays_readable(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A line that is printed appears once and in one piece, above the picture; half a line, too.
    """
    seen = threading.Event()
    terminal = Tty(lambda text: seen.set() if "half a line" in text else None)
    monkeypatch.setattr(sys, "stdout", terminal)
    line = " ".join(["score [red]0.5[/red]"] * 20)

    @scheduler.on_start
    def report() -> None:
        print(line)  # noqa: T201
        print("half a line", end="")  # noqa: T201
        seen.wait()
        print(" and its end")  # noqa: T201

    with shown_live(scheduler, console_on(terminal)):
        scheduler.run()
    picture = as_text(scheduler).splitlines()
    assert terminal.screen() == [line, "half a line and its end", *picture, ""]


def test_of_two_displays_one_waits(scheduler: Scheduler) -> None:
    """
    A second run on the same terminal is shown when it ends, above the one that is being drawn.
    """
    drawn = threading.Event()
    terminal = Tty(lambda text: drawn.set() if "Scheduler  running" in text else None)
    console = console_on(terminal)
    other = Scheduler.with_sequential()
    other.task(divmod)

    @scheduler.on_start
    def run_another() -> None:
        drawn.wait()
        with shown_live(other, console):
            pass

    with shown_live(scheduler, console):
        scheduler.run()
    waited, drawing = as_text(other).splitlines(), as_text(scheduler).splitlines()
    assert terminal.screen() == [*waited, *drawing, ""]


class FakeHandle:
    """What `IPython.display.display` returns: shows something else in the same place."""

    def __init__(self, shown: list[dict[str, str]]) -> None:
        self.shown = shown

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(bundle)


def test_a_notebook_has_one_output_that_changes(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    In a notebook the picture is an output of the cell, which is replaced when it changes.
    """
    shown: list[dict[str, str]] = []
    displays: list[FakeHandle] = []
    displayed = threading.Event()

    def display(bundle: dict[str, str], *, raw: bool, display_id: bool) -> FakeHandle:
        assert raw
        assert display_id
        shown.append(bundle)
        displays.append(FakeHandle(shown))
        displayed.set()
        return displays[-1]

    ipython = ModuleType("IPython.display")
    ipython.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython.display", ipython)
    scheduler.on_start(displayed.wait)
    with shown_live(scheduler, console_on(Tty(), notebook=True)):
        scheduler.run()
    assert len(displays) == 1
    assert shown[0]["text/plain"].startswith("Scheduler  running")
    assert shown[-1]["text/plain"].startswith("Scheduler  ended: exhausted")
    assert all(a != b for a, b in pairwise(shown))
