from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text
from typing_extensions import override

from amltk import CallLimiter, Emitter, Event, Scheduler, TaskPlugin
from amltk.rendering.export import as_text
from amltk.rendering.tree import emitter_tree, event_label, scheduler_tree, task_tree
from amltk.rendering.words import one_line


def double(x: int, *, label: str = "[red]") -> int:
    return 2 * x


class Never(Executor):
    """Takes calls, and leaves them pending."""

    @override
    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


def picture_of_pending(*calls: tuple[Any, ...], width: int = 100) -> str:
    """What a scheduler looks like when these calls of `double` are pending."""
    scheduler = Scheduler(Never())
    task = scheduler.task(double)
    pictures: list[str] = []

    @scheduler.on_start
    def submit_look_and_stop() -> None:
        for call in calls:
            task(*call)
        pictures.append(as_text(scheduler_tree(scheduler), width=width))
        scheduler.stop()

    scheduler.run(wait=False)
    return pictures[0]


def test_a_scheduler_that_never_ran() -> None:
    """
    Executor, queue, events, callbacks with their options, tasks with their signatures.
    """
    scheduler = Scheduler.with_threads(2)
    task = scheduler.task(double, plugins=CallLimiter(max_concurrent=2))
    scheduler.on_start(print, repeat=3)
    task.on_result(print, every=2, limit=5, when=bool)
    assert as_text(scheduler, width=90) == "\n".join(
        [
            "Scheduler  not run yet",
            "├── Executor  Threads(max_workers=2)",
            "├── Queue  empty",
            "├── Events",
            "│   ├── @on_start",
            "│   │   └── print()  repeat=3",
            *flow("│   ", scheduler.emitter, "on_start"),
            "└── Task  double(x: int, *, label: str = '[red]') -> int",
            "    ├── Plugin  CallLimiter(max_concurrent=2)",
            "    ├── @on_result",
            "    │   └── print()  every=2  limit=5  when=bool",
            *flow("    ", task.emitter, "on_result"),
        ]
    )


def flow(indent: str, emitter: Emitter, listened_to: str, width: int = 90) -> list[str]:
    """The lines for the events that nobody listens to."""
    lines = [""]
    for event in emitter.events:
        if event != listened_to:
            longer = f"{lines[-1]}  @{event}".strip()
            lines[-1:] = [longer] if len(longer) <= width - 8 else [lines[-1], f"@{event}"]
    return [f"{indent}{'    ' if n else '└── '}{line}" for n, line in enumerate(lines)]


