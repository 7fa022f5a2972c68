"""When to look, and for how long to put up with no answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from amltk.airflow.rhythm import LAST_RETRY, LONGEST, Trouble, until_next_look

seconds = st.floats(0, 1e6)


@given(quiet=seconds, took=seconds, shortest=st.floats(0.01, 100))
def test_a_look_is_neither_too_early_nor_too_late(
    quiet: float, took: float, shortest: float
) -> None:
    """
    For every pace: no sooner than it may be, a slow server is left alone for most of the time, and a
    call is heard of late by at most a twentieth of how long nothing happened.
    """
    wait = until_next_look(quiet, took, shortest)
    assert wait >= shortest
    assert wait >= 4 * took
    assert wait <= max(shortest, 4 * took, min(quiet / 20, LONGEST))


@given(patience=st.floats(0.1, 1000), costs=st.lists(st.floats(0, 30), max_size=50))
def test_patience_is_as_long_as_it_is_said_to_be(patience: float, costs: list[float]) -> None:
    """
    However long each try takes: it is not given up before, nor later than the try that ends after.
    """
    trouble = Trouble(patience)
    now = began = 100.0
    for cost in costs:
        wait = trouble.until_next_try(now)
        if wait is None:
            assert now - began >= patience - 1e-6
            return
        assert 0 < wait <= LAST_RETRY
        assert now + wait <= began + patience + 1e-6
        now += wait + cost


def test_an_answer_ends_the_trouble() -> None:
    """
    Patience is for one time without an answer, not for all of them together.
    """
    trouble = Trouble(patience=10)
    first = trouble.until_next_try(0.0)
    assert trouble.until_next_try(9.0) is not None
    trouble.is_over()
    assert trouble.until_next_try(100.0) == first
    assert trouble.until_next_try(110.0) is None
