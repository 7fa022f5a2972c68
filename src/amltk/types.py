"""Small types that programs with a scheduler are often built from."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, Self

from typing_extensions import TypeVar, override

__all__ = ["Requeue"]

T = TypeVar("T")


class Requeue(Iterator[T], Generic[T]):
    """An iterator that takes things back.

    What was requeued comes first, and of that what was requeued last; then come the items it was
    made of, then those that were appended.

    ```python
    items = Requeue(range(3))
    first = next(items)  # 0
    items.requeue(first)
    list(items)  # [0, 1, 2]
    ```

    Args:
        items: Where the items come from; read lazily, one at a time.
    """

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._items = iter(items)
        self._requeued: list[T] = []
        self._appended: deque[T] = deque()

    def requeue(self, *items: T) -> None:
        """Put items back to the front, one after the other."""
        self._requeued.extend(items)

    def append(self, *items: T) -> None:
        """Put items at the end."""
        self._appended.extend(items)

    @override
    def __iter__(self) -> Self:
        return self

    @override
    def __next__(self) -> T:
        if self._requeued:
            return self._requeued.pop()
        for item in self._items:
            return item
        if self._appended:
            return self._appended.popleft()
        raise StopIteration
