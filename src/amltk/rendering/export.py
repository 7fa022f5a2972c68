"""What one would see in a terminal, as text and as HTML that needs nothing but itself."""

from __future__ import annotations

import io
from collections.abc import Mapping
from html import escape

from rich import get_console
from rich.console import Console, RenderableType
from rich.terminal_theme import TerminalTheme

__all__ = ["as_html", "as_text", "mimebundle"]

WIDTH = 100
"""Columns, unless there is less room."""

PAGE = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:1.25;font-size:{size};'
    "font-family:Menlo,'DejaVu Sans Mono',Consolas,'Courier New',monospace\">{{code}}</pre>\n"
)

_ON_ANY_PAGE = TerminalTheme(
    (255, 255, 255),
    (0, 0, 0),
    [
        (128, 128, 128),
        (214, 58, 58),
        (46, 158, 79),
        (184, 134, 11),
        (58, 123, 213),
        (170, 88, 200),
        (24, 150, 170),
        (160, 160, 160),
    ],
)
"""Colours that can be read on a bright page and on a dark one."""


def as_html(renderable: RenderableType, *, width: int = WIDTH, font_size: str = "inherit") -> str:
    """The renderable as HTML, with its styles inside of it.

    Args:
        renderable: What to show.
        width: Columns that it may take.
        font_size: As in CSS: "small", "12px".
    """
    console = recorder(width)
    console.print(renderable)
    page = PAGE.format(size=escape(font_size).replace("{", "").replace("}", ""))
    return console.export_html(theme=_ON_ANY_PAGE, code_format=page, inline_styles=True)


def as_text(renderable: RenderableType, *, width: int = WIDTH) -> str:
    """The renderable as plain text.

    Args:
        renderable: What to show.
        width: Columns that it may take.
    """
    console = recorder(width)
    console.print(renderable)
    lines = console.export_text().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def mimebundle(renderable: RenderableType) -> Mapping[str, str]:
    """What a notebook shows, and what a terminal does where one looks like a notebook."""
    width = min(WIDTH, get_console().width)
    return {
        "text/plain": as_text(renderable, width=width),
        "text/html": as_html(renderable, width=width),
    }


def recorder(width: int) -> Console:
    """A console that remembers instead of showing, and asks no environment how."""
    return Console(
        record=True,
        file=io.StringIO(),
        width=width,
        height=25,  # if both are known, the terminal is not asked for either
        color_system="truecolor",
        force_terminal=True,
        force_jupyter=False,
        legacy_windows=False,
        no_color=False,
    )
