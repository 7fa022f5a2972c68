"""What an editor with pyright's language server (VS Code, for one) shows while one types.

The programs are what the user has typed so far; the cursor is at `<|>`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest

from amltk.backends import Loky
from amltk.scheduling.run_options import RunOptions
from tests.ide.language_server import LanguageServer, language_server
from tests.ide.programs import PROGRAM

SCRIPTS = Path(sysconfig.get_path("scripts"))
SOURCES = Path(__file__).parents[2] / "src"

Ask: TypeAlias = Callable[[str], str]
"""Shows what the editor shows for a program with a cursor."""


def start(folder: Path) -> Iterator[LanguageServer]:
    command = SCRIPTS / "pyright-langserver"
    assert command.exists(), "pyright is not installed: it is one of the `dev` dependencies."
    (folder / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(SOURCES)]}))
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"  # where pyright looks for a Python
    with language_server(
        str(command), "--stdio", folder=folder, env={**os.environ, "PATH": path}
    ) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanguageServer]:
    yield from start(tmp_path_factory.mktemp("user"))


@pytest.fixture
def hover(server: LanguageServer, tmp_path: Path) -> Ask:
    """What is shown when the mouse is there."""

    def ask(program: str) -> str:
        answer = server.at("hover", tmp_path / "program.py", PROGRAM + program)
        return str(answer["contents"]["value"])

    return ask


@pytest.fixture
def signatures(server: LanguageServer, tmp_path: Path) -> Callable[[str], list[str]]:
    """How what is being called can be called."""

    def ask(program: str) -> list[str]:
        answer = server.at("signatureHelp", tmp_path / "program.py", PROGRAM + program)
        return [str(signature["label"]) for signature in answer["signatures"]]

    return ask


@pytest.fixture
def completions(server: LanguageServer, tmp_path: Path) -> Callable[[str], list[str]]:
    """What can be typed next."""

    def ask(program: str) -> list[str]:
        answer = server.at("completion", tmp_path / "program.py", PROGRAM + program)
        return [str(item["label"]) for item in answer["items"]]

    return ask


def test_a_task_is_called_like_the_function(signatures: Callable[[str], list[str]]) -> None:
    """At `task(` stand the names, types and defaults of the user's function."""
    expected = "(rate: float, *, epochs: int = 1) -> (Future[str] | None)"
    assert signatures("task(<|>)") == [expected]
    assert signatures("task.submit(0.1, <|>)") == [expected]


def test_submit_takes_the_arguments_of_the_function(
    signatures: Callable[[str], list[str]],
) -> None:
    """After the function come its own parameters."""
    (label,) = signatures("scheduler.submit(train, <|>)")
    assert label.endswith("/, rate: float, *, epochs: int = 1) -> Future[str]")


def test_keywords_of_the_function_are_completed(completions: Callable[[str], list[str]]) -> None:
    """The user's own parameters come up in a call of the task."""
    assert {"rate=", "epochs="} <= set(completions("task(<|>)"))


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        ("task.on_res<|>ult", "Subscriber[(Future[str], str)]"),
        ("task.on_subm<|>itted", "Subscriber[(Future[str], rate: float, *, epochs: int = 1)]"),
        ("ta<|>sk", "Task[(rate: float, *, epochs: int = 1), str]"),
        ("scheduler.on_fin<|>ished", "Subscriber[()]"),
        ("task.on_result(lambda future, res<|>ult: None)", "result: str"),
        ("task.on('on_done').add(lambda fut<|>ure: None)", "future: Future[str]"),
    ],
)
def test_a_hover_tells_the_type(hover: Ask, program: str, shown: str) -> None:
    """Types are made of what the user wrote."""
    assert shown in hover(program)


def test_a_hover_tells_what_an_event_means(hover: Ask) -> None:
    """The sentence at the attribute is shown with it."""
    assert "A call returned; passes its future" in hover("task.on_res<|>ult")


def test_a_callback_stays_what_it_was(hover: Ask) -> None:
    """Under two decorators, with options and without, a function keeps its names and types."""
    program = """
@task.on_result(limit=1)
@task.on("on_result")
def report(future: Future[str], result: str, loud: bool = False) -> int:
    return len(result)

rep<|>ort
"""
    shown = " ".join(hover(program).split())
    assert "future: Future[str], result: str, loud: bool = False ) -> int" in shown


def test_names_of_events_are_completed(completions: Callable[[str], list[str]]) -> None:
    """Inside of the quotes the events that are known come up, those of plugins included."""
    assert set(completions('task.on("<|>")')) == {
        '"on_submitted"',
        '"on_done"',
        '"on_result"',
        '"on_exception"',
        '"on_cancelled"',
        '"call-limit-reached"',
        '"concurrent-limit-reached"',
        '"disabled-due-to-running-task"',
        '"retry"',
        '"gave-up"',
        '"comm-message"',
        '"comm-request"',
        '"comm-close"',
        '"pynisher-timeout"',
        '"pynisher-wall-time-limit"',
        '"pynisher-cpu-time-limit"',
        '"pynisher-memory-limit"',
    }


@pytest.mark.parametrize("program", ["task.on_result(<|>)", "task.on('on_done', <|>)"])
def test_options_of_callbacks_are_completed(
    completions: Callable[[str], list[str]], program: str
) -> None:
    """`when=` and its like come up wherever a callback is registered."""
    assert {"when=", "limit=", "repeat=", "every="} <= set(completions(program))


def test_a_backend_is_asked_for_with_its_fields(
    signatures: Callable[[str], list[str]], completions: Callable[[str], list[str]]
) -> None:
    """`with_loky` shows and completes each field of the config, and its default."""
    (label,) = signatures("scheduler.with_loky(<|>)")
    assert "max_workers: int | None = None" in label
    assert "reuse: bool | Literal['auto'] = False" in label
    assert label.endswith("-> Scheduler")
    fields = {f"{field.name}=" for field in dataclasses.fields(Loky)}
    assert fields <= set(completions("Scheduler.with_loky(<|>)"))


def test_a_run_is_started_with_its_options(
    signatures: Callable[[str], list[str]], completions: Callable[[str], list[str]]
) -> None:
    """`run` shows and completes each option, and what there is to choose from."""
    (label,) = signatures("scheduler.run(<|>)")
    assert "timeout: float | None = ..." in label
    assert label.endswith("-> ExitState")
    options = {f"{name}=" for name in RunOptions.__annotations__}
    assert options <= set(completions("scheduler.run(<|>)"))
    assert completions('scheduler.run(on_exception="<|>")') == ['"raise"', '"end"', '"ignore"']


def test_no_process_is_left(tmp_path: Path) -> None:
    """With the editor goes the server, and what it started."""
    servers = start(tmp_path)
    server = next(servers)
    parent = psutil.Process(server.process.pid)
    processes = [parent, *parent.children(recursive=True)]
    assert next(servers, None) is None
    assert not any(process.is_running() for process in processes)
