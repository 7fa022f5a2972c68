"""The directory of one run, which its jobs see as well: credentials, logs, and how jobs ended.

Only the user can look into it, and it is deleted after the run.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["RunDirectory", "end_of_log", "leave_exit_code", "shared_directory"]

logger: logging.Logger = logging.getLogger("amltk")

PREFIX = ".amltk-jobs-"
LOGS = "logs"
"""Where jobs leave their logs in it, if they are not told otherwise."""

TAKEN_APART = re.compile(r"[^\w@%+=:,./~-]")
"""What a shell, or a manager that reads a directive, does not take as a part of a path."""

LINES, CHARACTERS = 20, 4000
"""How much of a log is shown at most."""

DELETING = 2.0
"""Seconds in which a directory has to become empty: jobs that end may still write to it."""


def shared_directory(said: object) -> Path:
    """A directory that was named, with variables in it, or the current one."""
    return Path(os.path.expandvars(str(said or Path.cwd()))).expanduser().absolute()


class RunDirectory:
    """A directory that exists for one run.

    Args:
        parent: Where it is made: a directory that the nodes see, too.

    Raises:
        OSError: If it cannot be made; says where.
        ValueError: If its path cannot stand in a job script.
    """

    def __init__(self, parent: Path) -> None:
        if TAKEN_APART.search(str(parent)):
            raise ValueError(
                f"Jobs cannot be told of a directory in {str(parent)!r}, since a job script takes "
                "that path apart: there is a blank or some special character in it. Give another "
                "one with `shared_temp_directory`."
            )
        try:
            # Nobody but the user can enter a directory that is made this way.
            self.path: Path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            (self.path / LOGS).mkdir()
        except OSError as error:
            raise type(error)(
                error.errno,
                f"Jobs need a directory that they share with this program, and none can be made "
                f"in {parent} ({error.strerror}). Give one with `shared_temp_directory`",
            ) from error

    def write(self, name: str, text: str) -> str:
        """Write a file that only the user can read, and return its path."""
        path = self.path / name
        path.touch(0o600, exist_ok=False)
        path.write_text(text, encoding="utf-8")
        return str(path)

    def ends(self) -> Mapping[str, str]:
        """The exit codes that jobs have left here, by the names of the jobs."""
        found: dict[str, str] = {}
        for name in os.listdir(self.path):  # noqa: PTH208 - read afresh also over a network
            if name.endswith(END):
                with suppress(OSError):
                    found[name.removesuffix(END)] = (self.path / name).read_text().strip()
        return found

    def has_ended(self, name: str) -> bool:
        """Whether the job of this name says that it has ended."""
        return (self.path / f"{name}{END}").exists()

    def delete(self) -> None:
        """Delete it with all that is in it."""
        deadline = time.monotonic() + DELETING
        while self.path.exists():
            if time.monotonic() > deadline:
                logger.warning("%s could not be deleted. It has credentials in it.", self.path)
                return
            shutil.rmtree(self.path, ignore_errors=True)
            time.sleep(0.05 if self.path.exists() else 0)


END = ".ended"


def leave_exit_code(directory: str, name: str) -> str:
    """A line of shell which has a job say that it ended, whatever ended it."""
    file = shlex.quote(f"{directory}/{name}{END}")
    return f"trap {shlex.quote(f'echo $? > {file}')} EXIT"


def end_of_log(directory: Path, job_id: str) -> str:
    """The last lines that a job wrote, with the names of the files; empty if it wrote none."""
    number = re.compile(rf"(?:(?<!\w)|(?<=\.[oe])){re.escape(job_id)}(?!\w)")
    with suppress(OSError):
        files = sorted(f for f in directory.iterdir() if number.search(f.name) and f.is_file())
        tails = (tail(file) for file in files)
        return "\n".join(t for t in tails if t)
    return ""


def tail(file: Path) -> str:
    with suppress(OSError):
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - CHARACTERS))
            lines = log.read().decode(errors="replace").splitlines()[-LINES:]
        if lines:
            return "\n".join([f"The end of {file}:", *(f"    {line}" for line in lines)])
    return ""
