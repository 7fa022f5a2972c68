from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from typing_extensions import override

from amltk.rendering.moment import TRIES, first


class Pending(Mapping[int, int]):
    """Endless, and disturbed so many times before it can be read."""

    def __init__(self, disturbed: int = 0) -> None:
        self.disturbed = disturbed

    @override
    def __getitem__(self, key: int) -> int:
        return key

    @override
    def __len__(self) -> int:
        return 200_000

    @override
    def __iter__(self) -> Iterator[int]:
        for n in count():
            if n == 2 and self.disturbed:
                self.disturbed -= 1
                raise RuntimeError("dictionary changed size during iteration")
            yield n


def test_no_more_is_built_than_is_shown() -> None:
    """
    However many calls are pending, even if they never end, only the first are looked at.
    """
    assert first(Pending(), 5) == [0, 1, 2, 3, 4]


def test_what_changes_meanwhile_is_looked_at_again() -> None:
    """
    A change in the middle of a look is no error: one looks again.
    """
    assert first(Pending(disturbed=TRIES - 1), 3) == [0, 1, 2]


def test_what_never_holds_still_is_not_shown() -> None:
    """
    After many tries the calls are left out of this picture.
    """
    assert first(Pending(disturbed=TRIES), 3) == []