def test_counts_stand_next_to_what_they_count() -> None:
    """
    After a run, events show how often they were emitted and callbacks how often they were called.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(double)
    scheduler.on_start(lambda: [task(n) for n in range(3)])
    task.on_result(print_nothing, limit=2)
    scheduler.run()
    shown = as_text(scheduler, width=200)
    assert shown.startswith("Scheduler  ended: exhausted · 3 done\n")
    assert "@on_start 1\n│   │   └── <lambda>() 1\n" in shown
    assert "@on_result 3\n    │   └── print_nothing() 2  limit=2\n" in shown
    assert "@on_future_submitted 3  @on_future_done 3" in shown


def print_nothing(_: object, __: object) -> None:
    return None


def test_counts_are_yellow_and_what_did_not_happen_is_dim() -> None:
    """
    An event that was emitted stands out from one that never was.
    """
    emitter = Emitter()
    saved: Event[[]] = Event("saved")
    lost: Event[[]] = Event("lost")
    on_saved, on_lost = emitter.subscriber(saved), emitter.subscriber(lost)
    on_saved.emit()
    assert [s.style for s in event_label(on_saved).spans] == ["bold yellow"]
    assert event_label(on_lost).style == "dim"


def test_only_a_few_pending_calls_are_shown() -> None:
    """
    Five calls, and how many more there are; nobody asks the others how they look.
    """
    asked: list[int] = []

    class Argument:
        def __repr__(self) -> str:
            asked.append(1)
            return "arg"

    shown = picture_of_pending(*[(Argument(),)] * 1234)
    assert "Queue  1,234 pending\n" in shown
    assert shown.count("double(arg)") == len(asked) == 5
    assert "└── … and 1,229 more\n" in shown
    assert "Task  double(x: int, *, label: str = '[red]') -> int  1,234 pending" in shown


def test_a_pending_call_takes_one_line() -> None:
    """
    In a narrow terminal the rest of a call is left out.
    """
    lines = picture_of_pending(("x" * 30,), ("y",), width=30).splitlines()
    queue = lines.index("├── Queue  2 pending")
    assert lines[queue + 1] == "│   ├── double('xxxxxxxxxxxxx…"
    assert lines[queue + 2] == "│   └── double('y')"


@pytest.mark.parametrize("width", [10, 20, 40])
def test_names_survive_narrow_terminals(width: int) -> None:
    """
    Lines are broken where there is no room for them; no letter of a name is lost.
    """
    emitter = Emitter("a-reader-with-a-long-name")
    emitter.on(Event("an-event-with-a-long-name"))
    lines = as_text(emitter, width=width).splitlines()
    letters = "".join(line.strip(" ├└─│") for line in lines)
    assert max(map(len, lines)) <= width
    assert "a-reader-with-a-long-name" in letters
    assert "@an-event-with-a-long-name" in letters


@given(st.text(min_size=1, max_size=30))
def test_names_are_not_markup(name: str) -> None:
    """For every name, "[red]" and "[/]" included: an event of this name is shown as just that."""
    emitter = Emitter(name)
    emitter.on(Event(name))
    shown = as_text(emitter, width=500)
    assert f"Emitter  {one_line(name)}".rstrip() in shown
    assert f"@{one_line(name)}".rstrip() in shown


def test_arguments_are_not_markup() -> None:
    """
    Square brackets in arguments and defaults are shown as they are.
    """
    shown = picture_of_pending(("[/bold] :smile: [link=x]",))
    assert "double('[/bold] :smile: [link=x]')" in shown


def test_compact_leaves_out_what_did_not_happen() -> None:
    """
    A compact picture has the events that were emitted, and no callbacks.
    """
    scheduler = Scheduler.with_sequential()
    scheduler.task(double)
    scheduler.on_start(print)
    scheduler.run()
    shown = as_text(scheduler_tree(scheduler, compact=True))
    assert "└── @on_start 1  @on_finishing 1  @on_finished 1  @on_empty 1\n" in shown
    assert "print()" not in shown
    assert shown.endswith("└── Task  double(x: int, *, label: str = '[red]') -> int")


def test_why_a_run_ended() -> None:
    """
    The reason stands at the top, with the exception if there was one.
    """
    scheduler = Scheduler.with_sequential()
    scheduler.on_start(lambda: int("[x]"))
    scheduler.run(on_exception="end")
    first_line = as_text(scheduler).splitlines()[0]
    error = "invalid literal for int() with base 10: '[x]'"
    assert first_line == f'Scheduler  ended: exception (ValueError("{error}"))'


def test_a_run_that_is_closing() -> None:
    """
    A run that takes no more work says so.
    """
    scheduler = Scheduler.with_sequential()
    shown: list[str] = []
    scheduler.on_finished(lambda: shown.append(as_text(scheduler)))
    scheduler.run()
    assert shown[0].startswith("Scheduler  closing\n")


def test_plugins_and_tasks_that_cannot_show_themselves() -> None:
    """
    A plugin without a `repr` is shown by its type, a function without a signature all the same.
    """

    class Nosy(TaskPlugin):
        name = "nosy"

        @override
        def copy(self) -> Nosy:
            return Nosy()

    task = Scheduler.with_sequential().task(print, plugins=Nosy())
    assert "├── Plugin  Nosy\n" in as_text(task)
    unknown: Any = dict
    assert as_text(Scheduler.with_sequential().task(unknown)).startswith("Task  dict(...)\n")


def test_a_backend_that_cannot_show_itself() -> None:
    """
    A backend whose `repr` raises is shown by its type.
    """

    class Odd:
        def open(self) -> Executor:
            return Never()

        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "Executor  Odd\n" in as_text(Scheduler.from_backend(Odd()))


def test_rich_print_shows_them() -> None:
    """
    rich's `print` shows schedulers, tasks and emitters as their trees.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(double)
    assert as_text(scheduler) == as_text(scheduler_tree(scheduler))
    assert as_text(task) == as_text(task_tree(task))
    assert as_text(task.emitter) == as_text(emitter_tree(task.emitter))
    label = scheduler_tree(scheduler).label
    assert isinstance(label, Text)
    assert Console(width=80).measure(label).maximum == len("Scheduler  not run yet")
