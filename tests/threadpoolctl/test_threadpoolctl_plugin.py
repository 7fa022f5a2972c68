"""`ThreadPoolCTLPlugin`: numerical libraries use fewer threads inside the calls of a task."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from amltk import CallLimiter, Scheduler
from amltk.backends import Sequential, Threads
from amltk.backends.base import Backend
from amltk.exceptions import NotPicklableError, PluginError, PluginNotInstalledError
from amltk.scheduling import Call, ExitCode, Retry, WarningFilterPlugin
from amltk.threadpoolctl import ThreadPoolCTLPlugin
from tests.helpers import Boom, Gate, echo, program, return_a_lock
from tests.scheduling.test_interrupts import ctrl_c, wait_for
from tests.threadpoolctl.numbers import MANY, Seen, libraries, many, openmp, see, use_many


@pytest.fixture(autouse=True)
def numbers_are_put_back() -> Generator[None]:
    """What calls do in this process is undone after the test."""
    with many():
        yield


def see_and_fail() -> None:
    raise Boom(see().all())


def results_of(scheduler: Scheduler, *calls: Callable[..., Any]) -> list[Any]:
    """What comes of calls of tasks, one after the other."""
    results: list[Any] = []
    turns = iter(calls)

    def next_turn(*_: object) -> None:
        for turn in turns:
            turn()
            return

    scheduler.on_start(next_turn)
    scheduler.on_future_done(next_turn)
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    scheduler.on_future_exception.add(lambda _, error: results.append(error))
    scheduler.run(on_exception="ignore")
    assert len(results) == len(calls)
    return results


# On every backend.


def test_fewer_threads_inside_of_the_call_only(scheduler: Scheduler) -> None:
    """
    One thread in calls that are limited, whether they return or raise; as many as before in others.
    """
    using_many = scheduler.task(use_many)
    limited = scheduler.task(see, plugins=ThreadPoolCTLPlugin(1))
    failing = scheduler.task(see_and_fail, plugins=ThreadPoolCTLPlugin(1))
    looking = scheduler.task(see)
    tasks: list[Callable[..., Any]] = [using_many, limited, looking, failing, looking]
    seen = results_of(scheduler, *tasks * 6)
    use_many_there: set[object] = set()
    n_looked_at = 0
    for turn in range(0, 30, 5):
        first, inside, between, error, after = seen[turn : turn + 5]
        assert first.blas
        use_many_there.add(first.where)
        assert inside.all() == {1}
        assert str(error) == "{1}"
        for outside in (between, after):
            if outside.where in use_many_there:
                n_looked_at += 1
                assert outside.all() == {MANY}
    assert n_looked_at


def test_what_a_call_imports_is_limited(bare: Backend, tmp_path: Path) -> None:
    """
    Libraries that come with an import in the middle of a call, in a program that had none before.
    """
    (tmp_path / "brings_openmp.py").write_text(f"import ctypes; ctypes.CDLL({openmp()!r})")
    code = f"""
import os, sys

sys.path.append({str(tmp_path)!r})
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "{MANY}"
from amltk import Scheduler
from amltk.backends import *
from amltk.threadpoolctl import ThreadPoolCTLPlugin

def see(lazily):
    if lazily:
        assert "numpy" not in sys.modules
        import numpy, brings_openmp
    from threadpoolctl import threadpool_info
    return sorted({{(each["user_api"], each["num_threads"]) for each in threadpool_info()}})

scheduler = Scheduler({one_worker(bare)!r})
limited = scheduler.task(see, plugins=map(ThreadPoolCTLPlugin, map(int, sys.argv[1:])))
free = scheduler.task(see)
limited.on_result.add(lambda _, seen: (print(seen), free(False)))
free.on_result.add(lambda _, seen: print(seen))
scheduler.on_start(lambda: limited(True))

if __name__ == "__main__":
    scheduler.run()
