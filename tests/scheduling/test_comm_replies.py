"""Threads that wait for replies, by hand: who reads, who gets what, and who goes on when one leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amltk.exceptions import CommClosedError
from amltk.scheduling import comm_replies
from amltk.scheduling.comm_replies import TORN, Replies
from amltk.scheduling.comm_wire import ANSWER, NUMBER, Frame

SOON = 20.0
"""Seconds that something which is about to happen may take for it."""


def reply(number: int) -> Frame:
    return ANSWER, bytearray(NUMBER.pack(number) + b"to %d" % number)


class ByHand:
    """A connection on which comes what a test says, and the threads that wait for it."""

    def __init__(self) -> None:
        self.coming: SimpleQueue[Callable[[], list[Frame]] | BaseException | None] = SimpleQueue()
        self.reads: SimpleQueue[str] = SimpleQueue()
        self.waits: SimpleQueue[None] = SimpleQueue()
        self.came: Callable[[], list[Frame]] = list
        self.replies = Replies(self.is_there, self.read)
        self.pool = ThreadPoolExecutor(8)
        self.n_begun = 0
        self._changed_wait = self.replies._changed.wait
        setattr(self.replies._changed, "wait", self.wait_for_a_change)  # noqa: B010

    def is_there(self, seconds: float | None) -> bool:
        if seconds == 0:
            return False
        self.reads.put("")
        what = self.coming.get(timeout=SOON)
        if isinstance(what, BaseException):
            raise what
        self.came = what or list
        return what is not None

    def read(self) -> list[Frame]:
        return self.came()

    def wait_for_a_change(self, timeout: float | None = None) -> bool:
        self.waits.put(None)  # while it has the lock: nothing changes before it really waits
        return self._changed_wait(timeout)

    def begin(self, until: float | None = None) -> Future[Frame | None]:
        """Have one more thread wait, for the next number; returns when it does."""
        number = self.n_begun
        self.n_begun += 1
        key = NUMBER.pack(number)
        self.replies.expect(key)
        future = self.pool.submit(self.replies.wait, key, until)
        (self.waits if number else self.reads).get(timeout=SOON)
        return future

    def comes(self, *numbers: int) -> None:
        self.coming.put(lambda: [reply(number) for number in numbers])

    def ends(self, error: BaseException) -> None:
        def fail() -> list[Frame]:
            raise error

        self.coming.put(fail)


@pytest.fixture
def around() -> Generator[ByHand]:
    by_hand = ByHand()
    with by_hand.pool:
        yield by_hand


def content(future: Future[Frame | None]) -> bytes | None:
    frame = future.result(SOON)
    return None if frame is None else bytes(frame[1])


def test_who_reads_reads_for_all(around: ByHand) -> None:
    """
    Each gets its own reply when that comes, also while the one that reads has none.
    """
    first, second, third = around.begin(), around.begin(), around.begin()
    around.comes(2)
    assert content(third) == b"to 2"
    around.comes(1)
    assert content(second) == b"to 1"
    assert not first.done()
    around.comes(0)
    assert content(first) == b"to 0"
    assert around.replies.n_unanswered == 0


def test_who_has_its_reply_lets_another_read(around: ByHand) -> None:
    """
    As often as there is one that waits.
    """
    futures = [around.begin() for _ in range(4)]
    for number, future in enumerate(futures):
        around.comes(number)
        assert content(future) == b"to %d" % number


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_who_is_interrupted_lets_another_read(around: ByHand, kind: type[BaseException]) -> None:
    """
    The interrupt goes its way, and nobody else hears of it.
    """
    first, second, third = around.begin(), around.begin(), around.begin()
    around.coming.put(kind())
    with pytest.raises(kind):
        first.result(SOON)
    around.comes(1, 2)
    assert [content(future) for future in (second, third)] == [b"to 1", b"to 2"]


def test_who_has_waited_long_enough_lets_another_read(
    around: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Its reply is left aside when it comes.
    """
    times = iter([0.0, *[10.0] * 10])
    monkeypatch.setattr(comm_replies, "time", SimpleNamespace(monotonic=times.__next__))
    first, second = around.begin(until=5.0), around.begin()
    around.coming.put(None)
    assert content(first) is None
    around.comes(0, 1)
    assert content(second) == b"to 1"
    assert around.replies.n_unanswered == 0


def test_each_waits_for_as_long_as_it_wants(around: ByHand) -> None:
    """
    Who does not read notices by itself that its time is up.
    """
    first, second = around.begin(), around.begin(until=time.monotonic() + 0.01)
    assert content(second) is None
    around.comes(0)
    assert content(first) == b"to 0"


def test_at_the_end_nobody_waits(around: ByHand) -> None:
    """
    Each hears why, whoever read it, and also who asks later; what came before is given out.
    """
    first, second, third = around.begin(), around.begin(), around.begin()
    around.comes(1)
    around.ends(CommClosedError("they are gone"))
    assert content(second) == b"to 1"
    for future in (first, third):
        with pytest.raises(CommClosedError, match="they are gone"):
            future.result(SOON)
    with pytest.raises(CommClosedError, match="they are gone"):
        around.replies.wait(None, 0.0)


def test_somebody_else_can_end_it(around: ByHand) -> None:
    """
    Who does not read wakes up at once; the first reason is the one.
    """
    first, second = around.begin(), around.begin()
    around.replies.end("it is enough")
    with pytest.raises(CommClosedError, match="enough"):
        second.result(SOON)
    around.ends(CommClosedError("the connection is closed"))
    with pytest.raises(CommClosedError):
        first.result(SOON)
    with pytest.raises(CommClosedError, match="enough"):
        around.replies.wait(None, None)


def test_what_is_torn_is_not_pieced_together(around: ByHand) -> None:
    """
    If reading itself is interrupted, nobody waits for what may be lost.
    """
    first, second = around.begin(), around.begin()
    around.ends(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        first.result(SOON)
    with pytest.raises(CommClosedError, match=TORN):
        second.result(SOON)


@given(order=st.permutations(range(6)), together=st.integers(1, 6))
@settings(max_examples=30)
def test_everybody_gets_its_own_reply(order: list[int], together: int) -> None:
    """
    For any order in which replies come, and however many at a time, each thread returns its own.
    """
    around = ByHand()
    with around.pool:
        futures = [around.begin() for _ in order]
        for begin in range(0, len(order), together):
            around.comes(*order[begin : begin + together])
        assert [content(future) for future in futures] == [b"to %d" % n for n in range(6)]
    assert around.replies.n_unanswered == 0
