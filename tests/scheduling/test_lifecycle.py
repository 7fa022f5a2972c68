"""Whether a run is over, and why: every order of reasons, tried by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk.exceptions import SchedulerNotRunningError
from amltk.scheduling.lifecycle import (
    ExceptionPolicy,
    ExitCode,
    ExitState,
    Lifecycle,
    Phase,
    Policy,
    is_group,
)

POLICIES: tuple[Policy, ...] = ("raise", "end", "ignore")
policies = st.sampled_from(POLICIES)
reasons = st.lists(st.sampled_from(["stop", "late", "empty", "cancel", "fail"]), max_size=6)

HAPPENINGS: dict[str, tuple[ExitCode, Callable[[Lifecycle], object]]] = {
    "stop": (ExitCode.STOPPED, lambda life: life.stop()),
    "late": (ExitCode.TIMEOUT, lambda life: life.tick(10)),
    "empty": (ExitCode.EXHAUSTED, lambda life: life.emptied()),
    "cancel": (ExitCode.CANCELLED, lambda life: life.cancelled()),
    "fail": (ExitCode.EXCEPTION, lambda life: life.failed(ValueError())),
}


def begun(**options: Any) -> Lifecycle:
    life = Lifecycle(**options)
    life.begin(0)
    return life


def expected_code(happened: list[str], policy: Policy) -> ExitCode | None:
    """The first reason, except that a failure takes the place of a polite one."""
    code: ExitCode | None = None
    for reason in happened:
        if reason == "fail" and policy != "ignore":
            code = ExitCode.EXCEPTION if code is not ExitCode.CANCELLED else code
        elif reason != "fail" and code is None:
            code = HAPPENINGS[reason][0]
    return code


@given(happened=reasons, policy=policies)
def test_the_first_reason_wins_and_a_failure_outranks(happened: list[str], policy: Policy) -> None:
    """
    For every order of reasons, the code is the first one's, or `EXCEPTION` if one of them failed
    and nobody had cancelled the run before.
    """
    life = begun(timeout=10, on_exception=policy)
    for reason in happened:
        HAPPENINGS[reason][1](life)
    assert (life.exit.code if life.exit else None) == expected_code(happened, policy)


@given(st.lists(st.tuples(policies, st.booleans()), max_size=6))
def test_of_several_failures_the_first_is_told(script: list[tuple[Policy, bool]]) -> None:
    """
    For every order of failures, the exit state has the first one that was not ignored, and it is
    raised iff the policy for its type says so.
    """
    kinds: dict[Policy, type[Exception]] = {"raise": KeyError, "end": ValueError, "ignore": OSError}
    life = begun(on_exception={kind: policy for policy, kind in kinds.items()})
    first: tuple[Policy, Exception] | None = None
    for policy, stops_before in script:
        error = kinds[policy]()
        if stops_before:
            life.stop()
        assert life.failed(error) is (policy == "ignore")
        if first is None and policy != "ignore":
            first = policy, error
    life.stop()
    if first is None:
        assert life.result() == ExitState(ExitCode.STOPPED)
    elif first[0] == "end":
        assert life.result() == ExitState(ExitCode.EXCEPTION, first[1])
    else:
        with pytest.raises(KeyError) as caught:
            life.result()
        assert caught.value is first[1]


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.lists(st.floats(0, 1e6)))
def test_the_time_is_over_when_the_clock_has_reached_the_deadline(
    start: float, timeout: float, later: list[float]
) -> None:
    """
    For every clock, a run is over iff it was told a time t >= start + timeout.
    """
    life = Lifecycle(timeout=timeout)
    life.tick(start + timeout)
    assert life.exit is None, "it had not begun"
    life.begin(start)
    assert life.deadline == start + timeout
    for now in later:
        life.tick(start + now)
    is_over = any(start + now >= start + timeout for now in later)
    assert life.exit == (ExitState(ExitCode.TIMEOUT) if is_over else None)


def test_without_a_timeout_the_time_is_never_over() -> None:
    """
    `timeout=None` is for ever.
    """
    life = begun()
    life.tick(float("inf"))
    assert life.exit is None


def test_being_empty_is_no_reason_unless_it_was_asked_for() -> None:
    """
    With `end_on_empty=False` a run waits for more.
    """
    life = begun(end_on_empty=False)
    life.emptied()
    assert life.exit is None


def test_stop_can_say_why() -> None:
    """
    What `stop` was given is returned, not raised.
    """
    why = ValueError()
    life = begun()
    life.stop(why)
    life.stop(KeyError())
    assert life.result() == ExitState(ExitCode.STOPPED, why)


def test_to_be_cancelled_is_to_wait_for_nothing() -> None:
    """
    A cancelled run cancels its pending work, also when it had another reason to end before.
    """
    life = begun(wait=True)
    life.stop()
    life.cancelled()
    assert (life.wait, life.was_cancelled) == (False, True)
    assert life.result().code is ExitCode.STOPPED


@pytest.mark.parametrize("before", [*HAPPENINGS, None])
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), SystemExit(3)])
def test_an_interrupt_is_raised_whatever_else_happened(
    before: str | None, interrupt: BaseException
) -> None:
    """
    Ctrl-C ends the run at once, takes no more work, and is raised at the end: the first of several.
    """
    life = begun(wait=True, timeout=10)
    if before is not None:
        HAPPENINGS[before][1](life)
    life.interrupted(interrupt)
    life.interrupted(KeyboardInterrupt("second"))
    assert life.exit is not None
    assert not life.wait
    assert not life.takes_work
    with pytest.raises(type(interrupt)) as caught:
        life.result()
    assert caught.value is interrupt


@pytest.mark.parametrize(
    ("phase", "takes_work"),
    [(Phase.RUNNING, True), (Phase.ENDING, True), (Phase.DRAINING, False), (Phase.OVER, False)],
)
def test_work_is_taken_until_everybody_was_told_of_the_end(phase: Phase, takes_work: bool) -> None:
    """
    While subscribers hear that the run ends they may still submit.
    """
    life = begun()
    life.phase = phase
    assert life.takes_work is takes_work


# What is a failure.


@pytest.mark.parametrize("policy", ["raise", "end"])
def test_the_natural_end_of_a_chain_is_no_failure(policy: Policy) -> None:
    """
    A callback that submits for ever meets `SchedulerNotRunningError` when the run closes.
    """
    life = begun(on_exception=policy)
    life.stop()
    life.phase = Phase.DRAINING
    refused = SchedulerNotRunningError()
    assert not life.failed(refused)
    assert not life.failed(ExceptionGroup("", [refused, ExceptionGroup("", [refused])]))
    assert life.result().code is ExitCode.STOPPED


def test_while_work_is_taken_even_that_is_a_failure() -> None:
    """
    `SchedulerNotRunningError` of another scheduler, for instance, hides no mistake.
    """
    life = begun()
    error = SchedulerNotRunningError()
    life.failed(error)
    assert life.exit == ExitState(ExitCode.EXCEPTION, error)


def test_of_a_group_the_rest_fails() -> None:
    """
    What is natural is taken out of a group, and what is left decides.
    """
    life = begun(on_exception="end")
    life.phase = Phase.DRAINING
    error = ValueError()
    life.failed(ExceptionGroup("both", [SchedulerNotRunningError(), error]))
    assert life.exit is not None
    assert life.exit.exception is not None
    assert is_group(life.exit.exception)
    assert life.exit.exception.exceptions == (error,)


KEYED: ExceptionPolicy = {Exception: "end", LookupError: "ignore", KeyError: "raise"}


@pytest.mark.parametrize(
    ("error", "ignored", "raised"),
    [
        (KeyError(), False, True),
        (IndexError(), True, False),
        (ValueError(), False, False),
        (BaseException(), False, True),
        (ExceptionGroup("", [IndexError()]), True, False),
        (ExceptionGroup("", [IndexError(), ValueError()]), False, False),
        (ExceptionGroup("", [ValueError(), ExceptionGroup("", [KeyError()])]), False, True),
    ],
    ids=repr,
)
def test_the_most_specific_type_decides(error: BaseException, ignored: bool, raised: bool) -> None:
    """
    Of a mapping; for a type that is not in it, "raise"; of a group, the one that is judged hardest.
    """
    life = begun(on_exception=KEYED)
    assert life.failed(error) is ignored
    if raised:
        with pytest.raises(type(error)):
            life.result()
    elif not ignored:
        assert life.result() == ExitState(ExitCode.EXCEPTION, error)


def test_a_result_before_the_end_is_a_mistake() -> None:
    """
    There is no exit state until there is a reason to end.
    """
    with pytest.raises(RuntimeError, match="not ended"):
        begun().result()


@pytest.mark.parametrize("timeout", [-1, -0.1, float("nan")])
def test_a_time_that_makes_no_sense_is_refused(timeout: float) -> None:
    """
    The error names the option and its value.
    """
    with pytest.raises(ValueError, match=f"timeout={timeout}"):
        Lifecycle(timeout=timeout)


@pytest.mark.parametrize("wrong", ["rise", None])
@pytest.mark.parametrize("within", [None, ValueError])
def test_a_policy_that_is_not_known_is_refused(wrong: Any, within: type[Exception] | None) -> None:
    """
    The error says what there is instead, for the policy and for each in a mapping.
    """
    with pytest.raises(ValueError, match=f"on_exception={wrong!r}.*ignore"):
        Lifecycle(on_exception={within: wrong} if within else wrong)
