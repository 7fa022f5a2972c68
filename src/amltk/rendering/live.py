"""Showing a run while it goes on.

    run ──────────────── counts, futures ──────────────▶ (never waits)
                               ▲ looks, four times a second
    thread "amltk-display" ────┘──▶ canvas: terminal, notebook, or a last picture at the end

All drawing is done in a thread of its own. It reads what the run changes, and the run knows
nothing of it: a drawing that fails is logged and is the last one, and a terminal that does not
take any more text stops the thread and nothing else.

Worker processes write to the terminal by themselves; what they print may end up in the picture.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING

from rich import get_console

from amltk.rendering.canvas import Canvas, canvas_for
from amltk.rendering.streams import release_prints
from amltk.rendering.tree import scheduler_tree

if TYPE_CHECKING:
    from rich.console import Console

    from amltk.scheduling.scheduler import Scheduler

__all__ = ["shown_live"]

logger: logging.Logger = logging.getLogger("amltk")

EVERY = 1 / 4
"""Seconds from one picture to the next."""

AT_LEAST = 1 / 20
"""Seconds from one picture to the next, however much is printed."""

PATIENCE = 2.0
"""Seconds that the end of a run waits for the last picture."""

FAILURES = (Exception, SystemExit)
"""What drawing may raise; when a pipe breaks, rich wants to leave the program."""


@contextmanager
def shown_live(scheduler: Scheduler, console: Console | None = None) -> Generator[None]:
    """Show a scheduler for as long as the context lasts; its last state stays on the screen.

    Args:
        scheduler: What to show.
        console: Where; where rich prints if `None`.
    """
    display = Display(scheduler, console or get_console())
    display.begin()
    try:
        yield
    finally:
        display.end()


class Display:
    """A thread that draws a scheduler until it is told that it is over."""

    def __init__(self, scheduler: Scheduler, console: Console) -> None:
        self._look = partial(scheduler_tree, scheduler)
        self._console = console
        self._news = Event()
        self._over = Event()
        run = partial(copy_context().run, self._draw)  # a notebook knows its cell from the context
        self._thread = Thread(target=run, name="amltk-display", daemon=True)

    def begin(self) -> None:
        """Catch what is printed from now on, and start to draw."""
        self._canvas = canvas_for(self._console, self._news.set)
        self._thread.start()

    def end(self) -> None:
        """Draw for the last time, and wait for that, but not for ever."""
        self._over.set()
        self._news.set()  # do not wait for the next picture
        try:
            self._thread.join(PATIENCE)
        except KeyboardInterrupt:  # it will take a moment to give back the cursor
            self._thread.join(PATIENCE)
            raise
        if self._thread.is_alive():
            release_prints()
            atexit.register(self._thread.join)  # Python cannot exit while it is writing
            logger.warning("The terminal is blocked: the last state of the run is not shown yet.")

    def _draw(self) -> None:
        try:
            self._draw_until_over()
        except FAILURES:  # drawing is not worth a run
            logger.exception("Cannot draw the run, which goes on unseen.")

    def _draw_until_over(self) -> None:
        try:
            self._keep_drawing(self._canvas)
        except FAILURES:
            with suppress(*FAILURES):
                self._canvas.close(self._look)
            raise
        self._canvas.close(self._look)

    def _keep_drawing(self, canvas: Canvas) -> None:
        canvas.open()
        while not self._over.wait(AT_LEAST):
            self._news.clear()
            canvas.draw(self._look)
            self._news.wait(EVERY - AT_LEAST)