"""
    outputs: list[str] = []
    for limits in ((), ("1",)):
        with program(tmp_path / "program.py", code, *limits) as process:
            out, err = process.communicate(timeout=50)
        assert err == ""
        outputs.append(out)
    (first, second), (inside, after) = map(str.splitlines, outputs)
    assert first == second == after
    assert f"('openmp', {MANY})" in first
    assert inside == "[('blas', 1), ('openmp', 1)]"


def one_worker(backend: Any) -> Backend:
    changed: Backend = replace(backend, **({} if backend == Sequential() else {"max_workers": 1}))
    return changed


def test_a_second_attempt_is_limited_too(scheduler: Scheduler) -> None:
    """
    Wherever `Retry` stands among the plugins.
    """
    for retry_first in (True, False):
        plugins = [CallLimiter(max_calls=1), Retry(attempts=2), ThreadPoolCTLPlugin(1)]
        task = scheduler.task(see_and_fail, plugins=plugins if retry_first else plugins[::-1])
        raised: list[str] = []
        task.on("retry").add(partial(note, raised))
        task.on_exception.add(partial(note, raised))
        scheduler.on_start(task, limit=1)
        scheduler.run(on_exception="ignore")
        assert raised == ["{1}", "{1}"]


def note(raised: list[str], *args: object) -> None:
    raised.extend(str(arg) for arg in args if isinstance(arg, Boom))


def test_errors_name_the_function_of_the_user(processes: Backend) -> None:
    """
    What cannot be pickled is said of it, and not of what is around it.
    """
    scheduler = Scheduler(processes)
    plugins = [ThreadPoolCTLPlugin(1), WarningFilterPlugin("ignore")]
    scheduler.on_start(scheduler.task(return_a_lock, plugins=plugins))
    with pytest.raises(NotPicklableError, match=r"what return_a_lock\(\) returned"):
        scheduler.run()


# In this process.


def seen_under(*plugins: ThreadPoolCTLPlugin) -> Seen:
    (seen,) = results_of(
        scheduler := Scheduler.with_sequential(),
        scheduler.task(see, plugins=plugins),
    )
    assert isinstance(seen, Seen)
    return seen


def test_the_lowest_limit_holds() -> None:
    """
    Of several plugins, in whichever order; and none has more threads used than before.
    """
    for limits in ([2, 3], [3, 2], [MANY + 3, 2], [2, 2]):
        assert seen_under(*map(ThreadPoolCTLPlugin, limits)).all() == {2}
        assert see().all() == {MANY}
    assert seen_under(ThreadPoolCTLPlugin(MANY + 3)).all() == {MANY}


def test_it_can_be_for_one_kind_of_libraries() -> None:
    """
    A limit on BLAS says nothing about OpenMP, and the other way round.
    """
    blas = ThreadPoolCTLPlugin(1, user_api="blas")
    openmp = ThreadPoolCTLPlugin(2, user_api="openmp")
    for plugins, numbers in (
        ([blas.copy()], (1, MANY)),
        ([openmp.copy()], (MANY, 2)),
        ([blas, openmp], (1, 2)),
    ):
        seen = seen_under(*plugins)
        assert set(seen.blas.values()) == {numbers[0]}
        assert set(seen.openmp.values()) == {numbers[1]}


def test_scikit_learn_does_as_it_is_told() -> None:
    """
    What its estimators ask for before they start threads is the limit.
    """
    scheduler = Scheduler.with_processes(1, mp_context="fork")
    task = scheduler.task(threads_of_scikit_learn, plugins=ThreadPoolCTLPlugin(1))
    assert results_of(scheduler, task, task) == [1, 1]


def threads_of_scikit_learn() -> object:
    helpers: Any = import_module("sklearn.utils._openmp_helpers")
    return helpers._openmp_effective_n_threads()


def test_a_call_may_change_the_numbers_itself() -> None:
    """
    It has its way for as long as it runs, and what it leaves behind is put right.
    """
    scheduler = Scheduler.with_sequential()
    (seen,) = results_of(scheduler, scheduler.task(use_many, plugins=ThreadPoolCTLPlugin(1)))
    assert seen.all() == {MANY}
    seen = results_of(scheduler, scheduler.task(use_one, plugins=ThreadPoolCTLPlugin(2)))
    assert see().all() == {MANY}


def use_one() -> None:
    for library in libraries():
        library.set_num_threads(1)


def test_calls_in_threads_come_and_go_as_they_like(tmp_path: Path) -> None:
    """
    Of two calls that overlap, the first to come is the first to leave: the other is limited still.
    """
    scheduler = Scheduler(Threads(2))
    first = scheduler.task(see_at, plugins=ThreadPoolCTLPlugin(1))
    second = scheduler.task(see_at, plugins=ThreadPoolCTLPlugin(2))
    seen: dict[str, Seen] = {}
    with Gate(tmp_path / "first") as one, Gate(tmp_path / "second") as two:

        @scheduler.on_start
        def begin() -> None:
            first(one.path)
            one.hold()
            second(two.path)
            two.hold()
            one.let_go()

        @first.on_result
        def go_on(_: object, result: Seen) -> None:
            seen["first"] = result
            two.let_go()

        second.on_result.add(lambda _, result: seen.update(second=result))
        assert scheduler.run().code is ExitCode.EXHAUSTED
    assert set(seen["first"].blas.values()) == {1}
    assert set(seen["second"].blas.values()) == {2}
    assert set(see().blas.values()) == {MANY}


def see_at(gate: str) -> Seen:
    with open(gate) as pipe:  # noqa: PTH123
        pipe.read()
    return see()


def test_ctrl_c_goes_to_the_function(tmp_path: Path) -> None:
    """
    Where a call runs in the main thread Ctrl-C is raised inside of it at once; also while it imports.
    """
    (tmp_path / "slow.py").write_text(
        """
