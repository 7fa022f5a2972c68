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

from amltk.backends.base import require_at_least_one

__all__ = ["CHECKS", "are_lines", "bytes_in", "require_text"]

Check = Callable[[str, object], None]

UNITS: Mapping[str, int] = {
    "": 1,
    "b": 1,
    **{
        f"{prefix}{end}": (1024 if "i" in end else 1000) ** power
        for power, prefix in enumerate("kmgtp", start=1)
        for end in ("", "b", "i", "ib")
    },
}
"""What units of memory mean to dask: `k` and `kB` are a thousand, `Ki` and `KiB` are 1024."""

AMOUNT = re.compile(r"(\d+\.?\d*|\.\d+)(e[+-]?\d+)?([a-z]*)", re.IGNORECASE)


def bytes_in(text: str) -> int:
    """The number of bytes that a text such as "6 GB" means to dask.

    Raises:
        ValueError: If it means none.
    """
    found = AMOUNT.fullmatch(text.replace(" ", ""))
    unit = UNITS.get(found[3].lower()) if found else None
    if found is None or unit is None:
        raise ValueError(f"{text!r} is no amount of memory")
    amount = float(found[1] + (found[2] or "")) * unit
    if not math.isfinite(amount):
        raise ValueError(f"{text!r} is too much")
    return int(amount)


def require_memory(name: str, value: object) -> None:
    """Refuse what is no amount of memory, or none at all."""
    if value is None:
        return
    require_text(name, value)
    try:
        enough = bytes_in(str(value)) > 0
    except ValueError:
        enough = False
    if not enough:
        raise ValueError(
            f"`{name}={value!r}` is no amount of memory. Write a number and a unit, such as "
            '"6 GB" or "512 MiB".'
        )


def require_text(name: str, value: object) -> None:
    """Refuse what could not stand in a line of a job script."""
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"`{name}={value!r}` has to be text, or None.")
    if not value.strip() or "\n" in value:
        raise ValueError(f"`{name}={value!r}` has to be one line of text, or None.")


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


def maps_something(value: object) -> TypeIs[Mapping[object, object]]:
    return isinstance(value, Mapping)


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
    "job_mem": require_memory,
    "job_script_prologue": require_lines,
    "local_directory": require_directory,
    "log_directory": require_directory,
    "lsf_units": require_choice("kb", "mb", "gb", "tb", "pb", "eb"),
    "mem": require_at_least_one,
    "memory": require_memory,
    "min_workers": require_jobs,
    "n_workers": require_number_of_jobs,
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
