"""A terminal that tests can look at."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from rich.console import Console
from typing_extensions import override

CONTROL = r"\x1b\[[0-9;?]*[a-zA-Z]"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


class Tty(io.StringIO):
    """A terminal that remembers what was written; `when_written` sees each text first."""

    def __init__(self, when_written: Callable[[str], object] = lambda _: None) -> None:
        super().__init__()
        self.when_written = when_written

    @override
    def isatty(self) -> bool:
        return True

    @override
    def write(self, text: str, /) -> int:
        self.when_written(text)
        return super().write(text)

    def shown(self) -> str:
        """What was ever written, without colours and cursor movements."""
        return re.sub(CONTROL, "", self.getvalue())

    def screen(self) -> list[str]:
        """What is left to see: each line as it was written last."""
        lines = [""]
        row = 0
        for part in re.findall(f"{CONTROL}|\r|\n|[^\x1b\r\n]+", self.getvalue()):
            if part == "\n":
                row += 1
                lines += [""] * (row == len(lines))
            elif part == "\x1b[1A":
                row -= 1
            elif part == "\x1b[2K":
                lines[row] = ""
            elif part[0] not in "\x1b\r":
                lines[row] += part
        return lines


def console_on(file: io.StringIO, *, height: int = 60, notebook: bool = False) -> Console:
    """A console without colours on a terminal; like a real one it is interactive."""
    return Console(
        file=file,
        width=100,
        height=height,
        color_system=None,
        force_terminal=True,
        force_interactive=True,
        force_jupyter=notebook,
        legacy_windows=False,
    )
