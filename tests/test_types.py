"""`Requeue`: what goes in comes out, once, and what was given back comes first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk.types import Requeue

Step = tuple[str, list[int]]
steps = st.lists(
    st.tuples(st.sampled_from(["next", "requeue", "append"]), st.lists(st.integers(), max_size=3)),
    max_size=30,
)


@given(items=st.lists(st.integers()), script=steps)
def test_it_is_a_stack_before_the_items_before_a_queue(
    items: list[int], script: list[Step]
) -> None:
    """
    For every script, `Requeue` gives what (a stack, then the items, then a queue) would give.
    """
    requeue = Requeue(items)
    stack: list[int] = []
    queue = deque(items)
    for step, values in script:
        if step == "requeue":
            requeue.requeue(*values)
            stack.extend(values)
        elif step == "append":
            requeue.append(*values)
            queue.extend(values)
        else:
            expected = stack.pop() if stack else queue.popleft() if queue else None
            assert next(requeue, None) == expected
    assert list(requeue) == [*reversed(stack), *queue]


@given(st.lists(st.integers()), st.lists(st.integers()), st.lists(st.integers()))
def test_what_goes_in_comes_out_once(a: list[int], b: list[int], c: list[int]) -> None:
    """
    sorted(list(Requeue(a) + requeued b + appended c)) = sorted(a + b + c).
    """
    requeue = Requeue(a)
    requeue.requeue(*b)
    requeue.append(*c)
    assert sorted(requeue) == sorted([*a, *b, *c])
    assert list(requeue) == []


def test_the_last_one_requeued_comes_first() -> None:
    """
    Requeueing one after the other, or several at once, is the same.
    """
    one_by_one, at_once = Requeue([9]), Requeue([9])
    one_by_one.requeue(1)
    one_by_one.requeue(2)
    at_once.requeue(1, 2)
    assert list(one_by_one) == list(at_once) == [2, 1, 9]


def test_items_are_read_one_at_a_time() -> None:
    """
    Even endless items can be requeued in front of: none is read before it is asked for.
    """
    read: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            read.append(len(read))
            yield read[-1]

    items = Requeue(endless())
    assert read == []
    items.requeue(next(items))
    assert [next(items), next(items)] == [0, 1]
    assert read == [0, 1]


def test_one_that_is_empty_can_be_filled_again() -> None:
    """
    The end is not for ever: what comes back after it is given out as well.
    """
    items: Requeue[int] = Requeue()
    with pytest.raises(StopIteration):
        next(items)
    items.append(2)
    items.requeue(1)
    assert list(items) == [1, 2]


def test_a_million_are_no_deeper_and_no_slower_than_one() -> None:
    """
    A million requeues, and as many items given back one at a time, end within the time limit.
    """
    million = 1_000_000
    items = Requeue(range(million))
    for number in range(million):
        items.requeue(number)
    assert next(items) == million - 1
    for _ in range(million):
        items.requeue(next(items))
    assert sum(1 for _ in items) == 2 * million - 1
