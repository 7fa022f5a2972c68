"""Where a run is drawn: a terminal that can be drawn over, a notebook, or anything else.

Once it is made, a canvas is used by the thread that draws, and by nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from threading import Lock
from typing import Any, Protocol

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text
from rich.tree import Tree

from amltk.rendering.export import mimebundle
from amltk.rendering.streams import Printed, catch_prints, release_prints

__all__ = ["Canvas", "Look", "Notebook", "OnceAtTheEnd", "Terminal", "canvas_for"]


class Look(Protocol):
    """Takes a look at what is shown."""

    def __call__(self, *, compact: bool = False) -> Tree:
        """Make a picture of how it is now.

        Args:
            compact: Only the most important of it.
        """
        ...


class Canvas(Protocol):
    """Something that a run is drawn on."""

    def open(self) -> None:
        """Get ready to draw."""
        ...

    def draw(self, look: Look) -> None:
        """Show how it is now, in place of how it was."""
        ...

    def close(self, look: Look) -> None:
        """Show how it is at the end, and leave the place as it was found."""
        ...


def canvas_for(console: Console, wake: Callable[[], None]) -> Canvas:
    """What suits the console.

    Args:
        console: Where to draw.
        wake: Called when something was printed and should be shown soon.
    """
    if console.is_jupyter:
        return Notebook()
    # Two displays would draw over each other: the second one waits until it is over.
    if console.is_interactive and taken.acquire(blocking=False):
        return Terminal(console, Printed(wake))
    return OnceAtTheEnd(console)


taken: Lock = Lock()
"""Held by whoever draws on the terminal."""


class OnceAtTheEnd:
    """A file, a pipe, or a terminal on which nothing can be drawn over."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def open(self) -> None:
        """Nothing is to be done."""

    def draw(self, look: Look) -> None:
        """Nothing is drawn before the end."""

    def close(self, look: Look) -> None:
        """Print how it is at the end."""
        self._console.print(look())


class Notebook:
    """The output of a cell in a notebook."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = ""

    def open(self) -> None:
        """Nothing is to be done."""

    def draw(self, look: Look) -> None:
        """Show it, or replace what is shown."""
        bundle = mimebundle(look())
        if bundle["text/html"] == self._shown:
            return
        self._shown = bundle["text/html"]
        if self._handle is None:
            display = import_module("IPython.display").display
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def close(self, look: Look) -> None:
        """Leave the last state on the page."""
        self.draw(look)


class Terminal:
    """A terminal; what is printed from now on appears above what is drawn."""

    def __init__(self, console: Console, printed: Printed) -> None:
        self._console = console
        self._printed = printed
        self._live = Live(
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        catch_prints(printed)

    def open(self) -> None:
        """Hide the cursor."""
        self._live.start()

    def draw(self, look: Look) -> None:
        """Draw over the last picture; with less in it if it would not fit on the screen."""
        picture = self._picture(look())
        if len(picture.lines) >= self._console.height:
            picture = self._picture(look(compact=True))
        self._live.update(self._below_prints(picture), refresh=True)

    def close(self, look: Look) -> None:
        """Draw all of it for the last time, and give back the cursor and what is printed."""
        try:
            self._live.update(self._below_prints(self._picture(look())))
            self._printed.rest = ""  # it is shown for good, with this picture
        finally:
            try:
                self._live.stop()  # draws, however tall it is
            finally:
                release_prints()
                taken.release()
                self._print_what_is_left()

    def _picture(self, tree: Tree) -> Picture:
        return Picture(self._console.render_lines(tree, pad=False))

    def _below_prints(self, picture: Picture) -> Group:
        lines = self._printed.take_lines()
        if lines:
            self._console.print(Text("\n").join(map(Text.from_ansi, lines)), soft_wrap=True)
        rest = self._printed.rest
        return Group(Text.from_ansi(rest), picture) if rest else Group(picture)

    def _print_what_is_left(self) -> None:
        left = [*self._printed.take_lines(), self._printed.rest]
        if any(left):
            self._console.file.write("\n".join(left))


class Picture:
    """Lines as they are to appear: drawing them again costs next to nothing."""

    def __init__(self, lines: list[list[Segment]]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines:
            yield from line
            yield Segment.line()
