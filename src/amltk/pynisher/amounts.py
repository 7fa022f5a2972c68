"""Amounts of memory and of time as one writes them, and as bytes and seconds."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["Memory", "Time", "in_bytes", "in_seconds"]

Memory: TypeAlias = (
    float | tuple[float, Literal["B", "KB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"]]
)
"""Bytes, or a number and its unit. As with pynisher a KB is 1024 bytes, and a KiB is the same."""

Time: TypeAlias = float | tuple[float, Literal["ms", "s", "m", "min", "h", "d"]]
"""Seconds, or a number and its unit."""


class Measure(NamedTuple):
    """How amounts of one kind are written."""

    base: str
    """What a number without a unit counts."""
    units: Mapping[str, float]
    """How many of these each unit is; in lower case, as both cases are understood."""
    shown: str
    """The units, for somebody who wrote another one."""
    most: float
    """More than this the system cannot count."""


MEMORY = Measure(
    base="bytes",
    units={
        "b": 1,
        **{f"{prefix}b": 1024**power for power, prefix in enumerate("kmgt", start=1)},
        **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgt", start=1)},
    },
    shown="B, KB, MB, GB, TB, KiB, MiB, GiB or TiB (a KB is 1024 bytes, and a KiB is the same)",
    most=sys.maxsize,
)
TIME = Measure(
    base="seconds",
    units={"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400},
    shown="ms, s, m or min (minutes), h, or d",
    most=1e9,
)


def in_bytes(name: str, amount: Memory) -> int:
    """A whole number of bytes, which is never less than the amount.

    Args:
        name: What the amount is for, to be named in an error.
        amount: The amount.

    Raises:
        TypeError: If it is neither a number nor a pair of a number and a unit.
        ValueError: If it is nothing or less, or has no end, or if nobody knows the unit.
    """
    return math.ceil(measured(name, amount, MEMORY))


def in_seconds(name: str, amount: Time) -> float:
    """A number of seconds; raises what `in_bytes` raises."""
    return measured(name, amount, TIME)


def measured(name: str, amount: object, measure: Measure) -> float:
    number, unit = number_and_unit(name, amount, measure)
    if not 0 < number <= measure.most / unit:  # which is true of what is no number, too
        raise ValueError(
            f"`{name}` is {amount!r}, and has to be more than 0 and at most {measure.most:.2g} "
            f"{measure.base}. For no limit leave it out."
        )
    return number * unit


def number_and_unit(name: str, amount: object, measure: Measure) -> tuple[float, float]:
    match amount:
        case int() | float() as number if not isinstance(number, bool):
            return number, 1
        case (int() | float() as number, str(word)) if not isinstance(number, bool):
            return number, unit_of(name, word, measure)
        case _:
            pass
    raise TypeError(
        f"`{name}={amount!r}` has to be a number of {measure.base}, or a pair of a number and its "
        f"unit, which is {measure.shown}."
    )


def unit_of(name: str, word: str, measure: Measure) -> float:
    unit = measure.units.get(word.lower())
    if unit is None:
        raise ValueError(f"`{name}` has the unit {word!r}, which is none of {measure.shown}.")
    return unit
