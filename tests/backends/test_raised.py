"""Exceptions that arrive as they were, whatever has been done to pickle."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest
import tblib.pickling_support
from hypothesis import given
from hypothesis import strategies as st

from amltk.backends.payload import pack_error, unpack_outcome
from amltk.exceptions import NotPicklableError


class Counted(Exception):
    """Has more to it than its arguments."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.n = len(args)


class Keyword(Exception):
    """Says itself how it is pickled."""

    def __init__(self, *, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __reduce__(self) -> Any:
        return again, (self.why,)


def again(why: str) -> Keyword:
    return Keyword(why=why)


class Registered(Exception):
    """Somebody else says how it is pickled."""

    def __init__(self, *, why: str) -> None:
        super().__init__(why)


@pytest.fixture(autouse=True)
def tblib_is_installed() -> None:
    """As `import distributed` does it."""
    tblib.pickling_support.install()


def arrived(error: BaseException) -> BaseException:
    there, _ = unpack_outcome(pack_error(error, error, cloudpickle.dumps))
    assert there is not None
    return there


@pytest.mark.parametrize("code", [None, 0, 3, "no such file"])
def test_a_program_that_leaves_says_with_which_code(code: object) -> None:
    """
    `SystemExit` gets its code when it is made, and not from its arguments.
    """
    there = arrived(SystemExit(code))
    assert isinstance(there, SystemExit)
    assert there.code == code


@given(st.lists(st.integers() | st.text()), st.lists(st.text()))
def test_arguments_attributes_and_notes_arrive(args: list[object], notes: list[str]) -> None:
    """
    For every exception that is made of its arguments.
    """
    tblib.pickling_support.install()
    error = Counted(*args)
    for note in notes:
        error.add_note(note)
    there = arrived(error)
    assert isinstance(there, Counted)
    assert (there.args, vars(there)) == (error.args, vars(error))


def test_what_an_exception_says_of_itself_holds() -> None:
    """
    Its `__reduce__` is asked.
    """
    there = arrived(Keyword(why="this"))
    assert isinstance(there, Keyword)
    assert there.why == "this"


def test_what_somebody_has_registered_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Except for what tblib has.
    """
    assert isinstance(arrived(Registered(why="this")), NotPicklableError)
    make: Callable[[str], Registered] = remade
    monkeypatch.setitem(
        copyreg.dispatch_table, Registered, lambda error: (make, (str(error.args[0]),))
    )
    assert isinstance(arrived(Registered(why="this")), Registered)


def remade(why: str) -> Registered:
    return Registered(why=why)
