"""The life of a run: what is true of it for any script.

A machine draws the plan of a run and the steps of a script, `Story` acts them out, and after each
step and at the end the laws below are held against the log.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from amltk.scheduling import ExitCode
from amltk.scheduling.lifecycle import is_group
from amltk.scheduling.run_options import RunOptions
from tests.scheduling.story import CODES, ENDINGS, TIMEOUT, Entry, Plan, Step, Story

# While it runs.


def what_is_pending_is_known(story: Story) -> None:
    """
    Pending is what was submitted and has no outcome: in the scheduler's queue, and in the task.
    What was cancelled is not, even while it runs on.
    """
    pending = [n for n in story.numbers.values() if not story.ended(n)]
    assert not story.cancelled_by_hand.intersection(pending)
    of_task = [n for n in pending if "on_submitted" in story.of(n)]
    assert [n for f, n in story.numbers.items() if f in story.task.futures()] == of_task
    assert story.task.n_running == len(of_task)
    if not story.running.done():
        assert sorted(story.numbers[f] for f in story.queue()) == pending
        assert story.scheduler.empty() is (not pending)


def it_ends_when_it_has_to(story: Story) -> None:
    """
    Once there is a reason it closes, and is over when nothing is left to wait for; not before.
    """
    assert story.is_closing() is bool(story.reasons())
    assert story.scheduler.running() is not story.is_closing()
    pending = [n for n in story.numbers.values() if not story.ended(n)]
    is_over = story.is_closing() and not (pending and story.waits())
    assert story.running.done() is is_over


# In the end.


def the_events_come_in_order(log: list[Entry]) -> None:
    """
    First `on_start`; one of `on_stop` and `on_timeout` at most, then `on_finishing`, last
    `on_finished`; and from the first of these endings on, no `on_empty`.
    """
    events = [entry.what for entry in log if not entry.what.startswith("!")]
    counts = Counter(events)
    assert events[0] == "on_start"
    assert counts["on_start"] == counts["on_finishing"] == counts["on_finished"] == 1
    assert events[-1] == "on_finished"
    assert counts["on_stop"] + counts["on_timeout"] <= 1
    endings = [event for event in events if event in ENDINGS]
    assert endings[-1] == "on_finishing"
    assert "on_empty" not in events[events.index(endings[0]) :]


def every_future_ends_once(story: Story) -> None:
    """
    It is cancelled, or done and then a result or an exception; the scheduler hears first, then the
    task. So submitted = done + cancelled.
    """
    for number in story.numbers.values():
        told = story.of(number)
        owned = "on_submitted" in told
        ends = (["done", "result"], ["done", "exception"], ["cancelled"])
        assert told in [
            [f"on_future_{e}" for e in ["submitted"]]
            + (["on_submitted"] if owned else [])
            + [f"on_future_{e}" for e in end]
            + ([f"on_{e}" for e in end] if owned else [])
            for end in ends
        ]
    counts = story.scheduler.event_counts
    ended = counts["on_future_done"] + counts["on_future_cancelled"]
    assert counts["on_future_submitted"] == ended == len(story.numbers)
    logged = Counter(entry.what for entry in story.log)
    assert all(logged[str(event)] == count for event, count in counts.items())


def it_says_when_it_is_empty(log: list[Entry]) -> None:
    """
    Whenever the last pending future was handled, and after `on_start`, comes `on_empty`, unless
    something was submitted or the run was ending.
    """
    pending = 0
    looks = [e.what for e in log if e.what in {"on_start", "on_empty", *ENDINGS, *MOVES}]
    for event, following in pairwise(looks):
        pending += MOVES.get(event, 0)
        if event in ENDINGS:
            return
        if pending == 0 and event != "on_empty":
            assert following in {"on_empty", "on_future_submitted"}


MOVES = {"on_future_submitted": 1, "on_future_done": -1, "on_future_cancelled": -1}


def what_is_pending_at_the_end_is_awaited_or_cancelled(story: Story) -> None:
    """
    With `wait=False` nothing is computed any more once the end was told; with `wait=True` nothing
    is cancelled that nobody cancelled by hand.
    """
    cancelled = {e.future for e in story.log if e.what == "on_future_cancelled"}
    if not story.plan.options.get("wait"):
        ending = next(i for i, e in enumerate(story.log) if e.what in ENDINGS)
        assert Entry("on_future_done") not in [e._replace(future=None) for e in story.log[ending:]]
        assert story.run.executor.terminated
    if story.waits():
        assert cancelled <= story.cancelled_by_hand
        assert not story.run.executor.terminated
    assert story.run.executor.shut


def the_first_reason_wins(story: Story) -> None:
    """
    Except that a failure outranks all but being cancelled; the events tell the same as the code.
    """
    state = story.scheduler.exit_state
    assert state is not None
    reasons = story.reasons()
    firsts = set(looked_at(story, reasons))
    if story.has("!interrupt"):  # it goes through at once, and takes errors beside it along
        assert state.code in {ExitCode.EXCEPTION, *(CODES[r] for r in reasons if r in CODES)}
    elif "!fail" in reasons and "!cancel" not in firsts:
        assert state.code is ExitCode.EXCEPTION
        assert state.exception is not None
        assert set(leaves(state.exception)) <= set(story.failures)
    else:
        allowed = {CODES[reason] for reason in firsts - {"!fail"}}
        assert state.code in (allowed | {ExitCode.EXCEPTION} if len(firsts) > 1 else allowed)
    told = {ExitCode.TIMEOUT: "on_timeout", ExitCode.EXHAUSTED: None, ExitCode.EXCEPTION: None}
    expected = told.get(state.code, "on_stop")
    ending = next(i for i, e in enumerate(story.log) if e.what in ENDINGS)
    if state.code is ExitCode.EXCEPTION:
        failed_before = Entry("!fail") in story.log[:ending]
        assert not failed_before or story.log[ending].what == "on_stop"
    else:
        assert [e.what for e in story.log if e.what in ENDINGS[:2]] == [e for e in [expected] if e]


def looked_at(story: Story, reasons: list[str]) -> list[str]:
    """The reasons that may have come first: the clock is looked at after each outcome only."""
    if reasons[0] != "!late":
        return reasons[:1]
    late = story.log.index(Entry("!late"))
    outcomes = [e for e in story.log[late:] if e.what in {"on_future_done", "on_future_cancelled"}]
    ending = next(i for i, e in enumerate(story.log) if e.what in ENDINGS)
    delivered = [e for e in outcomes if story.log.index(e) < ending]
    assert len(delivered) <= 1, "a backlog postponed the timeout"
    return reasons[:2]


def leaves(error: BaseException) -> list[BaseException]:
    """The errors that are in a group, or the error itself."""
    return (
        [leaf for inner in error.exceptions for leaf in leaves(inner)]
        if is_group(error)
        else [error]
    )


def the_caller_hears_how_it_ended(story: Story) -> None:
    """
    Cancelled if it was; else the interrupt is raised; else the failure, if it was to be raised;
    else there is an exit state.
    """
    state = story.scheduler.exit_state
    assert state is not None
    if story.running.cancelled():
        assert story.has("!cancel")
        return
    error = story.running.exception()
    if story.has("!interrupt"):
        assert isinstance(error, KeyboardInterrupt)
    elif state.code is ExitCode.EXCEPTION and story.plan.policy == "raise":
        assert error is state.exception
    else:
        assert error is None
        assert story.running.result() == state
    assert not story.has("!cancel")


EVENTS = [
    *("on_future_submitted", "on_submitted", "on_empty", "on_finishing"),  # the likelier ones
    *("on_start", "on_empty", "on_stop", "on_timeout", "on_finishing", "on_finished"),
    *("on_future_submitted", "on_future_done", "on_future_result", "on_future_exception"),
    *("on_future_cancelled", "on_submitted", "on_done", "on_result", "on_exception"),
    "on_cancelled",
]
ACTS = ["submit", "call", "fail", "fail", "leave", "stop", "cancel", "advance"]

plans = st.builds(
    Plan,
    st.fixed_dictionaries(
        {
            "wait": st.booleans(),
            "end_on_empty": st.booleans(),
            "on_exception": st.sampled_from(["raise", "end", "ignore"]),
            "timeout": st.sampled_from([None, TIMEOUT]),
        }
    ),
    st.lists(st.sampled_from(["submit", "call"]), max_size=3),
    st.lists(
        st.tuples(st.sampled_from(EVENTS), st.sampled_from(ACTS), st.integers(1, 3)), max_size=4
    ),
)
which = st.integers(0, 5)


class LifeOfARun(RuleBasedStateMachine):
    """Draws a script, and tells it twice."""

    story: Story

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []

    @initialize(plan=plans)
    def begin(self, plan: Plan) -> None:
        self.story = Story(plan)

    def take(self, step: Step) -> None:
        self.steps.append(step)
        self.story.take(step)

    @rule(what=st.sampled_from(["submit", "call"]))
    def ask(self, what: str) -> None:
        self.take(Step(what))

    @rule(what=st.sampled_from(["start", "finish", "finish", "cancel", "lose"]), n=which)
    def work(self, what: str, n: int) -> None:
        self.take(Step(what, n))

    @rule(n=which, late=st.booleans())
    def burst(self, n: int, late: bool) -> None:
        self.take(Step("burst", n, TIMEOUT if late else 0))

    @rule(what=st.sampled_from(["advance", "advance", "stop", "cancel_run", "interrupt"]))
    def end(self, what: str) -> None:
        self.take(Step(what, 0, TIMEOUT / 2))

    @invariant()
    def it_is_as_the_log_says(self) -> None:
        what_is_pending_is_known(self.story)
        it_ends_when_it_has_to(self.story)

    def teardown(self) -> None:
        if not hasattr(self, "story"):
            return
        story = self.story
        story.work_off()
        the_events_come_in_order(story.log)
        every_future_ends_once(story)
        if not story.has("!interrupt"):
            it_says_when_it_is_empty(story.log)
        what_is_pending_at_the_end_is_awaited_or_cancelled(story)
        the_first_reason_wins(story)
        the_caller_hears_how_it_ended(story)
        assert story.run.loop.complaints == []
        self.the_same_script_tells_the_same_story()

    def the_same_script_tells_the_same_story(self) -> None:
        again = Story(self.story.plan)
        for step in self.steps:
            again.take(step)
        again.work_off()
        assert again.log == self.story.log
        assert str(again.scheduler.exit_state) == str(self.story.scheduler.exit_state)


def test_a_failure_is_noticed_when_it_happens() -> None:
    """
    Also if nothing else happens: a coroutine submits, and a callback that hears of it fails.
    """
    options: RunOptions = {"end_on_empty": False, "wait": True, "on_exception": "raise"}
    story = Story(Plan(options, [], [("on_future_submitted", "fail", 1)]))
    story.take(Step("submit"))
    assert story.is_closing()
    story.work_off()
    the_caller_hears_how_it_ended(story)


TestLifeOfARun = LifeOfARun.TestCase
TestLifeOfARun.settings = settings(max_examples=600, stateful_step_count=15)
