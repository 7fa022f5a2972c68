"""`WarningFilterPlugin`: filters that hold inside the calls of a task, and nowhere else."""

from __future__ import annotations

import os
import pickle
import re
import sys
import threading
import warnings
from asyncio import Future
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amltk import CallLimiter, Scheduler, TaskPlugin
from amltk.backends import Processes, Threads
from amltk.backends.base import Backend
from amltk.exceptions import NotPicklableError, PluginError
from amltk.filtered_warnings import WarningFilter
from amltk.scheduling import Call, Retry, WarningFilterPlugin
from amltk.scheduling.around import around
from tests.helpers import Gate, all_accounted_for, echo, fail, in_thread, program
from tests.scheduling.test_interrupts import ctrl_c, wait_for

MAKE_ALL_SHOWN = WarningFilterPlugin("always")
"""Workers may have inherited that warnings are errors here."""


def warned(*texts: str, category: type[Warning] = UserWarning) -> list[str]:
    """Warn, and return which of it was shown."""
    with warnings.catch_warnings(record=True) as shown:
        for text in texts:
            warnings.warn(text, category, stacklevel=1)
    return [str(warning.message) for warning in shown]


def deprecated(x: int) -> int:
    warnings.warn("use something else", DeprecationWarning, stacklevel=1)
    return x


class Snapshot(NamedTuple):
    """What a worker has for filters."""

    where: tuple[int, int]
    filters: tuple[str, ...]


def filters_here() -> Snapshot:
    where = os.getpid(), threading.get_ident()
    return Snapshot(where, tuple(map(str, warnings.filters)))


def warn_or_fail(x: int) -> Snapshot:
    if x % 3 == 0:
        fail()
    if x % 3 == 1:
        warnings.warn("an error", UserWarning, stacklevel=1)
    return filters_here()


def result_of(
    scheduler: Scheduler, function: Callable[..., Any], *args: object, **with_: Any
) -> Any:
    """What one call of a task came to; `plugins=` are those of the task."""
    task = scheduler.task(function, plugins=with_.pop("plugins", ()))
    results: list[Any] = []
    task.on_result.add(lambda _, result: results.append(result))
    scheduler.on_start(lambda: task(*args, **with_), limit=1)
    scheduler.run()
    (result,) = results
    return result


# On every backend.


def test_a_warning_that_is_an_error_ends_the_call(scheduler: Scheduler) -> None:
    """
    What was warned of is the exception of the call.
    """
    task = scheduler.task(deprecated, plugins=WarningFilterPlugin("error"))
    heard: list[BaseException] = []
    task.on_exception.add(lambda _, error: heard.append(error))
    scheduler.on_start(lambda: task(1))
    scheduler.run(on_exception="ignore")
    (error,) = heard
    assert type(error) is DeprecationWarning
    assert str(error) == "use something else"


def test_warnings_are_shown_or_not(scheduler: Scheduler) -> None:
    """
    Only those that fit are filtered; of filters that fit, the one that was attached last decides.
    """
    plugins = [
        MAKE_ALL_SHOWN.copy(),
        WarningFilterPlugin("ignore", message="quiet"),
        WarningFilterPlugin("always", message="quiet, but not this"),
    ]
    texts = ["loud", "quiet", "Quietly", "not quiet", "quiet, but not this"]
    shown = result_of(scheduler, warned, *texts, plugins=plugins)
    assert shown == ["loud", "not quiet", "quiet, but not this"]