import time
print("ready", flush=True)
while True:
    time.sleep(0.1)
"""
    )
    code = """
import sys
from pathlib import Path
from amltk import Scheduler
from amltk.threadpoolctl import ThreadPoolCTLPlugin

sys.path.append(str(Path(__file__).parent))
scheduler = Scheduler.with_sequential()

def imports():
    try:
        import slow
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        raise

scheduler.on_start(scheduler.task(imports, plugins=ThreadPoolCTLPlugin(1)))
try:
    scheduler.run()
except KeyboardInterrupt:
    print("over", flush=True)
"""
    with program(tmp_path / "program.py", code) as process:
        wait_for(process, "ready")
        ctrl_c(process)
        out, err = process.communicate(timeout=30)
    assert (out.split("\n"), err) == (["interrupted", "over", ""], "")


# Made, copied and attached.


def test_it_belongs_to_one_task() -> None:
    """
    A frozen dataclass, attached once; its copy is an equal limit that is attached to none.
    """
    scheduler = Scheduler.with_sequential()
    plugin = ThreadPoolCTLPlugin(3, "openmp")
    task = scheduler.task(echo, plugins=plugin)
    with pytest.raises(PluginError):
        scheduler.task(echo, plugins=plugin)
    copy = task.copy().plugins[0]
    assert copy == plugin
    assert copy is not plugin
    assert repr(plugin) == "ThreadPoolCTLPlugin(max_threads=3, user_api='openmp')"


def test_a_limit_goes_to_a_worker_in_few_bytes() -> None:
    """
    What is sent is the function, a number and a name.
    """
    sent = ThreadPoolCTLPlugin(1).pre_submit(Call.of(echo, 1)).function
    assert pickle.loads(pickle.dumps(sent)) == sent
    assert len(pickle.dumps(sent)) < 400


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (ValueError, {"max_threads": 0}),
        (ValueError, {"max_threads": -1}),
        (TypeError, {"max_threads": None}),
        (TypeError, {"max_threads": 1.0}),
        (TypeError, {"max_threads": True}),
        (TypeError, {"max_threads": {"blas": 1}}),
        (ValueError, {"user_api": "mkl"}),
        (ValueError, {"user_api": ["blas"]}),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(error: type[Exception], options: dict[str, Any]) -> None:
    """
    When the plugin is made, and with the name of the parameter.
    """
    with pytest.raises(error, match=next(iter(options))):
        made_with: dict[str, Any] = {"max_threads": 1, **options}
        ThreadPoolCTLPlugin(**made_with)


def test_without_threadpoolctl_it_says_what_to_install(tmp_path: Path) -> None:
    """
    When the plugin is made; until then nothing of it is needed.
    """
    code = """
import sys
sys.modules["threadpoolctl"] = None
from amltk.exceptions import PluginNotInstalledError
from amltk.threadpoolctl import ThreadPoolCTLPlugin
try:
    ThreadPoolCTLPlugin(1)
except PluginNotInstalledError as error:
    print(error.name, error)
"""
    with program(tmp_path / "program.py", code) as process:
        out, err = process.communicate(timeout=50)
    assert err == ""
    assert out.startswith("threadpoolctl ThreadPoolCTLPlugin needs the package 'threadpoolctl'")
    assert 'pip install "amltk[threadpoolctl]"' in out


def test_a_worker_without_threadpoolctl_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nothing is computed without the limit: the call ends with that error.
    """
    scheduler = Scheduler.with_sequential()
    task = scheduler.task(echo, plugins=ThreadPoolCTLPlugin(1))
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    scheduler.on_start(lambda: task(1))
    with pytest.raises(PluginNotInstalledError, match="pip install"):
        scheduler.run()
