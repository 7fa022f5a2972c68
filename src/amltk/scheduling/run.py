"""One run: its executor, what is pending, and the inbox of outcomes.

                  submit(call)                                  publish
    callback ───▶ executor ─ ─ ─ worker      Run.deliver ───▶ scheduler's events, then the task's
                                   │              ▲
                        any thread ▼              │ the loop's thread
                                 inbox ── wake ───┘

Workers finish in threads that are not ours. All such a thread does is to append to the inbox and,
if nobody has yet, to wake the loop: a thousand outcomes cost one wake-up. Everything else, every
callback of a user included, happens in the thread of the loop. This is the only file that knows
of one; the state of a run is here and is gone with it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Any

from typing_extensions import TypeVar

from amltk.backends.base import Backend
from amltk.backends.payload import said
from amltk.callbacks import INTERRUPTS, name_of
from amltk.exceptions import SchedulerNotRunningError, WrongThreadError
from amltk.scheduling.call import NOT_YET, Call, CallFuture, future_of
from amltk.scheduling.elsewhere import in_thread
from amltk.scheduling.escorts import Escorts
from amltk.scheduling.lifecycle import ExitCode, Lifecycle, Phase
from amltk.scheduling.open_backend import OpenBackend
from amltk.scheduling.outcomes import Owner, guarded
from amltk.scheduling.scheduler_events import SchedulerEvents
from amltk.scheduling.services import Services
from amltk.scheduling.waiting import Waiting

__all__ = ["Run"]

R = TypeVar("R")

logger: logging.Logger = logging.getLogger("amltk")
logger.addHandler(logging.NullHandler())  # who wants to see it says so; nothing is just printed

BATCH = 256
"""Outcomes delivered before other users of the event loop get their turn."""

TURNS = 4
"""Turns of the event loop that coroutines have, after the last outcome, to submit more work."""


class Run:
    """From opening an executor to closing it.

    Args:
        backend: Where the work is done; its executor is opened at once.
        events: Whom to tell.
        life: Decides when the run is over. Its deadline is on the clock of the running loop.
    """

    def __init__(self, backend: Backend, events: SchedulerEvents, life: Lifecycle) -> None:
        self.life = life
        self.pending: dict[Future[Any], CallFuture[Any]] = {}
        """The futures that have no outcome yet, by those of the executor."""
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        # Callbacks see the context variables of whoever began the run, and what others have set.
        self._context = copy_context()
        self._inbox: deque[Future[Any]] = deque()
        self._awake = False
        self._changed = asyncio.Event()
        self._given_up = False
        self._ending: asyncio.Handle | None = None
        # Bound once: one method for all calls, instead of two more objects for each that is pending.
        self._on_outcome = self.arrived
        self._on_cancel = self._user_cancelled
        self._executor = OpenBackend(backend)
        self.services: Services = Services(self.report)
        """What plugins keep open for as long as this run lasts."""
        self._escorts = Escorts(self, self._executor)
        self._waiting = Waiting(self, self._escorts)

    # Work comes in.

    def submit(
        self, call: Call[R], owner: Owner | None, asked: Call[R] | None = None
    ) -> CallFuture[R]:
        """Hand a call to the executor, and tell everybody that it was.

        Args:
            call: What to compute.
            owner: Who hears of it beside the scheduler.
            asked: The call as its owner asked for it, if plugins have changed it.
        """
        self.require_open(call.function)
        future = future_of(asked or call, owner, NOT_YET, self._on_cancel, self._loop)
        if owner is None or not owner.is_accompanied:
            self.watch(self._executor.submit(call), future)
            self.tell_of(future)
        else:
            self._escorts.submit(call, future)
        return future

    def tell_of(self, future: CallFuture[Any]) -> None:
        """Tell everybody that a call was submitted."""
        owner = future.owner
        if owner is not None:
            owner.took_off(future)
        try:
            self._events.submitted.emit(future)
        except BaseException as error:  # noqa: BLE001
            self.report(error)
        if owner is not None:
            owner.announce(future, self.report)

    def soon(self, what: Callable[[], object]) -> None:
        """Have the loop call a function; may be called from any thread."""
        with suppress(RuntimeError):  # the loop is closed: the run has ended
            self._loop.call_soon_threadsafe(what, context=self._context)

    def later(self, seconds: float, what: Callable[[], None]) -> asyncio.TimerHandle:
        """Call a function after so many seconds."""
        return self._loop.call_later(seconds, what, context=self._context)

    def watch(self, source: Future[Any], future: CallFuture[Any]) -> None:
        """Wait for the executor's future of a call."""
        future.source = source
        self.pending[source] = future
        source.add_done_callback(self._on_outcome)

    def require_open(self, function: Callable[..., object]) -> None:
        """Raise unless this run takes work, from this thread."""
        if threading.get_ident() != self._thread:
            raise WrongThreadError(
                f"Cannot submit {name_of(function)}() from thread "
                f"{threading.current_thread().name!r}: a scheduler takes work only in the thread "
                "of its run. Submit from a callback, or let the loop do it with "
                "loop.call_soon_threadsafe(...)."
            )
        if not self.life.takes_work:
            raise SchedulerNotRunningError(
                f"Cannot submit {name_of(function)}(): the run is closing and takes no more work."
            )

    def _user_cancelled(self, source: Future[Any]) -> None:
        if not source.cancel():
            self.arrived(source)  # too late to keep it from running: nobody hears what it returns

    # Outcomes come back.

    def arrived(self, source: Future[Any]) -> None:
        """Something became of a call: deliver it; may be called from any thread."""
        self._inbox.append(source)
        if not self._awake:
            self._wake()

    def _wake(self) -> None:
        self._awake = True
        self.soon(self._deliver_all)

    def _deliver_all(self) -> None:
        self._awake = False  # before looking: whoever appends after the look wakes us again
        for _ in range(BATCH):
            if not self._inbox or self._has_to_end():
                break
            self._deliver(self._inbox.popleft())
            if self.life.deadline is not None:
                self.life.tick(self._loop.time())
        else:
            self._wake()
        if self._has_to_end() or not self.pending:
            self._changed.set()

    @property
    def goes_on(self) -> bool:
        """Whether there is no reason to end yet."""
        return self.life.exit is None

    def _has_to_end(self) -> bool:
        # Outcomes that are there when a run ends are delivered after it has said so.
        return self.life.exit is not None and self.life.phase is Phase.RUNNING

    def _deliver(self, source: Future[Any]) -> None:
        if self._escorts.of and self._escorts.hold(source):
            return  # it comes again when its companions let it go
        future = self.pending.pop(source, None)
        if future is None:
            return  # it has been delivered as cancelled
        if not future.done():
            self._settle(future, source)
        if future.done():
            self._publish(future)

    def _settle(self, future: CallFuture[Any], source: Future[Any]) -> None:
        try:
            error = source.exception()
        except CancelledError:
            future.drop()
            return
        if error is None:
            future.set_result(source.result())
        else:
            self._settle_failed(future, error)

    def _settle_failed(self, future: CallFuture[Any], error: BaseException) -> None:
        if future.owner is not None:
            future.owner.attempt_failed(error)
        seconds = self._seconds_until_again(future, error)
        if not future.done():  # or else a callback that heard of the attempt has cancelled it
            if seconds is None:
                self._fail(future, error)
            else:
                self._waiting.add(future, error, seconds)

    def _seconds_until_again(self, future: CallFuture[Any], error: BaseException) -> float | None:
        if future.owner is None or future.done() or not self.life.takes_work:
            return None
        try:
            return future.owner.again(error)
        except BaseException as failure:  # noqa: BLE001
            self.report(failure)
            return None

    def _fail(self, future: CallFuture[Any], error: BaseException) -> None:
        future.fail(error)
        self._judge(error)

    def conclude(self, future: CallFuture[Any], error: BaseException) -> None:
        """End a call with what it raised."""
        self._fail(future, error)
        self._publish(future)

    def _publish(self, future: CallFuture[Any]) -> None:
        owner = future.owner
        if owner is not None:
            owner.landed(future)
        self._events.outcomes.publish(future, self.report)
        if owner is not None:
            owner.outcomes.publish(future, self.report)
        self._tell_of_room()
        if not self.pending:
            self._look_whether_empty()

    def _tell_of_room(self) -> None:
        if self.goes_on:  # feeds listen to this
            guarded(self.report, self._events.room.emit)

    def _look_whether_empty(self) -> None:
        if self.life.phase is Phase.RUNNING and self.life.interrupt is None:
            guarded(self.report, self._events.empty.emit)
            if self._ending is not None:
                self._ending.cancel()  # it counts from the last time that nothing was pending
            self._end_if_empty(TURNS)

    def _end_if_empty(self, turns: int) -> None:
        if self.pending or self.life.phase is not Phase.RUNNING:
            return
        if turns:
            self._ending = self._loop.call_soon(self._end_if_empty, turns - 1)
        else:
            self.life.emptied()
            self._changed.set()

    def report(self, error: BaseException) -> None:
        """A callback raised this: end the run, or go on, as its life decides."""
        if isinstance(error, INTERRUPTS):
            self.life.interrupted(error)
        else:
            self._judge(error)
        self._changed.set()

    def _judge(self, error: BaseException) -> None:
        if self.life.failed(error):
            logger.error("Ignored, as `on_exception` says: %s", said(error), exc_info=error)

    # Reasons to end come from anywhere.

    def stop(self, exception: BaseException | None = None) -> None:
        """Have the run end; may be called from any thread, and from a signal handler."""
        if threading.get_ident() == self._thread:
            self.life.stop(exception)
            self.wake()
        else:
            self.soon(partial(self.stop, exception))

    def interrupt(self, interrupt: BaseException) -> None:
        """Have the run end at once, and raise this; may be called from any thread."""
        self.life.interrupted(interrupt)
        self.wake()

    def wake(self) -> None:
        """Have the run look whether it is over."""
        self.soon(self._changed.set)

    def give_up(self) -> None:
        """End all workers and leave everything else as it is."""
        if not self._given_up:
            self._given_up = True
            self._executor.close(at_once=True)

    # The life of it.

    async def live(self) -> None:
        """Run from the first event to the last; `life.result()` then says how it ended."""
        try:
            await self._live()
        except BaseException:
            self.give_up()
            raise
        finally:
            self.services.close()

    async def _live(self) -> None:
        self._context.run(self._start)
        alarm = self._set_alarm()
        await self._until(lambda: not self.goes_on)
        if alarm is not None:
            alarm.cancel()
        self._context.run(self._say_that_it_ends)
        await self._until(lambda: not self.pending or not self.life.wait)
        await self._close()
        self.life.phase = Phase.OVER
        self._context.run(guarded, self.report, self._events.finished.emit)

    def _start(self) -> None:
        self.life.begin(self._loop.time())
        guarded(self.report, self._events.started.emit)
        self._tell_of_room()
        if not self.pending:
            self._look_whether_empty()

    def _set_alarm(self) -> asyncio.TimerHandle | None:
        deadline = self.life.deadline
        return None if deadline is None else self._loop.call_at(deadline, self._alarm, deadline)

    def _alarm(self, deadline: float) -> None:
        self.life.tick(deadline)
        self._changed.set()

    def _say_that_it_ends(self) -> None:
        self.life.phase = Phase.ENDING
        if self.life.exit is not None and self.life.exit.code is ExitCode.TIMEOUT:
            guarded(self.report, self._events.timeout.emit)
        elif self.life.exit is not None and self.life.exit.code is not ExitCode.EXHAUSTED:
            guarded(self.report, self._events.stop.emit)
        guarded(self.report, self._events.finishing.emit)
        self.life.phase = Phase.DRAINING
        if self.life.wait:
            self._waiting.end()
        self.services.run_ends()
        self._wake()  # for the outcomes that had to wait until this was said

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._given_up:
                raise asyncio.CancelledError
            self._changed.clear()
            try:
                await self._changed.wait()
            except asyncio.CancelledError:
                self.life.cancelled()

    async def _close(self) -> None:
        if self.life.wait:
            waiting = self._in_thread(self._executor.close)
            await self._until(lambda: not waiting.is_alive() or not self.life.wait)
        if not self.life.wait:
            self._name_the_abandoned()  # before: nobody knows what is running when it is closed
            ending = self._in_thread(lambda: self._executor.close(at_once=True))
            self._context.run(self._drop_pending)
            await self._until(lambda: not ending.is_alive())
        self.services.close()

    def _name_the_abandoned(self) -> None:
        for source in self._executor.abandoned(self.pending):
            call = self.pending[source].call
            logger.warning(
                "%s() goes on after the run: it cannot be stopped", name_of(call.function)
            )

    def _drop_pending(self) -> None:
        for source, future in tuple(self.pending.items()):
            source.cancel()
            future.drop()
            self._deliver(source)

    def _in_thread(self, work: Callable[[], None]) -> threading.Thread:
        return in_thread(work, self.soon, failed=self.report, then=self._changed.set)

    @property
    def queue(self) -> Mapping[asyncio.Future[Any], Call[Any]]:
        """The futures that have no outcome yet, with what they compute, oldest first."""
        return {future: future.call for future in tuple(self.pending.values())}
