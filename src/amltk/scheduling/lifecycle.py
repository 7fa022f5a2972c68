"""Whether a run is over, and why.

A `Lifecycle` is told what happened and decides; the run asks it and acts. It has no clock (the
time comes in as a number), no event loop and no executor, so every order of events can be tried
on it by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Literal, TypeAlias

from typing_extensions import TypeIs

from amltk.exceptions import SchedulerNotRunningError

__all__ = ["ExceptionPolicy", "ExitCode", "ExitState", "Lifecycle", "Phase", "Policy"]

Policy: TypeAlias = Literal["raise", "end", "ignore"]
"""What becomes of a run when something fails."""

ExceptionPolicy: TypeAlias = Policy | Mapping[type[BaseException], Policy]
"""One policy for every exception, or one for each type: the most specific decides."""

SEVERITY: dict[Policy, int] = {"ignore": 0, "end": 1, "raise": 2}


class ExitCode(Enum):
    """Why a run ended."""

    STOPPED = "stopped"
    """`Scheduler.stop` was called."""
    TIMEOUT = "timeout"
    """The time that `run(timeout=)` gave was over."""
    EXHAUSTED = "exhausted"
    """There was nothing left to do."""
    EXCEPTION = "exception"
    """A call or a callback failed, and the policy was not to ignore it."""
    CANCELLED = "cancelled"
    """The coroutine that ran it was cancelled."""


OUTRANKED = {ExitCode.STOPPED, ExitCode.TIMEOUT, ExitCode.EXHAUSTED}
"""The reasons that a failure takes the place of."""


@dataclass(frozen=True, slots=True)
class ExitState:
    """How a run ended."""

    code: ExitCode
    """The reason."""
    exception: BaseException | None = None
    """What failed, or what was passed to `Scheduler.stop`."""


class Phase(IntEnum):
    """How far a run has come; it only ever goes down this list."""

    RUNNING = 0
    """Takes work and waits for a reason to end."""
    ENDING = 1
    """Has one, and tells its subscribers so; still takes work."""
    DRAINING = 2
    """Takes no more work; what is pending gets its outcome."""
    OVER = 3
    """Nothing is pending and the executor is closed."""


class Lifecycle:
    """The state of one run: told what happened, says whether it is over."""

    def __init__(
        self,
        *,
        on_exception: ExceptionPolicy = "raise",
        end_on_empty: bool = True,
        wait: bool = True,
        timeout: float | None = None,
    ) -> None:
        self.phase: Phase = Phase.RUNNING
        self.exit: ExitState | None = None
        """The reason to end, once there is one."""
        self.interrupt: BaseException | None = None
        """The `KeyboardInterrupt` or `SystemExit` that ended the run."""
        self.was_cancelled: bool = False
        """Whether the coroutine was cancelled, at any time."""
        self.wait: bool = wait
        """Whether pending work is awaited; an interrupt or a cancellation changes it to no."""
        self._on_exception: ExceptionPolicy = checked_policy(on_exception)
        self._end_on_empty = end_on_empty
        self.deadline: float | None = None
        """When the time is over, in seconds on the clock of `begin`; never if `None`."""
        self._timeout = checked_timeout(timeout)
        self._raises = False

    @property
    def takes_work(self) -> bool:
        """Whether work may be submitted."""
        return self.phase < Phase.DRAINING and self.interrupt is None

    def begin(self, now: float) -> None:
        """The run begins now, in seconds on any clock that only goes forward."""
        if self._timeout is not None:
            self.deadline = now + self._timeout

    def stop(self, exception: BaseException | None = None) -> None:
        """Somebody asked for the end."""
        self._end(ExitState(ExitCode.STOPPED, exception))

    def tick(self, now: float) -> None:
        """It is now this late, on the clock of `begin`."""
        if self.deadline is not None and now >= self.deadline:
            self._end(ExitState(ExitCode.TIMEOUT))

    def emptied(self) -> None:
        """Nothing is pending, and the callbacks that hear of it changed nothing about that."""
        if self._end_on_empty:
            self._end(ExitState(ExitCode.EXHAUSTED))

    def cancelled(self) -> None:
        """The coroutine was cancelled."""
        self.was_cancelled = True
        self.wait = False
        self._end(ExitState(ExitCode.CANCELLED))

    def interrupted(self, interrupt: BaseException) -> None:
        """Ctrl-C was pressed, or a callback wants to leave the program."""
        self.wait = False
        self.interrupt = self.interrupt or interrupt
        self._end(ExitState(ExitCode.STOPPED, interrupt))

    def failed(self, error: BaseException) -> bool:
        """A call or a callback raised; returns whether that is ignored, and so to be logged."""
        failure = self._unless_natural(error)
        if failure is None:
            return False
        policy = policy_for(failure, self._on_exception)
        if policy == "ignore":
            return True
        # The first reason wins, except that a failure outranks an end that was wanted.
        if self.exit is None or self.exit.code in OUTRANKED:
            self.exit = ExitState(ExitCode.EXCEPTION, failure)
            self._raises = policy == "raise"
        return False

    def result(self) -> ExitState:
        """How the run ended.

        Raises:
            BaseException: What failed, if the policy for it is to raise; the interrupt, if one
                ended the run.
        """
        if self.interrupt is not None:
            raise self.interrupt
        if self.exit is None:
            raise RuntimeError("The run has not ended: there is no reason to end yet.")
        if self._raises and self.exit.exception is not None:
            raise self.exit.exception
        return self.exit

    def _end(self, state: ExitState) -> None:
        if self.exit is None:
            self.exit = state

    def _unless_natural(self, error: BaseException) -> BaseException | None:
        # A chain in which each result submits the next call ends here, when the run closes.
        if self.takes_work:
            return error
        if is_group(error):
            return error.split(SchedulerNotRunningError)[1]
        return None if isinstance(error, SchedulerNotRunningError) else error


def policy_for(error: BaseException, on_exception: ExceptionPolicy) -> Policy:
    """What becomes of the run; of a group of errors, the one that is judged hardest decides."""
    if not isinstance(on_exception, Mapping):
        return on_exception
    if is_group(error) and not names_group(on_exception, error):
        return max(
            (policy_for(e, on_exception) for e in error.exceptions), key=SEVERITY.__getitem__
        )
    named = [kind for kind in on_exception if isinstance(error, kind)]
    if not named:
        return "raise"
    return on_exception[min(named, key=type(error).__mro__.index)]


def names_group(on_exception: Mapping[type[BaseException], Policy], group: BaseException) -> bool:
    """Whether somebody thought of groups as such, and not of what is in them."""
    return any(issubclass(t, BaseExceptionGroup) and isinstance(group, t) for t in on_exception)


def is_group(error: BaseException) -> TypeIs[BaseExceptionGroup[BaseException]]:
    return isinstance(error, BaseExceptionGroup)


def checked_policy(on_exception: ExceptionPolicy) -> ExceptionPolicy:
    """The policy itself.

    Raises:
        ValueError: If it is no policy.
        TypeError: If it is a mapping with keys that are not types of exceptions.
    """
    for kind in on_exception if isinstance(on_exception, Mapping) else ():
        require_exception_type(kind)
    for policy in on_exception.values() if isinstance(on_exception, Mapping) else (on_exception,):
        if policy not in SEVERITY:
            raise ValueError(
                f"`on_exception={policy!r}` is not known. Use one of {list(SEVERITY)}, or a "
                "mapping from exception types to these."
            )
    return on_exception


def is_exception_type(kind: object) -> bool:
    """Whether this is a type of exceptions."""
    return isinstance(kind, type) and issubclass(kind, BaseException)


def require_exception_type(kind: object) -> None:
    if not is_exception_type(kind):
        raise TypeError(
            f"`on_exception` maps types of exceptions, and {kind!r} is none. Write for instance "
            "{ValueError: 'ignore'}."
        )


def checked_timeout(timeout: object) -> float | None:
    """The timeout itself.

    Raises:
        ValueError: If it is no time to wait.
        TypeError: If it is no number.
    """
    if timeout is None:
        return None
    if not isinstance(timeout, int | float):
        raise TypeError(f"`timeout={timeout!r}` has to be a number of seconds, or None.")
    if not timeout >= 0:
        raise ValueError(f"`timeout={timeout}` is no time to wait: give seconds, or None for ever.")
    return timeout
