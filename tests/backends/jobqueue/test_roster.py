"""What is to be done about jobs, tried by hand: no clock, no manager."""

from __future__ import annotations

import math

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amltk.backends.jobqueue.roster import (
    EARLY_DEATHS,
    FIRST_NOTE,
    IDLE,
    REFUSALS,
    RETURN,
    Limits,
    Phase,
    Roster,
)


class AnyOrderOfEvents(RuleBasedStateMachine):
    """Jobs that come, go and die in any order, and a keeper that does as it is told."""

    @initialize(most=st.integers(1, 4), least=st.integers(0, 4), slots=st.integers(1, 3))
    def begin(self, most: int, least: int, slots: int) -> None:
        self.limits = Limits(most, min(least, most), slots)
        self.roster = Roster(self.limits)
        self.now = 0.0
        self.n_submitted = 0
        self.over = False

    def pick(self, data: st.DataObject, *phases: Phase) -> str | None:
        names = [job.name for job in self.roster.jobs.values() if job.phase in phases]
        return data.draw(st.sampled_from(names)) if names else None

    @rule(seconds=st.sampled_from([0.5, 3.0, IDLE, RETURN, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(data=st.data())
    def a_job_is_taken(self, data: st.DataObject) -> None:
        if name := self.pick(data, Phase.SUBMITTING):
            self.roster.taken(name, name.removeprefix("w"), self.now)

    @rule(data=st.data())
    def a_job_is_refused(self, data: st.DataObject) -> None:
        if name := self.pick(data, Phase.SUBMITTING):
            self.roster.refused(name, "refused", self.now)

    @rule(data=st.data())
    def a_worker_joins(self, data: st.DataObject) -> None:
        if name := self.pick(data, Phase.SUBMITTING, Phase.WAITING, Phase.MISSING, Phase.WORKING):
            self.roster.joined(name, f"{name}:{self.now}", self.now)

    @rule(data=st.data())
    def a_worker_leaves(self, data: st.DataObject) -> None:
        if name := self.pick(data, Phase.WORKING):
            worker = data.draw(st.sampled_from(sorted(self.roster.jobs[name].workers)))
            self.roster.left(name, worker, self.now)

    @rule(data=st.data())
    def a_job_ends(self, data: st.DataObject) -> None:
        if name := self.pick(data, Phase.WAITING, Phase.MISSING):
            self.roster.ended(name, "ended", self.now)

    @precondition(lambda self: not self.over)
    @rule(calls=st.integers(0, 20), data=st.data())
    def somebody_looks(self, calls: int, data: st.DataObject) -> None:
        working = [j.name for j in self.roster.jobs.values() if j.phase is Phase.WORKING]
        some = st.sets(st.sampled_from(working)) if working else st.just(set[str]())
        idle = frozenset(data.draw(some))
        before = len(self.roster.jobs)
        steps = self.roster.look(self.now, calls, idle)
        self.over = bool(steps.give_up)
        for name in steps.lost:
            self.roster.ended(name, "lost", self.now)
        for name in steps.end:
            waits = self.roster.jobs[name].phase is Phase.WAITING
            assert waits or name in idle, "only jobs are ended that compute nothing"
            self.roster.dismissed(name)
        for _ in range(steps.start):
            self.roster.submitting(f"w{self.n_submitted}", self.now)
            self.n_submitted += 1
        after = len(self.roster.jobs) + len(steps.lost)  # those count until they have ended
        if steps.end:
            assert after >= self.limits.wanted(calls), "none is ended that is wanted"
        if steps.start:
            assert after == self.limits.wanted(calls), "all that are wanted are submitted"
            assert before < after

    @invariant()
    def there_are_never_too_many(self) -> None:
        assert len(self.roster.jobs) <= self.limits.most

    @invariant()
    def who_has_workers_works(self) -> None:
        for job in self.roster.jobs.values():
            assert bool(job.workers) == (job.phase is Phase.WORKING)


AnyOrderOfEvents.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestAnyOrderOfEvents = AnyOrderOfEvents.TestCase
"""For every order of events: no job too many, none ended that computes, none forgotten."""


def working(roster: Roster, n: int, now: float = 0.0) -> None:
    """So many jobs with a worker each."""
    for i in range(n):
        roster.submitting(f"w{i}", now)
        roster.taken(f"w{i}", str(i), now)
        roster.joined(f"w{i}", f"a{i}", now)


@pytest.mark.parametrize(
    ("calls", "jobs"), [(0, 1), (1, 1), (2, 1), (3, 2), (8, 4), (9, 5), (100, 5)]
)
def test_there_is_a_job_for_as_many_calls_as_it_computes(calls: int, jobs: int) -> None:
    """
    Not less than `least`, not more than `most`.
    """
    roster = Roster(Limits(most=5, least=1, slots=2))
    assert roster.look(0, calls).start == jobs


def test_a_job_without_work_is_kept_for_a_while() -> None:
    """
    If there is work again within that time, it begins anew.
    """
    roster = Roster(Limits(most=2, least=0, slots=1))
    working(roster, 2)
    idle = frozenset({"w0"})
    assert roster.look(0, 1, idle).end == ()
    assert roster.look(IDLE - 1, 1, idle).end == ()
    assert roster.look(IDLE, 2, idle).end == ()
    assert roster.look(IDLE + 1, 1, idle).end == ()
    assert roster.look(2 * IDLE + 1, 1, idle).end == ("w0",)


def test_jobs_that_wait_are_ended_before_those_that_work() -> None:
    """
    And those that were submitted last before the others.
    """
    roster = Roster(Limits(most=4, least=0, slots=1))
    working(roster, 2)
    for name in ("w2", "w3"):
        roster.submitting(name, 0)
        roster.taken(name, name, 0)
    idle = frozenset({"w0", "w1"})
    roster.look(0, 1, idle)
    assert roster.look(IDLE, 1, idle).end == ("w3", "w2", "w1")


def test_the_first_refusal_is_the_last() -> None:
    """
    If the manager has taken nothing yet; but only when all that are under way have been answered.
    """
    roster = Roster(Limits(most=2, least=0, slots=1))
    roster.submitting("w0", 0)
    roster.submitting("w1", 0)
    roster.refused("w0", "no such queue", 0)
    assert not roster.look(0, 2).give_up
    roster.refused("w1", "no such queue", 0)
    assert roster.look(0, 2).give_up == "no such queue"


def test_a_limit_of_the_manager_is_respected() -> None:
    """
    While some jobs are taken, that others are refused ends nothing, and is not tried all the time.
    """
    roster = Roster(Limits(most=2, least=2, slots=1))
    roster.submitting("w0", 0)
    roster.taken("w0", "0", 0)
    now, tries = 0.0, 0
    while now < 3600:
        steps = roster.look(now, 2)
        assert not steps.give_up
        if steps.start:
            roster.submitting("w1", now)
            roster.refused("w1", "too many jobs", now)
            tries += 1
        now += 1
    assert 60 <= tries <= 75


def test_a_manager_that_has_taken_jobs_is_given_time() -> None:
    """
    It may refuse for about a minute.
    """
    roster = Roster(Limits(most=1, least=0, slots=1))
    working(roster, 1)
    roster.left("w0", "a0", 0)
    roster.ended("w0", "ended", 0)
    now, tries = 0.0, 0
    while not (steps := roster.look(now, 1)).give_up:
        if steps.start:
            roster.submitting("again", now)
            roster.refused("again", "out of service", now)
            tries += 1
        now += 1
    assert tries == REFUSALS
    assert 30 < now < 90


def test_jobs_that_die_in_a_row_are_enough() -> None:
    """
    A worker that is there in between proves that jobs can live.
    """
    roster = Roster(Limits(most=9, least=9, slots=1))

    def die(name: str) -> bool:
        roster.submitting(name, 0)
        roster.taken(name, name, 0)
        roster.ended(name, f"{name} died", 0)
        return bool(roster.look(0, 1).give_up)

    assert not any(die(f"a{n}") for n in range(EARLY_DEATHS - 1))
    roster.submitting("lives", 0)
    roster.joined("lives", "address", 0)
    assert not any(die(f"b{n}") for n in range(EARLY_DEATHS + 1))
    roster.left("lives", "address", 0)
    roster.ended("lives", "", 0)
    assert roster.look(0, 1).give_up == f"b{EARLY_DEATHS} died"


def test_the_first_worker_has_to_be_there_in_time() -> None:
    """
    Counted from the first submission; later workers may take longer.
    """
    limits = Limits(most=1, least=0, slots=1, start_timeout=30)
    late, early = Roster(limits), Roster(limits)
    for roster in (late, early):
        assert not roster.look(100, 0).give_up
        roster.submitting("w0", 100)
        roster.taken("w0", "7", 100)
    assert not late.look(129, 1).give_up
    assert "job 7" in late.look(130, 1).give_up
    early.joined("w0", "a", 129)
    early.left("w0", "a", 129)
    early.ended("w0", "", 129)
    assert not early.look(math.nextafter(200, 0), 1).give_up


def test_a_manager_that_does_not_answer_counts_as_well() -> None:
    """
    Nobody knows yet whether it takes the job.
    """
    roster = Roster(Limits(most=1, least=0, slots=1, start_timeout=30))
    roster.submitting("w0", 0)
    assert "being submitted" in roster.look(FIRST_NOTE, 1).note
    assert not roster.look(29, 1).give_up
    assert "being submitted" in roster.look(30, 1).give_up


def test_a_worker_may_come_back() -> None:
    """
    If it takes too long, the job is lost, and another one is submitted.
    """
    roster = Roster(Limits(most=1, least=1, slots=1))
    working(roster, 1)
    roster.left("w0", "a0", 5)
    assert roster.look(5 + RETURN - 1, 1) == roster.look(5, 1)
    steps = roster.look(5 + RETURN, 1)
    assert (steps.lost, steps.start) == (("w0",), 0)
    roster.ended("w0", "lost", 5 + RETURN)
    assert roster.look(5 + RETURN, 1).start == 1
    working(roster, 1)
    roster.left("w0", "a0", 5)
    roster.joined("w0", "b0", 10)
    assert roster.look(5 + RETURN, 1).lost == ()


def test_who_waits_for_the_first_worker_is_told_again_and_again() -> None:
    """
    Each time after twice as long.
    """
    roster = Roster(Limits(most=1, least=1, slots=1))
    roster.submitting("w0", 0)
    roster.taken("w0", "7", 0)
    noted = [now for now in range(int(15 * FIRST_NOTE)) if roster.look(now, 1).note]
    assert noted == [FIRST_NOTE, 2 * FIRST_NOTE, 4 * FIRST_NOTE, 8 * FIRST_NOTE]


def test_what_never_can_run_is_given_up() -> None:
    """
    Unless others of these jobs do run.
    """
    roster = Roster(Limits(most=2, least=2, slots=1))
    working(roster, 1)
    for name in ("x", "y"):
        roster.submitting(name, 0)
        roster.taken(name, name, 0)
    roster.hopeless("x", "BadConstraints", 0)
    assert not roster.look(0, 2).give_up
    fresh = Roster(Limits(most=2, least=2, slots=1))
    fresh.submitting("x", 0)
    fresh.taken("x", "x", 0)
    fresh.hopeless("x", "BadConstraints", 0)
    assert fresh.look(0, 2).give_up == "BadConstraints"
