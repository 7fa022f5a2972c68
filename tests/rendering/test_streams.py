from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from amltk.rendering.streams import Printed, Stream, catch_prints, release_prints


class Tty(io.StringIO):
    """A terminal that remembers what was written."""

    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tty]:
    """What `sys.stdout` is, a terminal; `sys.stderr` is none."""
    tty = Tty()
    monkeypatch.setattr(sys, "stdout", tty)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    yield tty
    release_prints()


def printed_to_nobody() -> Printed:
    return Printed(wake=lambda: None)


@given(st.lists(st.text(alphabet="ab \n", max_size=5)))
def test_lines_arrive_as_they_were_printed(texts: list[str]) -> None:
    """For every sequence of writes, taken at any time: lines + rest are what was written."""
    printed = printed_to_nobody()
    lines: list[str] = []
    for text in texts:
        printed.write(text)
        lines += printed.take_lines()
    assert "\n".join([*lines, printed.rest]) == "".join(texts)


def test_a_progress_bar_overwrites_itself() -> None:
    """
    Of a line that was written over and over, the last version counts.
    """
    printed = printed_to_nobody()
    printed.write("\r10%\r20%")
    assert (printed.take_lines(), printed.rest) == ([], "20%")
    printed.write("\r100%\r\nnext")
    assert (printed.take_lines(), printed.rest) == (["100%"], "next")


def test_prints_are_remembered_until_they_are_released(terminal: Tty) -> None:
    """
    `print` writes nothing itself while prints are caught, and writes again afterwards.
    """
    woken: list[bool] = []
    printed = Printed(wake=lambda: woken.append(True))
    catch_prints(printed)
    print("[red]caught", 1, flush=True)
    sys.stdout.writelines(["and ", "this\n"])
    assert terminal.getvalue() == ""
    assert woken
    release_prints()
    print("released")
    assert printed.take_lines() == ["[red]caught 1", "and this"]
    assert terminal.getvalue() == "released\n"


def test_a_stream_is_otherwise_the_terminal(terminal: Tty) -> None:
    """
    Whatever else a program asks of its output, the terminal answers.
    """
    catch_prints(printed_to_nobody())
    assert isinstance(sys.stdout, Stream)
    assert sys.stdout.isatty()
    assert sys.stdout.encoding == terminal.encoding
    assert not sys.stdout.closed


def test_what_goes_to_a_file_goes_there(terminal: Tty) -> None:
    """
    Errors that the user sends to a file do not come to the terminal.
    """
    before = sys.stderr
    catch_prints(printed_to_nobody())
    assert sys.stderr is before


def test_what_is_no_text_is_refused_where_it_is_written(terminal: Tty) -> None:
    """
    Bytes fail in the line that writes them.
    """
    catch_prints(printed_to_nobody())
    with pytest.raises(TypeError):
        sys.stdout.write(b"bytes")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