def test_it_is_over_when_the_call_is(backend: Backend) -> None:
    """
    Between filtered calls, that return or raise, each worker has the filters it began with.
    """
    scheduler = Scheduler(backend)
    looking = scheduler.task(filters_here)
    filters = [WarningFilterPlugin("error"), WarningFilterPlugin("once", message="x", append=True)]
    warning = scheduler.task(warn_or_fail, plugins=filters)
    before: dict[tuple[int, int], set[tuple[str, ...]]] = {}
    inside: list[Snapshot] = []
    turns = iter(range(90))

    def next_turn(*_: object) -> None:
        turn = next(turns, None)
        if turn is not None:
            task: Any = looking if turn % 3 else partial(warning, turn // 3)
            task()

    looking.on_result.add(lambda _, seen: before.setdefault(seen.where, set()).add(seen.filters))
    warning.on_result.add(lambda _, seen: inside.append(seen))
    scheduler.on_future_done(next_turn)
    scheduler.on_start(next_turn)  # one at a time: threads have the same filters
    scheduler.run(on_exception="ignore")
    assert all_accounted_for(scheduler)
    assert all(len(seen) == 1 for seen in before.values())
    assert any(seen.where in before for seen in inside)
    for seen in inside:
        first, *others, last = seen.filters
        assert first.startswith("('error', ")
        assert last.startswith("('once', ")
        assert {tuple(others)} == before.get(seen.where, {tuple(others)})
    assert warning.event_counts["on_exception"] == 20


def test_a_second_attempt_is_filtered_too(scheduler: Scheduler, tmp_path: Path) -> None:
    """
    Wherever `Retry` stands among the plugins, and whichever call it makes out of the last one.
    """
    for n, retry_first in enumerate([True, False]):
        retry = Retry(on=DeprecationWarning, change=add_one)
        plugins: list[TaskPlugin] = [CallLimiter(max_calls=1), WarningFilterPlugin("error"), retry]
        task = scheduler.task(deprecated, plugins=plugins[::-1] if retry_first else plugins)
        scheduler.on_start(partial(task, n), limit=1)
        scheduler.run(on_exception="ignore")
        assert task.event_counts["retry"] == 2
        assert task.event_counts["on_exception"] == 1


def add_one(call: Call[Any], _: int) -> Call[Any]:
    (x,) = call.args
    assert isinstance(x, int)
    return call._replace(args=(x + 1,))


def test_the_future_knows_the_call_that_was_asked_for(scheduler: Scheduler) -> None:
    """
    The filter is nothing that the program sees of the call.
    """
    task = scheduler.task(echo, plugins=WarningFilterPlugin("ignore"))
    calls: list[Call[Any]] = []

    @task.on_submitted
    def look(*_: object, **__: object) -> None:
        calls.extend(scheduler.queue.values())

    scheduler.on_start(lambda: task(3))
    scheduler.run()
    assert calls == [Call.of(echo, 3)]
    assert calls[0].function is echo


def test_errors_name_the_function_of_the_user(processes: Backend) -> None:
    """
    What cannot be pickled is said of it, and not of what is around it.
    """
    scheduler = Scheduler(processes)

    def inner() -> object:
        return threading.Lock()

    task = scheduler.task(inner, plugins=WarningFilterPlugin("ignore"))
    scheduler.on_start(task)
    with pytest.raises(NotPicklableError, match=r"<locals>\.inner\(\)"):
        scheduler.run()


def test_threads_of_the_call_are_filtered_where_it_has_a_process(processes: Backend) -> None:
    """
    A call in a worker process has the process to itself, with all threads that it starts.
    """
    plugins = [MAKE_ALL_SHOWN.copy(), WarningFilterPlugin("ignore", message="quiet")]
    assert result_of(Scheduler(processes), warned_in_a_thread, plugins=plugins) == ["loud"]


def warned_in_a_thread() -> list[str]:
    shown: list[str] = []
    assert in_thread(lambda: shown.extend(warned("quiet", "loud"))) is None
    return shown


def test_filters_can_be_handed_on_to_other_processes(scheduler: Scheduler) -> None:
    """
    Libraries that send `warnings.filters` along to processes of theirs send ours as well: as plain
    tuples that filter there.
    """
    plugins = [MAKE_ALL_SHOWN.copy(), WarningFilterPlugin("ignore", message="quiet")]
    assert result_of(scheduler, warned_with_what_was_sent, plugins=plugins) == ["loud"]


def warned_with_what_was_sent() -> list[str]:
    sent = pickle.loads(pickle.dumps(list(warnings.filters)))
    assert all(type(filter_) is tuple for filter_ in sent)
    shown: list[str] = []

    def elsewhere() -> None:
        with warnings.catch_warnings():
            module: Any = warnings
            module.filters = sent
            shown.extend(warned("quiet", "loud"))

    assert in_thread(elsewhere) is None
    return shown


@pytest.mark.parametrize("where", ['processes(1, mp_context="fork")', "threads(1)"])
def test_scikit_learn_hands_filters_on(where: str, tmp_path: Path) -> None:
    """
    It reads each filter and makes it anew in the threads that compute for it: those of a call that
    has its process to itself are filtered, and to those of another one it is nothing.
    """
    code = f"""
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sklearn.utils.parallel import Parallel, delayed
from amltk import Scheduler
from amltk.scheduling import WarningFilterPlugin

def warn(text):
    try:
        warnings.warn(text)
    except UserWarning:
        return "raised"
    return "ignored"

def compute():
    work = (delayed(warn)(text) for text in ("quiet", "loud", "quiet"))
    return Parallel(n_jobs=2, prefer="threads")(work)

scheduler = Scheduler.with_{where}
task = scheduler.task(compute, plugins=WarningFilterPlugin("ignore", message="quiet"))
task.on_result.add(lambda _, result: print(*result))
scheduler.on_start(task)
scheduler.run()
"""
    with program(tmp_path / "program.py", code) as process:
        out, err = process.communicate(timeout=50)
    filtered = "ignored raised ignored" if "processes" in where else "raised raised raised"
    assert (out, err) == (f"{filtered}\n", "")


# Calls beside each other.


def test_calls_in_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    """
    One has warnings as errors, one ignores them and one has no filter, all at the same time.
    """
    scheduler = Scheduler(Threads(3))
    before = warnings.filters, list(warnings.filters)
    strict = scheduler.task(warn_at, plugins=WarningFilterPlugin("error"))
    relaxed = scheduler.task(warn_at, plugins=WarningFilterPlugin("ignore"))
    none = scheduler.task(warn_at)
    with warnings.catch_warnings(), ExitStack() as gates:
        warnings.simplefilter("always")
        base = warnings.filters, list(warnings.filters)
        tasks = [strict, relaxed, none, strict]
        held = [gates.enter_context(Gate(tmp_path / str(n))) for n in range(4)]
        outcomes: dict[Any, str] = {}

        @scheduler.on_start
        def begin() -> None:
            futures = [task(held[n].path) for n, task in enumerate(tasks[:3])]
            outcomes.update(dict.fromkeys(futures, ""))
            for gate in held[:3]:
                gate.hold()  # all three are inside
            for gate in held[:3]:
                gate.let_go()

        @scheduler.on_future_done
        def note(future: Future[Any]) -> None:
            error = future.exception()
            outcomes[future] = type(error).__name__ if error else future.result()

        shown = recorded(lambda: scheduler.run(on_exception="ignore"))
        assert list(outcomes.values()) == ["UserWarning", "went on", "went on"]
        assert shown == ["at the gate"]
        assert (warnings.filters, list(warnings.filters)) == base
        assert warnings.filters is base[0]
    assert warnings.filters is before[0]
    assert list(warnings.filters) == before[1]


def warn_at(gate: str) -> str:
    with open(gate) as pipe:  # noqa: PTH123
        pipe.read()
    warnings.warn("at the gate", UserWarning, stacklevel=1)
    return "went on"


def recorded(work: Callable[[], object]) -> list[str]:
    """What is shown of warnings meanwhile, in any thread."""
    shown: list[str] = []

    def show(message: Warning | str, *_: object, **__: object) -> None:
        shown.append(str(message))

    before = warnings.showwarning
    warnings.showwarning = show
    try:
        work()
    finally:
        warnings.showwarning = before
    return shown


@contextmanager
def threads(n: int) -> Generator[list[ThreadPoolExecutor]]:
    """So many threads that each do one thing after the other, as they are told."""
    with ExitStack() as stack:
        yield [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(n)]


N_THREADS = 4
actions = st.sampled_from(["error", "ignore", "always"])
appends = st.booleans()
moves = st.lists(
    st.tuples(st.integers(0, N_THREADS - 1), st.sampled_from(["enter", "leave", "warn"])),
    max_size=30,
)


class Worker:
    """Enters and leaves filters in a thread of its own."""

    def __init__(self, thread: ThreadPoolExecutor, action: Any) -> None:
        self.thread = thread
        self.action = action
        self.inside: list[Any] = []

    def move(self, move: str) -> None:
        self.thread.submit(getattr(self, move)).result(10)

    def enter(self) -> None:
        context = WarningFilter(self.action, "mine", UserWarning, "", 0, append=False)()
        context.__enter__()
        self.inside.append(context)

    def leave(self) -> None:
        if self.inside:
            self.inside.pop().__exit__(None, None, None)

    def warn(self) -> None:
        expected = self.action if self.inside else "always"
        assert outcome_of_warning("mine") == expected
        assert outcome_of_warning("another") == "always"


def outcome_of_warning(text: str) -> str:
    try:
        shown = recorded(lambda: warnings.warn(text, UserWarning, stacklevel=1))
    except UserWarning:
        return "error"
    return "always" if shown else "ignore"


@given(st.lists(actions, min_size=N_THREADS, max_size=N_THREADS), moves)
def test_every_call_has_its_filter_and_the_last_leaves_nothing(
    actions: list[str], moves: list[tuple[int, str]]
) -> None:
    """
    For every interleaving of calls in threads that enter, warn and leave: inside of a call its own
    filter decides, outside none of them does, and after the last the list is what it was.
    """
    with warnings.catch_warnings(), threads(N_THREADS) as pools:
        warnings.simplefilter("always")
        found, before = warnings.filters, list(warnings.filters)
        workers = [Worker(*pair) for pair in zip(pools, actions, strict=True)]
        for who, move in moves:
            workers[who].move(move)
            assert outcome_of_warning("mine") == "always"  # it is nobody's business here
        for worker in workers:
            while worker.inside:
                worker.move("leave")
        assert warnings.filters is found
        assert list(found) == before


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["enter", "leave", "catch", "end"]))))
def test_nothing_stays_that_filters(moves: list[tuple[int, str]]) -> None:
    """
    For every interleaving of such calls with `catch_warnings` in other threads, which puts lists in
    place of each other in any order: no filter of a call decides about anything after its end.
    """
    with warnings.catch_warnings(), threads(3) as pools:
        warnings.simplefilter("always")
        workers = [Catcher(pool, "error") for pool in pools]
        for who, move in moves:
            workers[who].move(move)
        for worker in workers:
            while worker.inside:
                worker.move("leave")
            while worker.caught:
                worker.move("end")
        for worker in workers:
            assert worker.thread.submit(outcome_of_warning, "mine").result(10) == "always"
        assert outcome_of_warning("mine") == "always"


