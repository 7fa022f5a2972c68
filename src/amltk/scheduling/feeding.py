"""Keeping calls of a task in flight: an iterator is read as fast as they end, and no faster.

A feed knows nothing of time, threads or the run. It is told when there may be room for a call,
and what it does then follows from how many are pending.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self

from typing_extensions import TypeVar, override

from amltk.exceptions import SchedulerNotRunningError
from amltk.scheduling.call import Call
from amltk.scheduling.outcomes import guarded
from amltk.types import Requeue

if TYPE_CHECKING:
    from amltk.scheduling.task import TakesCalls

__all__ = ["Feed", "TakesItems"]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class TakesItems(Protocol[T_contra]):
    """What a feed needs of a task, and of what type the task's one argument is."""

    @property
    def function(self) -> Callable[..., Any]:
        """What is called with each item."""
        ...

    @property
    def scheduler(self) -> TakesCalls:
        """Tells when there is room for calls, and takes them."""
        ...

    @property
    def feeds(self) -> list[Feed[Any]]:
        """Every feed of the task, for those who want to look at them."""
        ...

    @property
    def n_running(self) -> int:
        """How many calls are pending."""
        ...

    def __call__(self, item: T_contra, /) -> object:
        """Submit the call for an item; this says which items there can be."""
        ...

    def submit_call(self, call: Call[Any], /) -> object | None:
        """Submit a call; `None` if it was refused."""
        ...


class Feed(Iterator[T], Generic[T]):
    """Has a task called with one item after the other, so many at a time; `Task.feed` makes it.

    It is itself an iterator: over what was not submitted, which is also what the next run goes on
    with. An item that a plugin of the task refused comes first.

    Args:
        task: What is called.
        items: What it is called with: each item is the one argument of a call.
        max_pending: With fewer pending calls than this, the task is called.

    Raises:
        TypeError: If the items cannot be iterated over, or `max_pending` is no whole number.
        ValueError: If `max_pending` is below 1.
        WrongThreadError: If a run is on, and this is not its thread.
    """

    def __init__(self, task: TakesItems[T], items: Iterable[T], max_pending: int) -> None:
        require_items(items)
        require_max_pending(max_pending)
        self.max_pending: int = max_pending
        self.n_submitted: int = 0
        """How many items were submitted."""
        self._task = task
        self._items: Requeue[T] = Requeue(items)
        self.is_over: bool = False
        """Whether it will submit nothing any more."""
        self._is_final = ends_for_good(items)
        self._has_stopped = False
        self._listens = True
        is_open = self._is_open()
        task.feeds[:] = [*(feed for feed in task.feeds if not feed.is_over), self]
        task.scheduler.room.add(self._fill)
        if is_open:
            guarded(task.scheduler.report, self._fill)

    def stop(self) -> None:
        """Submit nothing any more, in this run and later ones; what is left stays here."""
        self._has_stopped = self.is_over = True
        self._leave()

    @override
    def __iter__(self) -> Self:
        return self

    @override
    def __next__(self) -> T:
        return next(self._items)

    def _fill(self) -> None:
        while self._has_room():
            try:
                item = next(self._items)
            except StopIteration:
                self._rest()
                return
            if not self._has_room():  # what gave the item may have stopped this, or called the task
                self._items.requeue(item)
                return
            if not self._submit(item):
                return

    def _rest(self) -> None:
        if self._is_final:  # others, like `Requeue`, get new items: they are asked again later
            self.is_over = True
            self._leave()

    def _leave(self) -> None:
        if self._listens:
            self._listens = False
            self._task.scheduler.room.remove(self._fill)

    def _has_room(self) -> bool:
        has_room = not self._has_stopped and self._task.n_running < self.max_pending
        return has_room and self._task.scheduler.goes_on() and self._is_open()

    def _is_open(self) -> bool:
        try:
            self._task.scheduler.require_open(self._task.function)
        except SchedulerNotRunningError:
            return False
        return True

    def _submit(self, item: T) -> bool:
        was_submitted = False
        try:
            # Not by calling the task: that may raise a Ctrl-C after the call was submitted.
            call = Call(self._task.function, (item,), {})
            was_submitted = self._task.submit_call(call) is not None
        finally:
            if not was_submitted:
                self._items.requeue(item)
        self.n_submitted += was_submitted
        return was_submitted

    @override
    def __repr__(self) -> str:
        state = ", stopped" if self._has_stopped else ""
        return f"<Feed: {self.n_submitted:,} submitted, max_pending={self.max_pending:,}{state}>"


def ends_for_good(items: Iterable[object]) -> bool:
    """Whether these items, once there are no more of them, are known to stay so."""
    is_container = isinstance(items, Collection) and not isinstance(items, Iterator)
    return is_container or isinstance(items, Generator)


def require_items(items: object) -> None:
    if not isinstance(items, Iterable):
        raise TypeError(
            f"Cannot feed {items!r}: it is nothing to iterate over. Pass a list, a generator, or "
            "another iterable of what the task is called with."
        )


def require_max_pending(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`max_pending={value!r}` has to be a whole number.")
    if value < 1:
        raise ValueError(f"`max_pending={value}` would submit nothing: it has to be at least 1.")
