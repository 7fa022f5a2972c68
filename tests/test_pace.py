"""How often a callback is due."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk.pace import Pace

small = st.integers(min_value=1, max_value=7)
limits = st.none() | st.integers(min_value=1, max_value=20)


def pace_of(**options: Any) -> Pace:
    pace = Pace.of(**options)
    assert pace is not None
    return pace


@given(limit=limits, repeat=small, every=small, n=st.integers(min_value=0, max_value=60))
def test_calls_after_n_emissions(limit: int | None, repeat: int, every: int, n: int) -> None:
    """
    calls(n) = min(limit, repeat * (n // every)).
    """
    pace = pace_of(when=lambda: True, limit=limit, repeat=repeat, every=every)
    calls = sum(pace.due() for _ in range(n))
    wanted = repeat * (n // every)
    assert calls == pace.calls == (wanted if limit is None else min(limit, wanted))
    assert pace.emissions == n


@given(limit=limits, repeat=small, every=small, answers=st.lists(st.booleans(), max_size=60))
def test_calls_with_any_when(
    limit: int | None, repeat: int, every: int, answers: list[bool]
) -> None:
    """
    For every sequence of answers of `when`: it is asked once on each emission that is due, as long
    as calls are left, and each yes is worth min(repeat, what is left) calls.
    """
    asked = iter(answers)
    pace = pace_of(when=lambda: next(asked), limit=limit, repeat=repeat, every=every)
    to_come, left = iter(answers), float("inf") if limit is None else limit
    n_due = len(answers)
    for emission in range(1, n_due * every + 1):
        is_due = emission % every == 0 and left > 0
        expected = min(repeat, left) if is_due and next(to_come) else 0
        assert pace.due() == expected
        left -= expected
    assert list(asked) == list(to_come)


def test_the_usual_pace_needs_no_object() -> None:
    """
    Once on every emission is `None`, whether it is said or not.
    """
    assert Pace.of() is None
    assert Pace.of(when=None, limit=None, repeat=1, every=1) is None


@pytest.mark.parametrize("name", ["limit", "repeat", "every"])
@pytest.mark.parametrize("value", [0, -1])
def test_below_one_is_refused(name: str, value: int) -> None:
    """
    The error names the option and its value.
    """
    options: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{name}={value}"):
        Pace.of(**options)


@pytest.mark.parametrize("name", ["limit", "repeat", "every"])
@pytest.mark.parametrize("value", [1.5, "2", True])
def test_only_whole_numbers_count(name: str, value: object) -> None:
    """
    What is not a number of times is a `TypeError` that names the option.
    """
    options: dict[str, Any] = {name: value}
    with pytest.raises(TypeError, match=name):
        Pace.of(**options)


def test_when_has_to_be_a_function() -> None:
    """
    `when=True` is a mistake that is told where it is made.
    """
    when: Any = True
    with pytest.raises(TypeError, match="when"):
        Pace.of(when=when)


def test_when_that_raises_costs_nothing() -> None:
    """
    A `when` that raised did not say yes: all calls of the limit are left.
    """
    divisors = iter([0, 1])
    pace = pace_of(when=lambda: 1 // next(divisors) == 1, limit=1)
    with pytest.raises(ZeroDivisionError):
        pace.due()
    assert pace.due() == 1


def test_when_that_emits_again_does_not_exceed_the_limit() -> None:
    """
    `when` may ask for calls itself; the limit holds for both together.
    """
    pace: list[Pace] = []
    nested = [False]

    def when() -> bool:
        if not nested[0]:
            nested[0] = True
            assert pace[0].due() == 2
        return True

    pace.append(pace_of(when=when, limit=3, repeat=2))
    assert pace[0].due() == 1
    assert [pace[0].due() for _ in range(3)] == [0, 0, 0]
