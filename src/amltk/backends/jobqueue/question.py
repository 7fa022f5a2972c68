"""Asking a manager what became of jobs.

Each manager has a command of its own for that, whose output is read by a pure function. Whether a
job is there, why it waits and that it never can run is all that is wanted of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import override

__all__ = ["JobState", "Question", "records"]


NAME_AND_VALUE = re.compile(r"(\S+) =(?: (.*))?")


@dataclass(frozen=True, slots=True)
class JobState:
    """What a manager says of one of its jobs; of one that is gone it says nothing."""

    word: str
    """The state in the manager's own word, such as "PENDING"."""
    reason: str = ""
    """Why it is in that state, as far as the manager says so."""
    gone: bool = False
    """It has ended, though the manager still lists it."""
    hopeless: bool = False
    """It cannot ever run, unless somebody changes the cluster or the job."""

    def doubted(self) -> JobState:
        """The same, without a verdict."""
        return JobState(self.word, self.reason)

    @override
    def __str__(self) -> str:
        return f"{self.word}: {self.reason}" if self.reason else self.word


@dataclass(frozen=True, slots=True)
class Question:
    """How to ask a manager for the states of jobs."""

    command: Callable[[Sequence[str]], Sequence[str]]
    """Makes the command out of the ids of the jobs."""
    read: Callable[[str], Mapping[str, JobState]]
    """Reads what it prints and complains of, as states by the ids of the jobs."""
    names_all: bool = False
    """Whether jobs are gone that it does not name; only if it was successful."""


def records(output: str, begin: re.Pattern[str]) -> dict[str, dict[str, str]]:
    """Read blocks of `name = value` lines.

    Args:
        output: What a command printed.
        begin: Matches the first line of a block; its first group is the id of the job.

    Returns:
        The values by name, by the ids of the jobs; lines that go on are put together.
    """
    found: dict[str, dict[str, str]] = {}
    values: dict[str, str] = {}
    name = ""
    for line in output.splitlines():
        if head := begin.match(line):
            values = found.setdefault(head[1], {})
            name = ""
        elif said := NAME_AND_VALUE.fullmatch(line.strip()):
            name = said[1]
            values[name] = said[2] or ""
        elif name and line.strip():
            values[name] += line.strip()
        else:
            name = ""
    return found
