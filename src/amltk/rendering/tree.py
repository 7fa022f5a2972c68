"""What schedulers, tasks and emitters look like.

    Scheduler  running · 12 done
    ├── Executor  Processes(max_workers=2)
    ├── Queue  7 pending
    ├── Events
    │   ├── @on_start 1
    │   │   └── begin() 1
    │   └── @on_finishing  @on_finished  @on_future_submitted 19  ...
    └── Task collatz(n: int) -> int  2 pending

Everything is put together from `Text`, never from strings with markup: a name like "[red]" is
only a name. Each function takes a look and keeps nothing, so that trees can be made in one thread
while the scheduler runs in another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.highlighter import RegexHighlighter
from rich.text import Text
from rich.tree import Tree

from amltk.backends.base import summary
from amltk.rendering.moment import Moment, moment_of
from amltk.rendering.words import brief, call_text, name_of_function, one_line, signature_text

if TYPE_CHECKING:
    from amltk.events import Emitter, Registration, Subscriber
    from amltk.scheduling.call import Call
    from amltk.scheduling.feeding import Feed
    from amltk.scheduling.scheduler import Scheduler
    from amltk.scheduling.task import Task
    from amltk.scheduling.task_plugin import TaskPlugin

__all__ = ["emitter_tree", "scheduler_tree", "task_tree"]

N_CALLS = 5
"""Pending calls that are shown one by one."""

GAP = "  "
COUNT = "bold yellow"
EVENT = "cyan"
GUIDES = "bright_black"
KIND = "bold"
QUIET = "dim"
STATES = {"running": "bold green", "closing": "bold yellow", "ended": "green"}
FAILED = "bold red"


class _CallHighlighter(RegexHighlighter):
    """Colours the name, the numbers and the strings of a call; yellow is left to the counts."""

    base_style = "repr."
    highlights: ClassVar[Sequence[str]] = (
        r"^(?P<call>[^(\s]+)\(",
        r"(?<![\w.])(?P<number>-?\d[\d_]*\.?\d*(?:e[-+]?\d+)?)(?!\w)",
        r"(?P<str>'[^']*'|\"[^\"]*\")",
    )


_highlighted = _CallHighlighter()


def scheduler_tree(scheduler: Scheduler, *, compact: bool = False) -> Tree:
    """A scheduler with its executor, queue, events, callbacks and tasks.

    Args:
        scheduler: What to look at; it may be running, in another thread.
        compact: Leave out callbacks, and the events that have not been emitted.
    """
    moment = moment_of(scheduler, N_CALLS)
    tree = Tree(scheduler_label(scheduler, moment), guide_style=GUIDES)
    tree.add(labelled("Executor", _highlighted(executor_text(scheduler))))
    queue = tree.add(labelled("Queue", queue_label(moment)))
    add_all(queue, queue_lines(moment))
    add_events(tree.add(Text("Events", KIND)), scheduler.emitter, compact=compact)
    for task in tuple(scheduler.tasks):
        tree.add(task_tree(task, compact=compact))
    return tree


def task_tree(task: Task[..., Any], *, compact: bool = False) -> Tree:
    """A task with its plugins, events and callbacks.

    Args:
        task: What to look at.
        compact: Leave out callbacks, and the events that have not been emitted.
    """
    label = labelled("Task", Text(one_line(task.name), "bold magenta"))
    label.append(signature_text(getattr(task, "__signature__", None)))
    if task.n_running:
        label.append(GAP).append(f"{task.n_running:,} pending", COUNT)
    tree = Tree(label, guide_style=GUIDES)
    for plugin in task.plugins:
        tree.add(labelled("Plugin", _highlighted(plugin_text(plugin))))
    for feed in tuple(task.feeds):
        tree.add(labelled("Feed", feed_label(feed)))
    add_events(tree, task.emitter, compact=compact)
    return tree


def emitter_tree(emitter: Emitter) -> Tree:
    """An emitter with its events and callbacks."""
    name = Text(one_line(emitter.name or ""), "bold magenta")
    tree = Tree(labelled(type(emitter).__name__, name), guide_style=GUIDES)
    add_events(tree, emitter, compact=False)
    return tree


# The scheduler itself.


def scheduler_label(scheduler: Scheduler, moment: Moment) -> Text:
    label = labelled(type(scheduler).__name__, state_label(moment))
    n_done = scheduler.on_future_done.event_count
    n_cancelled = scheduler.on_future_cancelled.event_count
    label.append(f" · {n_done:,} done" if n_done else "", QUIET)
    label.append(f" · {n_cancelled:,} cancelled" if n_cancelled else "", QUIET)
    return label


def state_label(moment: Moment) -> Text:
    if moment.state != "ended" or moment.exit is None:
        return Text(moment.state, STATES.get(moment.state, QUIET))
    failure = moment.exit.exception
    label = Text(f"ended: {moment.exit.code.value}", STATES["ended"] if not failure else FAILED)
    return label if failure is None else label.append(f" ({brief(failure)})")


def executor_text(scheduler: Scheduler) -> str:
    try:
        return one_line(summary(scheduler.backend))
    except Exception:  # noqa: BLE001 - the `repr` of what a user put into a field
        return type(scheduler.backend).__name__


def queue_label(moment: Moment) -> Text:
    if not moment.n_pending:
        return Text("empty", QUIET)
    return Text(f"{moment.n_pending:,} pending", COUNT)


def queue_lines(moment: Moment) -> Iterator[Text]:
    for call in moment.oldest:
        yield pending_call(call)
    more = moment.n_pending - len(moment.oldest)
    if more > 0:
        yield Text(f"… and {more:,} more", QUIET)


def pending_call(call: Call[Any]) -> Text:
    line = _highlighted(call_text(call.function, call.args, call.kwargs))
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def plugin_text(plugin: TaskPlugin) -> str:
    shown = brief(plugin)
    return type(plugin).__name__ if shown.startswith("<") else shown


def feed_label(feed: Feed[Any]) -> Text:
    label = Text(f"{feed.n_submitted:,} submitted", COUNT)
    return label.append(f"{GAP}max_pending={feed.max_pending:,}", QUIET)


# Events and callbacks.


def add_events(tree: Tree, emitter: Emitter, *, compact: bool) -> None:
    """Each event that somebody listens to on a line, and the others side by side below."""
    subscribers = tuple(emitter)
    others: list[Text] = []
    for subscriber in subscribers:
        if subscriber.registrations and not compact:
            add_all(
                tree.add(event_label(subscriber)), map(callback_label, subscriber.registrations)
            )
        elif subscriber.event_count or not compact:
            others.append(event_label(subscriber))
    if others:
        tree.add(Flow(others))


def event_label(subscriber: Subscriber) -> Text:
    name = subscriber.event.name
    label = Text("@" + one_line(name), EVENT if subscriber.event_count else QUIET)
    return with_count(label, subscriber.event_count)


def callback_label(registration: Registration) -> Text:
    label = with_count(Text(f"{name_of_function(registration.callback)}()"), registration.n_calls)
    for name, value in options_of(registration):
        label.append(f"{GAP}{name}={value}", QUIET)
    return label


def options_of(registration: Registration) -> Iterator[tuple[str, str]]:
    """The options of a callback that are not as they are by default."""
    pace = registration.pace
    if pace is None:
        return
    if pace.every != 1:
        yield "every", f"{pace.every:,}"
    if pace.repeat != 1:
        yield "repeat", f"{pace.repeat:,}"
    if pace.limit is not None:
        yield "limit", f"{pace.limit:,}"
    if pace.when is not None:
        yield "when", name_of_function(pace.when)


# Small parts.


class Flow:
    """Texts side by side, as many on a line as there is room for; none is broken if it fits."""

    def __init__(self, texts: Iterable[Text]) -> None:
        self._texts = tuple(texts)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = Text()
        for text in self._texts:
            if line and line.cell_len + len(GAP) + text.cell_len > options.max_width:
                yield line
                line = Text()
            line.append(GAP if line else "").append_text(text)
        yield line


def labelled(kind: str, what: Text) -> Text:
    return Text.assemble((one_line(kind), KIND), GAP, what)


def with_count(label: Text, count: int) -> Text:
    return label.append(" ").append(f"{count:,}", COUNT) if count else label


def add_all(tree: Tree, lines: Iterable[RenderableType]) -> None:
    for line in lines:
        tree.add(line)