class Catcher(Worker):
    """One that also does what functions do which filter warnings themselves."""

    def __init__(self, thread: ThreadPoolExecutor, action: Any) -> None:
        super().__init__(thread, action)
        self.caught: list[Any] = []

    def catch(self) -> None:
        self.caught.append(warnings.catch_warnings())
        self.caught[-1].__enter__()

    def end(self) -> None:
        if self.caught:
            self.caught.pop().__exit__(None, None, None)


# By itself.


@pytest.mark.parametrize("action", ["default", "error", "ignore", "always", "module", "once"])
@pytest.mark.parametrize("append", [False, True])
def test_it_is_what_filterwarnings_would_be(action: Any, append: bool) -> None:
    """
    What it adds is what Python adds, at the same place.
    """
    plugin = WarningFilterPlugin(action, "some.*", FutureWarning, r"a\.b", 3, append)
    with warnings.catch_warnings():
        warnings.filterwarnings(action, "some.*", FutureWarning, r"a\.b", 3, append)
        expected = list(warnings.filters)
    seen = result_of(Scheduler.with_sequential(), filters_now, plugins=plugin)
    assert seen == [in_plain(entry) for entry in expected]


def filters_now() -> list[Any]:
    return [in_plain(entry) for entry in warnings.filters]


def in_plain(entry: Any) -> tuple[Any, ...]:
    action, message, category, module, lineno = entry
    return action, getattr(message, "pattern", message), category, module, lineno


