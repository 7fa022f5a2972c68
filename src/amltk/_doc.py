"""What the pages of the documentation need to run, and to show what they made.

The code blocks of a page are one text: a reader of the third block knows what the first one has
imported. And they are run by `exec`, so that what they define is in no module that a worker
process could import. `make_picklable` sees to both, `doc_print` shows a result on the page.
"""

from __future__ import annotations

import sys
from asyncio import Future
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from amltk.scheduling.task import Task

if TYPE_CHECKING:
    from types import FunctionType

    from rich.console import RenderableType

__all__ = ["doc_print", "make_picklable"]

KNOWN_TO_READERS = {"Future": Future, "Task": Task}
"""The names that the pages introduce once and then use in every block."""


def make_picklable(function: FunctionType) -> None:
    """Put a function of a page where worker processes find it: into the module `__main__`.

    That reaches workers that are forked. The block's own names are completed as well: `Future`
    and `Task`, where it uses them without an import, are those that the page has spoken of.

    Args:
        function: A function that was defined at the top level of a block.
    """
    function.__module__ = "__main__"
    function.__qualname__ = function.__name__
    setattr(sys.modules["__main__"], function.__name__, function)
    for name, value in KNOWN_TO_READERS.items():
        function.__globals__.setdefault(name, value)


def doc_print(
    print_: Callable[[str], object],
    renderable: RenderableType,
    *,
    output: Literal["html", "text"] = "html",
    fontsize: str = "small",
) -> None:
    """Print what rich makes of an object, as HTML that brings its styles along, or as text.

    Args:
        print_: What to print it with; a page has a `print` of its own.
        renderable: What to show, for instance a scheduler.
        output: Which of the two.
        fontsize: The size of the letters in HTML, as in CSS.

    Raises:
        ValueError: If it is to be neither of the two.
    """
    from amltk.rendering.export import as_html, as_text  # noqa: PLC0415

    if output == "html":
        print_(as_html(renderable, font_size=fontsize))
    elif output == "text":
        print_(as_text(renderable))
    else:
        raise ValueError(f'`output={output!r}` cannot be printed: use "html" or "text".')
