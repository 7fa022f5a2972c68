"""How managers are told for how long a job may run; each has its own way of writing it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from amltk.backends.jobqueue.checks import require_text

__all__ = ["Walltime", "require_walltime"]


@dataclass(frozen=True, slots=True)
class Walltime:
    """How a manager writes times."""

    pattern: str
    """What it can read, as a regular expression."""
    example: str
    """Ten hours."""


def require_walltime(value: object, walltime: Walltime, manager: str) -> None:
    """Refuse what the manager could not read."""
    require_text("walltime", value)
    if value is not None and not re.fullmatch(walltime.pattern, str(value), re.IGNORECASE):
        raise ValueError(
            f"`walltime={value!r}` is no time that {manager} can read. Ten hours are "
            f'"{walltime.example}".'
        )
