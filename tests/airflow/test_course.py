"""What can be told of a run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk.airflow.course import OVER, SETTLE, Course
from amltk.airflow.storage import Found

states = st.sampled_from(
    [None, "scheduled", "queued", "running", "restarting", "success", "failed", "skipped",
     "upstream_failed", "removed", "up_for_retry", "deferred", "something new"]
)  # fmt: skip
NOTHING = Found(None, None)


@given(st.lists(states))
def test_a_run_is_over_once(heard: list[str | None]) -> None:
    """
    For every sequence of states: it is over from the first one on that says so, and is lost only if
    it is over.
    """
    course = Course()
    for now, state in enumerate(heard):
        course.hear(state, float(now))
        over = [n for n, s in enumerate(heard[: now + 1]) if s in OVER]
        assert course.over_since == (over[0] if over else None)
        assert course.is_over == bool(over)
        assert course.has_begun == bool({"running", "restarting"} & {*heard[: now + 1]})
        assert course.to_collect or not over
        assert course.is_over or course.why_lost(NOTHING, 1e9) is None


def test_what_airflow_says_again_is_no_news() -> None:
    """
    Only what changes is.
    """
    course = Course()
    assert [course.hear(s, 0.0) for s in ("queued", "queued", "running")] == [True, False, True]


def test_a_task_that_airflow_starts_again_may_have_ended() -> None:
    """
    Who has begun once is looked at whenever something changes; who waits is not.
    """
    course = Course()
    for state in ("queued", "scheduled", "running", "running"):
        course.hear(state, 0.0)
        assert not course.to_collect
    course.hear("queued", 0.0)
    assert course.to_collect
    assert not course.is_over


def test_a_run_that_is_missing_twice_was_deleted() -> None:
    """
    Once can be a page that was turned while something happened.
    """
    course = Course()
    course.overlook(1.0)
    course.hear("queued", 2.0)
    course.overlook(3.0)
    assert not course.is_over
    course.overlook(4.0)
    assert course.over_since == 4.0
    assert "deleted" in str(course.why_lost(NOTHING, 4.0))


def test_an_outcome_may_be_seen_late() -> None:
    """
    Airflow says that all went well, and a network file system does not show it yet.
    """
    course = Course()
    course.hear("success", 10.0)
    assert course.may_still_settle(10.0)
    assert course.why_lost(NOTHING, 9.0 + SETTLE) is None
    assert not course.may_still_settle(10.0 + SETTLE)
    assert course.why_lost(NOTHING, 10.0 + SETTLE) is not None


@pytest.mark.parametrize(
    ("state", "found", "said"),
    [
        ("failed", Found(None, "vm, process 7"), "vm, process 7"),
        ("failed", NOTHING, "before it was begun"),
        ("skipped", NOTHING, "worker_storage"),
        ("removed", NOTHING, "removed"),
        ("deleted", Found(None, "vm, process 7"), "deleted from Airflow, begun by vm, process 7"),
    ],
)
def test_a_loss_says_what_is_known_of_it(state: str, found: Found, said: str) -> None:
    """
    Who had begun the call, or why nobody had.
    """
    course = Course(state, over_since=0.0)
    assert said in str(course.why_lost(found, 0.0))
