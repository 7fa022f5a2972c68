"""A run that does what a script says, and the log of all that happened.

The script says what a user, the workers and the clock do, and what callbacks do when they are
called. It is acted out on virtual time and on an executor that is driven by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from amltk.exceptions import SchedulerNotRunningError
from amltk.scheduling import CallFuture, ExitCode
from amltk.scheduling.lifecycle import Policy
from amltk.scheduling.run_options import RunOptions
from tests.hand_driven import HandDrivenRun

TIMEOUT = 10.0
ENDINGS = ("on_stop", "on_timeout", "on_finishing")
CODES = {
    "!stop": ExitCode.STOPPED,
    "!interrupt": ExitCode.STOPPED,
    "!cancel": ExitCode.CANCELLED,
    "!empty": ExitCode.EXHAUSTED,
    "!late": ExitCode.TIMEOUT,
}
"""What the log says of a reason to end, and the code of it; a failure is "!fail"."""


class Plan(NamedTuple):
    """How a story begins."""

    options: RunOptions
    opening: list[str]
    """Do these when the run starts."""
    reactions: list[tuple[str, str, int]]
    """On this event, do that, so many times at most."""

    @property
    def policy(self) -> Policy:
        policy = self.options.get("on_exception", "raise")
        assert isinstance(policy, str)
        return policy


class Entry(NamedTuple):
    """A line of the log: an event and the number of its future, or a reason to end."""

    what: str
    future: int | None = None


class Step(NamedTuple):
    """A line of the script."""

    what: str
    n: int = 0
    seconds: float = 0


def job() -> None: ...


class Story:
    """One run, from its plan on."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.log: list[Entry] = []
        self.failures: list[BaseException] = []
        self.cancelled_by_hand: set[int] = set()
        self.numbers: dict[CallFuture[Any], int] = {}
        self.run = HandDrivenRun()
        self.scheduler = self.run.scheduler
        self.task = self.scheduler.task(job)
        self._subscribe()
        self.running = self.run.loop.create_task(self.scheduler.async_run(**plan.options))
        self._settle()

    def _subscribe(self) -> None:
        subscribers = {s.event.name: s for s in [*self.scheduler.emitter, *self.task.emitter]}
        for name, subscriber in subscribers.items():
            subscriber.add(self._listener(name))
        for act in self.plan.opening:
            self.scheduler.on_start.add(self._reaction(act))
        for name, act, limit in self.plan.reactions:
            subscribers[name](self._reaction(act), limit=limit)
        self.scheduler.on_empty.add(self._still_empty)

    def _listener(self, name: str) -> Callable[..., None]:
        def hear(*args: Any) -> None:
            number = self.numbers.setdefault(args[0], len(self.numbers)) if args else None
            if name == "on_future_done" and args[0].exception() is not None:
                self._fails(args[0].exception())
            self.log.append(Entry(name, number))

        return hear

    def _reaction(self, act: str) -> Callable[..., object]:
        return lambda *_: self.do(Step(act, 0, TIMEOUT / 2))

    def _still_empty(self) -> None:
        if self.scheduler.empty() and self.plan.options.get("end_on_empty"):
            self.log.append(Entry("!empty"))

    def _fails(self, error: BaseException) -> None:
        if self.plan.policy != "ignore":
            self.failures.append(error)
            self.log.append(Entry("!fail"))

    def _settle(self) -> None:
        """Let the run come to rest; asyncio raises out of the loop what leaves the program."""
        try:
            self.run.loop.run_until_idle()
        except (KeyboardInterrupt, SystemExit):
            self._settle()

    # What can be done: by callbacks, or by a coroutine of the user.

    def take(self, step: Step) -> None:
        """Do it in the loop, and let the run come to rest."""
        self.run.loop.call_soon(self._take, step)
        self._settle()

    def _take(self, step: Step) -> None:
        try:
            self.do(step)
        except SchedulerNotRunningError:
            assert self.is_closing() or self.has("!interrupt")

    def do(self, step: Step) -> None:
        getattr(self, step.what)(step)

    def submit(self, _: Step) -> None:
        future = self.scheduler.submit(job)
        assert future in self.numbers, "subscribers were told before it was returned"

    def call(self, _: Step) -> None:
        self.task()

    def fail(self, _: Step) -> None:
        error = ValueError(len(self.failures))
        self._fails(error)
        raise error

    def leave(self, _: Step) -> None:
        self.log.append(Entry("!interrupt"))
        raise KeyboardInterrupt

    def stop(self, _: Step) -> None:
        self._note("!stop")
        self.scheduler.stop()

    def interrupt(self, _: Step) -> None:
        if not self.running.done():
            self._note("!interrupt")
            self.scheduler._interrupt(KeyboardInterrupt())

    def cancel_run(self, _: Step) -> None:
        self._note("!cancel")
        self.running.cancel()

    def advance(self, step: Step) -> None:
        was_early = self.run.loop.now < TIMEOUT
        self.run.loop.advance(step.seconds)
        if was_early and self.run.loop.now >= TIMEOUT and self.plan.options.get("timeout"):
            self._note("!late")

    def cancel(self, step: Step) -> None:
        if futures := self.queue():
            future = futures[step.n % len(futures)]
            self.cancelled_by_hand.add(self.numbers[future])
            future.cancel()

    def start(self, step: Step) -> None:
        if jobs := self.run.executor.open_jobs():
            jobs[step.n % len(jobs)].start()

    def lose(self, step: Step) -> None:
        """The executor cancels a job."""
        jobs = [job for job in self.run.executor.open_jobs() if not job.future.running()]
        if jobs:
            lost = jobs[step.n % len(jobs)].future
            self.cancelled_by_hand |= {n for f, n in self.numbers.items() if f.source is lost}
            lost.cancel()

    def burst(self, step: Step) -> None:
        """Several jobs end before anybody looks, and maybe late; every other one fails."""
        for i, done in enumerate(self.run.executor.open_jobs()[: step.n]):
            done.finish() if i % 2 else done.fail((KeyError, SystemExit)[i // 2 % 2]())
        self.advance(step)

    def work_off(self) -> None:
        """Let everything end that is still open."""
        self.take(Step("stop"))
        for _ in range(3):
            self.take(Step("burst", 99))
        assert self.running.done(), "it does not end"
        self.run.loop.close()

    def finish(self, step: Step) -> None:
        if jobs := self.run.executor.open_jobs():
            jobs[step.n % len(jobs)].finish()

    def _note(self, reason: str) -> None:
        if not self.running.done():
            self.log.append(Entry(reason))

    # What can be asked.

    def queue(self) -> list[CallFuture[Any]]:
        """What the scheduler says is pending."""
        futures = list(self.scheduler.queue)
        return [future for future in futures if isinstance(future, CallFuture)]

    def has(self, *entries: str) -> bool:
        return any(entry.what in entries for entry in self.log)

    def is_closing(self) -> bool:
        return self.has("on_finishing")

    def waits(self) -> bool:
        return bool(self.plan.options.get("wait")) and not self.has("!interrupt", "!cancel")

    def reasons(self) -> list[str]:
        return [entry.what for entry in self.log if entry.what in CODES or entry.what == "!fail"]

    def of(self, future: int) -> list[str]:
        return [entry.what for entry in self.log if entry.future == future]

    def ended(self, future: int) -> bool:
        return bool({"on_future_done", "on_future_cancelled"} & set(self.of(future)))
