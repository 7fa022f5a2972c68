from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from amltk import Scheduler, Task
from amltk._doc import doc_print, make_picklable

PAGE = """
    from amltk import Scheduler
    from amltk._doc import doc_print, make_picklable

    def double(x: int) -> int:
        return 2 * x
    make_picklable(double)

    scheduler = Scheduler.with_processes(1, mp_context="fork")
    task = scheduler.task(double)
    results = []

    @scheduler.on_start
    def begin() -> None:
        task(21)

    @task.on_result
    def keep(future: Future, result: int) -> None:
        results.append(result)

    @task.on_submitted
    def check(future: Future, x: int, task: Task = task) -> None:
        assert task.function is double

    scheduler.run()
    print("RESULTS", results)
    doc_print(print, scheduler, output="text")
"""


def run_python(program: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "page.py"
    path.write_text(textwrap.dedent(program))
    return subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


@pytest.mark.parametrize("how", ["as a script", "by exec"])
def test_a_page_runs(how: str, tmp_path: Path) -> None:
    """
    A block whose function goes to worker processes, and that uses names of the page, just runs.
    """
    page = textwrap.dedent(PAGE)
    done = run_python(page if how == "as a script" else f"exec({page!r}, {{}})", tmp_path)
    assert done.stderr == ""
    assert done.returncode == 0
    assert "RESULTS [42]\nScheduler  ended: exhausted · 1 done\n" in done.stdout


def function_of_a_page(**names: Any) -> Any:
    namespace: dict[str, Any] = {"__name__": "page", **names}
    exec("def outer():\n    def f(x): return x\n    return f\nf = outer()", namespace)
    return namespace["f"]


def test_a_function_of_a_page_can_be_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It goes to a worker by its name in `__main__`, and is the same function there.
    """
    monkeypatch.setattr(sys.modules["__main__"], "f", None, raising=False)
    function = function_of_a_page()
    make_picklable(function)
    assert pickle.loads(pickle.dumps(function)) is function


def test_names_that_the_page_has_spoken_of_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `Future` and `Task` are there for annotations, unless the page means something else by them.
    """
    monkeypatch.setattr(sys.modules["__main__"], "f", None, raising=False)
    function = function_of_a_page(Task="mine")
    make_picklable(function)
    assert function.__globals__["Future"] is asyncio.Future
    assert function.__globals__["Task"] == "mine"
    other = function_of_a_page()
    make_picklable(other)
    assert other.__globals__["Task"] is Task


def test_a_result_is_printed_on_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """
    What is printed goes through the page's own `print`: HTML with its styles, or text.
    """
    printed: list[str] = []
    scheduler = Scheduler.with_sequential()
    doc_print(printed.append, scheduler, fontsize="11px")
    doc_print(printed.append, Text("plain", style="red"), output="text")
    html, text = printed
    assert html.startswith("<pre style=")
    assert "font-size:11px" in html
    assert "Sequential" in html
    assert text == "plain"
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_an_output_that_nobody_knows() -> None:
    """
    The error says what there is.
    """
    with pytest.raises(ValueError, match="output='pdf'"):
        doc_print(print, Text(), output="pdf")  # type: ignore[arg-type]
