"""Amounts of memory and time, and how they are read."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk.pynisher.amounts import MEMORY, TIME, Memory, Time, in_bytes, in_seconds, measured

numbers = st.integers(1, 10**6) | st.floats(1e-6, 1e6)


def units_in(kind: object) -> set[str]:
    """The units that a type checker lets one write."""
    _, pair = get_args(kind)
    return set(get_args(get_args(pair)[1]))


@given(number=numbers, unit=st.sampled_from(sorted(MEMORY.units)))
def test_bytes_are_never_rounded_down(number: float, unit: Any) -> None:
    """
    n * unit <= bytes < n * unit + 1, whatever the case of the unit.
    """
    exact = Fraction(number) * Fraction(MEMORY.units[unit])
    for written in (unit, unit.upper()):
        assert exact <= in_bytes("memory_limit", (number, written)) < exact + 1


@given(number=numbers.filter(lambda n: n <= 10_000), unit=st.sampled_from(sorted(TIME.units)))
def test_seconds_are_exact(number: float, unit: Any) -> None:
    """
    Seconds = n * unit, without any rounding.
    """
    assert in_seconds("wall_time_limit", (number, unit)) == number * TIME.units[unit]
    assert in_seconds("wall_time_limit", number) == number


@pytest.mark.parametrize(
    ("amount", "n_bytes"),
    [
        (1, 1),
        (0.5, 1),
        ((1, "KB"), 1024),
        ((1, "KiB"), 1024),
        ((1.5, "mb"), 1_572_864),
        ((2, "GB"), 2_147_483_648),
        ((1, "TiB"), 1_099_511_627_776),
    ],
)
def test_memory(amount: Memory, n_bytes: int) -> None:
    """
    A KB is 1024 bytes, as it is for pynisher.
    """
    assert in_bytes("memory_limit", amount) == n_bytes


@pytest.mark.parametrize(
    ("amount", "seconds"),
    [(2.5, 2.5), ((500, "ms"), 0.5), ((1, "m"), 60), ((1.5, "min"), 90), ((1, "h"), 3600), ((2, "D"), 172_800)],
)  # fmt: skip
def test_time(amount: Time, seconds: float) -> None:
    """
    Seconds, or a unit; an `m` is a minute.
    """
    assert in_seconds("wall_time_limit", amount) == seconds


def test_what_type_checkers_accept_is_understood() -> None:
    """
    Every unit that may be written has a meaning, and there is none beside.
    """
    assert {unit.lower() for unit in units_in(Memory)} == set(MEMORY.units)
    assert units_in(Time) == set(TIME.units)


@pytest.mark.parametrize("measure", [MEMORY, TIME], ids=["memory", "time"])
@pytest.mark.parametrize("number", [0, -1, -0.5, math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("unit", [None, "first"])
def test_amounts_that_limit_nothing(measure: Any, number: float, unit: str | None) -> None:
    """
    Nothing, less than nothing, what is no number and what has no end are refused, and named.
    """
    amount: object = number if unit is None else (number, next(iter(measure.units)))
    with pytest.raises(ValueError, match=r"`some_limit` is .* more than 0 and at most"):
        measured("some_limit", amount, measure)


@pytest.mark.parametrize(
    "amount",
    [True, "1", "1 GB", (1,), (1, 2), ("1", "s"), (True, "s"), (1, "s", "s"), [], None, 1j],
)
def test_what_is_no_amount(amount: object) -> None:
    """
    Other types are refused, with what to write instead.
    """
    with pytest.raises(TypeError, match=r"has to be a number of seconds, or a pair .* ms, s, m"):
        measured("wall_time_limit", amount, TIME)


@pytest.mark.parametrize("unit", ["", "GBs", "seconds", "x"])
def test_a_unit_that_nobody_knows(unit: Any) -> None:
    """
    The error lists the units that there are.
    """
    with pytest.raises(ValueError, match=rf"`memory_limit` has the unit '{unit}', .* B, KB, MB"):
        in_bytes("memory_limit", (1, unit))
    with pytest.raises(ValueError, match=rf"`cpu_time_limit` has the unit '{unit}', .* ms, s, m"):
        in_seconds("cpu_time_limit", (1, unit))