@pytest.mark.parametrize("action", ["error", "always", "default"])
def test_what_was_shown_before_is_looked_at_again(action: Any) -> None:
    """
    Python shows a warning once for each line and then does not look at the filters any more; inside
    of a call it does.
    """
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        repeat_itself()
        repeat_itself()
        assert len(shown) == 1
        filtered = around(
            repeat_itself, WarningFilter(action, "", UserWarning, "", 0, append=False)
        )
        if action == "error":
            with pytest.raises(UserWarning):
                filtered()
        else:
            filtered()
            assert len(shown) == 2


def repeat_itself() -> None:
    warnings.warn("the same", UserWarning, stacklevel=1)


def test_what_was_shown_in_a_call_is_shown_after_it() -> None:
    """
    What Python notes of a call is not held against others: each of the two is shown once.
    """
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        around(repeat_itself, WarningFilter("default", "", UserWarning, "", 0, append=False))()
        repeat_itself()
        assert len(shown) == 2


def test_ignoring_lets_what_was_shown_rest() -> None:
    """
    A filter that ignores leaves no trace: what was shown once is not shown again for it.
    """
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        for _ in range(2):
            repeat_itself()
            around(repeat_itself, WarningFilter("ignore", "", UserWarning, "", 0, append=False))()
        assert len(shown) == 1


def test_a_function_may_filter_warnings_itself() -> None:
    """
    What it sets inside comes before the filter of the plugin, and is its own to undo.
    """
    plugins = WarningFilterPlugin("error")
    before = list(warnings.filters)
    seen = result_of(Scheduler.with_sequential(), filters_itself, plugins=plugins)
    assert seen == "went on"
    assert list(warnings.filters) == before


