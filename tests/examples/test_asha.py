"""The rule of the search in `examples/asha.py`, apart from any scheduler."""

from __future__ import annotations

import pytest
from asha import SuccessiveHalving
from hypothesis import given
from hypothesis import strategies as st

ETA = 3
RUNGS = 4

Decision = tuple[int, int] | None

scores = st.integers(0, 9).map(lambda n: n / 9)
"""Few values, so that there are ties."""
scripts = st.lists(st.tuples(scores, st.booleans()), max_size=120)
"""A score, and whether the evaluation that comes next is asked for at once."""


class Story:
    """A search in which every script of scores is an order that can happen."""

    def __init__(self) -> None:
        self.halving: SuccessiveHalving[int] = SuccessiveHalving(RUNGS, ETA)
        self.waiting: list[tuple[int, int]] = []
        self.decisions: list[Decision] = []
        self.n_begun = 0

    def ask(self) -> Decision:
        decision = self.halving.promote()
        self.decisions.append(decision)
        self.waiting.append(decision or (self.n_begun, 0))
        self.n_begun += decision is None
        return decision

    def answer(self, score: float) -> None:
        trial, rung = self.waiting.pop(0)
        self.halving.record(trial, rung, score)


def tell(script: list[tuple[float, bool]]) -> Story:
    story = Story()
    for score, asks_first in script:
        if asks_first or not story.waiting:
            story.ask()
        story.answer(score)
    return story


def earned(halving: SuccessiveHalving[int], rung: int) -> set[int]:
    """The best third of a rung, counted out one by one."""
    order = list(halving.rungs[rung].scores.items())
    better = {
        trial: sum(
            s > score or (s == score and other < place) for other, (_, s) in enumerate(order)
        )
        for place, (trial, score) in enumerate(order)
    }
    return {trial for trial, n_better in better.items() if n_better < len(order) // ETA}


@given(scripts)
def test_only_who_is_among_the_best_goes_on(script: list[tuple[float, bool]]) -> None:
    """For every search: a trial that goes on to a rung is in the best third of the one below."""
    halving = tell(script).halving
    while (decision := halving.promote()) is not None:
        trial, rung = decision
        assert trial in earned(halving, rung - 1)


@given(scripts)
def test_nobody_goes_on_twice(script: list[tuple[float, bool]]) -> None:
    """For every search: no trial goes on to the same rung more than once."""
    story = tell(script)
    while story.halving.promote() is not None:
        pass
    promotions = [decision for decision in story.decisions if decision is not None]
    assert len(set(promotions)) == len(promotions)


@given(scripts)
def test_nobody_who_has_earned_it_waits(script: list[tuple[float, bool]]) -> None:
    """For every search: if nobody goes on, the best third of each rung but the last has."""
    halving = tell(script).halving
    while halving.promote() is not None:
        pass
    for rung in range(RUNGS - 1):
        assert earned(halving, rung) <= halving.rungs[rung].promoted


@given(scripts)
def test_the_highest_rung_comes_first(script: list[tuple[float, bool]]) -> None:
    """For every search: when a trial goes on to a rung, nobody could have gone on to a higher."""
    halving = tell(script).halving
    while (decision := halving.promote()) is not None:
        for rung in range(decision[1], RUNGS - 1):
            assert earned(halving, rung) <= halving.rungs[rung].promoted


@given(scripts)
def test_the_same_scores_give_the_same_search(script: list[tuple[float, bool]]) -> None:
    """For every script: two searches that hear the same scores decide the same."""
    assert tell(script).decisions == tell(script).decisions


def test_the_best_of_three_goes_on_and_then_a_new_one_begins() -> None:
    """With `eta=3` one in three goes on: the best of them, once."""
    halving: SuccessiveHalving[str] = SuccessiveHalving(2, eta=3)
    halving.record("a", 0, 0.5)
    halving.record("b", 0, 0.9)
    assert halving.promote() is None
    halving.record("c", 0, 0.7)
    assert halving.promote() == ("b", 1)
    assert halving.promote() is None


@pytest.mark.parametrize(("n_rungs", "eta"), [(0, 3), (-1, 3), (3, 1), (3, 0)])
def test_a_ladder_that_cannot_work_is_refused(n_rungs: int, eta: int) -> None:
    """No rungs, or an `eta` that lets everybody go on, is an error that names the value."""
    wrong = f"n_rungs={n_rungs}" if n_rungs < 1 else f"eta={eta}"
    with pytest.raises(ValueError, match=wrong):
        SuccessiveHalving(n_rungs, eta)
