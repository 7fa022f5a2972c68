from __future__ import annotations

import inspect
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk.rendering.words import (
    LONGEST,
    brief,
    call_text,
    name_of_function,
    one_line,
    signature_text,
)

anything = st.recursive(
    st.none() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    """For every text: what is made of it is printable, and no longer than allowed."""
    line = one_line(text, 30)
    assert line.isprintable()
    assert len(line) <= 30


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), max_size=LONGEST))
def test_one_line_leaves_words_alone(word: str) -> None:
    """For every word of printable characters that fits: one_line(word) == word."""
    assert one_line(word) == word


@given(anything)
def test_brief_is_brief(thing: object) -> None:
    """For every object: `brief` is one printable line of at most `LONGEST` characters."""
    assert brief(thing).isprintable()
    assert len(brief(thing)) <= LONGEST


@given(st.integers(-(10**9), 10**9) | st.booleans() | st.none() | st.text("abc[]/ ", max_size=20))
def test_brief_of_small_things_is_their_repr(thing: object) -> None:
    """For every small value: brief(value) == repr(value), up to the width of its spaces."""
    assert brief(thing) == " ".join(repr(thing).split())


HUNDRED = tuple(range(100))


class Raises:
    def __repr__(self) -> str:
        raise RuntimeError("no")


class Counts:
    calls = 0

    def __repr__(self) -> str:
        type(self).calls += 1
        return "Counts"


class Plain:
    pass


class Coloured:
    def __repr__(self) -> str:
        return "\x1b[31mred\n\tblue\x07"


@dataclass
class Config:
    rate: float
    data: list[int]
    secret: str = field(default="x", repr=False)


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (Raises(), "<Raises>"),
        ([1, Raises()], "[1, <Raises>]"),
        (Plain(), "<Plain>"),
        (Coloured(), r"\x1b[31mred blue\x07"),
        (list(range(10)), "[0, 1, 2, 3, ...]"),
        ({n: n for n in range(1000)}, "<dict of 1000>"),
        (Counter(range(1000)), "<Counter of 1000>"),
        (deque([1]), "deque([1])"),
        (b"a" * 1000, repr(b"a" * 40) + "…"),
        (Config(0.1, list(range(10**6))), "Config(rate=0.1, data=[0, 1, 2, 3, ...])"),
        (Config, "Config"),
        (len, "len"),
        ("\ud800", r"'\ud800'"),
    ],
)
def test_what_objects_look_like(thing: object, text: str) -> None:
    """
    A `repr` that raises, colours, breaks lines, says nothing or never ends becomes a short one.
    """
    assert brief(thing) == text


def test_only_what_is_shown_is_looked_at() -> None:
    """
    Of a million objects in a list, the few that are shown are asked for their `repr`.
    """
    Counts.calls = 0
    brief([Counts()] * 1_000_000)
    assert Counts.calls == 4


def test_a_container_that_changes_while_it_is_looked_at() -> None:
    """
    What another thread changes right now is shown by its type.
    """

    class Changing(list[int]):
        def __iter__(self) -> Iterator[int]:
            raise RuntimeError("changed size during iteration")

        def __repr__(self) -> str:
            return str([*self])

    assert brief(Changing([1])) == "<Changing>"


def test_names_of_functions() -> None:
    """
    A function is called what its author calls it, wherever it was defined.
    """

    def inner(_: int) -> None: ...

    assert name_of_function(inner) == "inner"
    assert name_of_function(partial(inner, 1)) == "partial(inner)"
    assert name_of_function(Coloured.__repr__) == "Coloured.__repr__"
    assert name_of_function(Plain()) == "<Plain>"


def test_a_call_is_written_as_python() -> None:
    """
    Name, arguments, keywords; and never a line too long.
    """
    assert call_text(pow, (2, 3), {"mod": 5}) == "pow(2, 3, mod=5)"
    assert len(call_text(pow, ("x" * 1000,) * 1000, {})) == LONGEST


def test_signatures() -> None:
    """
    Annotations that are strings come without quotes, and defaults may be anything.
    """

    def train(seed: int, *, data: object = HUNDRED, odd: object = Raises()) -> float:
        return 0.0

    signature = inspect.signature(train)
    assert signature_text(signature) == (
        "(seed: int, *, data: object = (0, 1, 2, 3, ...), odd: object = <Raises>) -> float"
    )
    assert signature_text(None) == "(...)"
    assert signature_text(signature.replace(return_annotation=Raises())) == "(...)"