def filters_itself() -> str:
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
        warnings.warn("nobody hears this", stacklevel=1)
    with pytest.raises(UserWarning):
        warnings.warn("but this", stacklevel=1)
    return "went on"


def test_filters_that_a_function_leaves_are_left() -> None:
    """
    Only what the plugin has added is taken away, even if the function has added the same.
    """
    with warnings.catch_warnings():
        before = list(warnings.filters)
        sequential = Scheduler.with_sequential()
        result_of(
            sequential,
            leaves_a_filter,
            plugins=WarningFilterPlugin("error", category=ImportWarning),
        )
        assert list(warnings.filters) == [("error", None, ImportWarning, None, 0), *before]


def leaves_a_filter() -> None:
    warnings.simplefilter("error", ImportWarning)


def test_ctrl_c_goes_to_the_function_and_the_filter_goes_with_it(tmp_path: Path) -> None:
    """
    Where a call runs in the main thread, Ctrl-C is raised inside of it at once.
    """
    code = """
import sys, time, warnings
from amltk import Scheduler
from amltk.scheduling import WarningFilterPlugin

before = list(warnings.filters)
scheduler = Scheduler.with_sequential()

def sleep():
    try:
        print("ready", flush=True)
        while True:
            time.sleep(0.1)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise

scheduler.on_start(scheduler.task(sleep, plugins=WarningFilterPlugin("error")))
try:
    scheduler.run()
except KeyboardInterrupt:
    print("the same" if warnings.filters == before else warnings.filters, flush=True)
"""
    with program(tmp_path / "program.py", code) as process:
        wait_for(process, "ready")
        ctrl_c(process)
        out, err = process.communicate(timeout=30)
    assert (out.split("\n"), err) == (["interrupted", "the same", ""], "")


# Made, copied and attached.


def test_it_belongs_to_one_task() -> None:
    """
    A frozen dataclass, attached once; its copy is an equal filter that is attached to none.
    """
    scheduler = Scheduler.with_sequential()
    plugin = WarningFilterPlugin("error", "text", FutureWarning, "module", 3, append=True)
    task = scheduler.task(echo, plugins=plugin)
    with pytest.raises(PluginError):
        scheduler.task(echo, plugins=plugin)
    copy = task.copy().plugins[0]
    assert copy == plugin
    assert copy is not plugin
    assert repr(plugin).startswith("WarningFilterPlugin(action='error', message='text', ")


def test_a_filter_goes_to_a_worker_in_few_bytes() -> None:
    """
    What is sent is the function, and six short values.
    """
    plugin = WarningFilterPlugin("error", category=FutureWarning)
    sent = plugin.pre_submit(Call.of(echo, 1)).function
    assert pickle.loads(pickle.dumps(sent)) == sent
    assert len(pickle.dumps(sent)) < 400


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ValueError, {"action": "explode"}),
        (ValueError, {"action": None}),
        (TypeError, {"message": None}),
        (TypeError, {"message": re.compile("text")}),
        (ValueError, {"message": "("}),
        (TypeError, {"category": "UserWarning"}),
        (TypeError, {"category": ValueError}),
        (TypeError, {"category": (UserWarning, FutureWarning)}),
        (TypeError, {"module": b"x"}),
        (ValueError, {"module": "*"}),
        (TypeError, {"lineno": 1.5}),
        (TypeError, {"lineno": True}),
        (ValueError, {"lineno": -1}),
        (ValueError, {"lineno": sys.maxsize + 1}),
        (TypeError, {"append": 1}),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(error: type[Exception], options: dict[str, Any]) -> None:
    """
    When the plugin is made, and with the name of the parameter.
    """
    with pytest.raises(error, match=next(iter(options))):
        make(WarningFilterPlugin, {"action": "ignore", **options})


def test_it_is_there_in_programs_that_are_started_anew(tmp_path: Path) -> None:
    """
    Workers that begin with nothing import what they need.
    """
    scheduler = Scheduler(Processes(1, mp_context="spawn"))
    task = scheduler.task(deprecated, plugins=WarningFilterPlugin("error"))
    scheduler.on_start(lambda: task(1))
    with pytest.raises(DeprecationWarning):
        scheduler.run()


def make(plugin: Callable[..., object], options: dict[str, Any]) -> None:
    plugin(**options)
