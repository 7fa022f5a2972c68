"""Calling the commands of a manager, from dask's event loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["Answer", "answer_of", "call", "path_of"]

PATIENCE = 60.0
"""Seconds that a manager may take to answer."""

SAYS_NOTHING = "2> /dev/null"
"""What dask-jobqueue has LSF's command end with, which hides why a job was refused."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command."""

    code: int
    """Its exit code."""
    printed: str
    """What it wrote to its standard output."""
    complaints: str
    """What it wrote to its standard error."""


async def call(command: Sequence[str], *, shell: bool = False) -> str:
    """Run a command and return what it prints.

    Args:
        command: The program and its arguments; one line for the shell if `shell`.
        shell: Have it run by the shell.

    Raises:
        RuntimeError: If it cannot be run, fails, or takes too long; says what it printed.
    """
    answer = await answer_of(command, shell=shell)
    if answer.code:
        said = (answer.complaints or answer.printed).strip()
        raise RuntimeError(
            f"`{shown(command, shell=shell)}` ended with exit code {answer.code}: {said}"
        )
    return answer.printed


async def answer_of(
    command: Sequence[str], *, shell: bool = False, patience: float = PATIENCE
) -> Answer:
    """Run a command to its end.

    It has a session of its own: a Ctrl-C would end it between taking a job and naming it.

    Args:
        command: The program and its arguments; one line for the shell if `shell`.
        shell: Have it run by the shell.
        patience: Seconds that it may take.

    Raises:
        RuntimeError: If it cannot be run, or takes too long.
    """
    process = await begin(command, shell=shell)
    try:
        printed, complaints = await asyncio.wait_for(process.communicate(), patience)
    except TimeoutError:
        program = shown(command, shell=shell)
        raise RuntimeError(f"`{program}` did not answer within {patience:g} s") from None
    finally:
        await end(process)
    return Answer(
        process.returncode or 0,
        printed.decode(errors="replace"),
        complaints.decode(errors="replace"),
    )


def shown(command: Sequence[str], *, shell: bool) -> str:
    """The program of a command."""
    return command[0].split("<")[0].strip() if shell else command[0]


async def begin(command: Sequence[str], *, shell: bool) -> Process:
    try:
        if shell:
            line = command[0].replace(SAYS_NOTHING, "")
            return await asyncio.create_subprocess_shell(
                line, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
            )
        return await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
    except OSError as error:
        raise RuntimeError(f"`{command[0]}` cannot be run: {error}") from error


async def end(process: Process) -> None:
    """End a command that was not waited for, with what it started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.communicate()  # whoever only waits for its end leaves its pipes open


def path_of(program: str, *, beside: str | None = None) -> str | None:
    """Where a program is, if it is anywhere.

    Args:
        program: Its name.
        beside: Another program, in whose directory it may be as well.
    """
    found = shutil.which(program)
    if found is None and beside is not None and os.path.dirname(beside):  # noqa: PTH120
        found = shutil.which(program, path=os.path.dirname(beside))  # noqa: PTH120
    return found
