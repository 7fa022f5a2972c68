from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
from collections.abc import Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk.rendering.streams import Printed, Stream, catch_prints, release_prints
from tests.rendering.terminal import Tty


@contextmanager
def terminal() -> Generator[Tty]:
    """A terminal as `sys.stdout`; `sys.stderr` is a file."""
    tty = Tty()
    with redirect_stdout(tty), redirect_stderr(io.StringIO()):
        yield tty


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


def test_prints_are_remembered_until_they_are_released() -> None:
    """
    `print` writes nothing itself while prints are caught, and writes again afterwards.
    """
    woken: list[bool] = []
    printed = Printed(wake=lambda: woken.append(True))
    with terminal() as tty:
        catch_prints(printed)
        print("[red]caught", 1, flush=True)  # noqa: T201
        sys.stdout.writelines(["and ", "this\n"])
        assert tty.getvalue() == ""
        assert woken
        release_prints()
        print("released")  # noqa: T201
    assert printed.take_lines() == ["[red]caught 1", "and this"]
    assert tty.getvalue() == "released\n"


def test_a_stream_is_otherwise_the_terminal() -> None:
    """
    Whatever else a program asks of its output, the terminal answers.
    """
    with terminal() as tty:
        catch_prints(printed_to_nobody())
        assert isinstance(sys.stdout, Stream)
        assert sys.stdout.isatty()
        assert sys.stdout.encoding == tty.encoding
        assert not sys.stdout.closed


def test_what_goes_to_a_file_goes_there() -> None:
    """
    Errors that the user sends to a file do not come to the terminal.
    """
    with terminal():
        catch_prints(printed_to_nobody())
        assert isinstance(sys.stdout, Stream)
        assert not isinstance(sys.stderr, Stream)


def test_what_is_no_text_is_refused_where_it_is_written() -> None:
    """
    Bytes fail in the line that writes them, and leave nothing behind.
    """
    not_a_text: Any = b"bytes"
    printed = printed_to_nobody()
    with terminal(), pytest.raises(TypeError):
        catch_prints(printed)
        sys.stdout.write(not_a_text)
    assert printed.take_lines() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_prints_by_itself() -> None:
    """
    In a child process nobody draws what is printed, so nothing is caught there.
    """
    program = """
        import os, pty, sys
        from amltk.rendering.streams import Printed, Stream, catch_prints
        os.dup2(pty.openpty()[1], 1)
        catch_prints(Printed(lambda: None))
        pid = os.fork()
        if pid == 0:
            os._exit(isinstance(sys.stdout, Stream))
        assert isinstance(sys.stdout, Stream)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=50)
    assert done.returncode == 0
