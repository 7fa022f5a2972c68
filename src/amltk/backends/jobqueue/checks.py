"""What can be said against the fields of a recipe before anything is submitted.

A cluster that gets nonsense answers after minutes in a queue, if at all. None of this needs dask.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeGuard

from typing_extensions import TypeIs

from amltk.backends.base import maps_something, require_at_least_one
from amltk.backends.memory import is_enough

__all__ = ["CHECKS", "are_lines", "require_text"]

Check = Callable[[str, object], None]


def require_memory(name: str, value: object) -> None:
    """Refuse what is no amount of memory, or none at all."""
    if value is None:
        return
    require_text(name, value)
    if not is_enough(str(value)):
        raise ValueError(
            f"`{name}={value!r}` is no amount of memory that a worker could do with. Write a number "
            'and a unit, such as "6 GB" or "512 MiB".'
        )


def require_slurms_memory(name: str, value: object) -> None:
    """Refuse what Slurm could not read; 0 is all that a node has."""
    require_text(name, value)
    if value is not None and not re.fullmatch(r"\d+([KMGT]B?)?", str(value), re.IGNORECASE):
        raise ValueError(
            f'`{name}={value!r}` is no amount of memory that Slurm can read, such as "6G"; without '
            "a unit it is in MiB."
        )


def require_text(name: str, value: object) -> None:
    """Refuse what could not stand in a line of a job script."""
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"`{name}={value!r}` has to be text, or None.")
    if not value.strip() or "\n" in value:
        raise ValueError(f"`{name}={value!r}` has to be one line of text, or None.")


def require_name(name: str, value: object) -> None:
    """Refuse what managers, shells and file systems do not all take for one word."""
    require_text(name, value)
    if value is not None and not re.fullmatch(r"[\w.-]+", str(value), re.ASCII):
        raise ValueError(
            f"`{name}={value!r}` has to be one word of letters, digits, '.', '_' and '-', or None."
        )


def require_flag(name: str, value: object) -> None:
    """Refuse what is neither true nor false, and not left open either."""
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be True or False.")


def require_seconds(name: str, value: object) -> None:
    """Refuse what is no time to wait."""
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be a number of seconds, or None.")
    if not 0 < value < math.inf:
        raise ValueError(f"`{name}={value}` has to be more than 0 seconds, or None.")


def require_command(name: str, value: object) -> None:
    """Refuse what cannot be taken apart into a program and its arguments."""
    require_text(name, value)
    try:
        shlex.split(str(value))
    except ValueError as error:
        raise ValueError(f"`{name}={value!r}` is no command: {error}.") from error


def require_lines(name: str, value: object) -> None:
    """Refuse what is no sequence of texts; one text alone is a sequence of letters."""
    if value is not None and not are_lines(value):
        raise TypeError(f'`{name}={value!r}` has to be a list of texts, such as ["..."], or None.')


def are_lines(value: object) -> TypeGuard[Sequence[str]]:
    """Whether these are texts."""
    return is_sequence(value) and all(isinstance(line, str) for line in value)


def is_sequence(value: object) -> TypeIs[Sequence[object]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def is_mapping(value: object) -> TypeGuard[Mapping[str, object]]:
    """Whether this maps names to values."""
    return maps_something(value) and all(isinstance(key, str) for key in value)


def require_mapping(name: str, value: object) -> None:
    """Refuse what maps no names to anything."""
    if value is None:
        return
    if not is_mapping(value):
        raise TypeError(f"`{name}={value!r}` has to be a mapping from names to values, or None.")


def require_directory(name: str, value: object) -> None:
    """Refuse what is no path."""
    if value is None:
        return
    if not isinstance(value, str | Path):
        raise TypeError(f"`{name}={value!r}` has to be the path of a directory, or None.")
    require_text(name, str(value))


def require_jobs(name: str, value: object) -> None:
    """Refuse what is no number of jobs; none at all is one."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be a whole number.")
    if value < 0:
        raise ValueError(f"`{name}={value}` is no number of jobs: it has to be at least 0.")


def require_number_of_jobs(name: str, value: object) -> None:
    """Refuse a number of jobs that could never compute anything."""
    require_jobs(name, value)
    require_at_least_one(name, value)


def require_choice(*choices: str) -> Check:
    """Makes a check that refuses everything but these."""

    def require_one_of_them(name: str, value: object) -> None:
        if value is not None and value not in choices:
            raise ValueError(f"`{name}={value!r}` has to be one of {', '.join(choices)}.")

    return require_one_of_them


def require_credentials(name: str, value: object) -> None:
    """Refuse what says neither yes nor no, and has no certificates either."""
    if not isinstance(value, bool) and not hasattr(value, "get_connection_args"):
        raise TypeError(f"`{name}={value!r}` has to be True, False, or a `distributed.Security`.")


def anything(name: str, value: object) -> None:
    """Refuse nothing: what it is to be depends on the manager."""
    del name, value


def require_class(name: str, value: object) -> None:
    """Refuse what makes nothing."""
    if value is not None and not callable(value):
        raise TypeError(f"`{name}={value!r}` has to be a class, or None.")


CHECKS: Mapping[str, Check] = {
    "adaptive": require_flag,
    "cancel_command": require_command,
    "cancel_command_extra": require_lines,
    "cores": require_at_least_one,
    "death_timeout": require_seconds,
    "disk": require_memory,
    "job_cpu": require_at_least_one,
    "job_directives_skip": require_lines,
    "job_extra_directives": anything,
    "job_mem": require_slurms_memory,
    "job_script_prologue": require_lines,
    "local_directory": require_directory,
    "log_directory": require_directory,
    "lsf_units": require_choice("kb", "mb", "gb", "tb", "pb", "eb"),
    "mem": require_at_least_one,
    "memory": require_memory,
    "min_workers": require_jobs,
    "n_workers": require_number_of_jobs,
    "name": require_name,
    "nanny": require_flag,
    "ncpus": require_at_least_one,
    "processes": require_at_least_one,
    "scheduler_cls": require_class,
    "scheduler_options": require_mapping,
    "security": require_credentials,
    "shared_temp_directory": require_directory,
    "silence_logs": require_choice("debug", "info", "warning", "error", "critical"),
    "start_timeout": require_seconds,
    "submit_command": require_command,
    "submit_command_extra": require_lines,
    "use_stdin": require_flag,
    "worker_extra_args": require_lines,
}
"""What is asked of a field; of all others that they are one line of text."""
