"""Each thing that a backend says it can do, or cannot, tried on it."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import time
from asyncio import Future
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from subprocess import PIPE
from types import ModuleType
from typing import Any

import psutil
import pytest
from loky import ProcessPoolExecutor as LokysPool
from loky import get_reusable_executor

from amltk import Scheduler
from amltk.backends import (
    LSF,
    OAR,
    PBS,
    SGE,
    Abilities,
    Airflow,
    Backend,
    Dask,
    Given,
    HTCondor,
    Loky,
    Moab,
    Processes,
    Ray,
    Sequential,
    Slurm,
    Threads,
    abilities_of,
)
from amltk.backends.jobqueue import JobQueue
from amltk.backends.loading import RECIPES
from amltk.exceptions import PluginError
from amltk.scheduling import Comm, SequentialExecutor
from tests.dask_cluster import OnSharedDask, client_of
from tests.helpers import Boom, Gate, die, echo, wait_at


def touch(path: str) -> None:
    Path(path).touch()


def sees_within(path: str, seconds: float) -> bool:
    """Whether there is such a file, or will be soon."""
    deadline = time.monotonic() + seconds
    while not os.path.exists(path) and time.monotonic() < deadline:  # noqa: PTH110
        time.sleep(0.01)
    return os.path.exists(path)  # noqa: PTH110


def wait_for(condition: Callable[[], bool]) -> None:
    """Look until it is so; the limit is the one of the test."""
    while not condition():
        time.sleep(0.01)


def start_a_child_and_wait_at(path: str, gate: str) -> None:
    with subprocess.Popen(["cat", gate], stdout=subprocess.DEVNULL) as child:
        Path(path).write_text(f"{os.getpid()} {child.pid}")


@pytest.fixture
def executor(backend: Backend) -> Any:
    with backend.open() as opened:
        yield opened


def test_the_program_goes_on_while_a_call_is_computed(
    backend: Backend, executor: Executor, tmp_path: Path
) -> None:
    """
    `in_background`: what the program does after `submit`, the call can see.
    """
    path = str(tmp_path / "after")
    future = executor.submit(
        sees_within, path, 60.0 if abilities_of(backend).in_background else 0.1
    )
    touch(path)
    assert future.result() is abilities_of(backend).in_background


def test_a_call_that_waits_for_a_worker_can_be_cancelled(
    backend: Backend,
    executor: Executor,
    tmp_path: Path,
) -> None:
    """
    `cancels_queued`: it is not computed, be it the next or the last. Where other machines hand calls
    out, the next one may be with a worker before they hear that nobody wants it.
    """
    if not abilities_of(backend).in_background:
        assert not abilities_of(backend).cancels_queued  # nothing ever waits
        return
    with gates(tmp_path, N_WORKERS) as held_at:
        held = [executor.submit(wait_at, gate.path) for gate in held_at]
        for gate in held_at:
            gate.hold()
        queued = [executor.submit(touch, str(tmp_path / str(n))) for n in range(20)]
        chosen = [19] if isinstance(backend, HANDED_OUT_ELSEWHERE) else [0, 19]
        for n in chosen:
            assert queued[n].cancel() is abilities_of(backend).cancels_queued
    wait(held)
    wait(queued)
    computed = {n for n in range(20) if (tmp_path / str(n)).exists()}
    cancelled = set(chosen) if abilities_of(backend).cancels_queued else set[int]()
    assert computed == {*range(20)} - cancelled


HANDED_OUT_ELSEWHERE = (OnSharedDask, Airflow, JobQueue)


@contextmanager
def gates(directory: Path, count: int) -> Generator[list[Gate]]:
    """One for each worker, so that it is known that all of them are held."""
    with ExitStack() as stack:
        yield [stack.enter_context(Gate(directory / f"gate-{n}")) for n in range(count)]


def test_a_call_that_is_computed_is_stopped_with_what_it_started(
    parallel: Backend, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """
    `stops_running`: at the end of a run that does not wait, the process that it is in and the
    process that it has started are gone. Otherwise they go on, and the log says so.
    """
    scheduler = Scheduler(parallel)
    pids = tmp_path / "pids"
    with Gate(tmp_path / "gate") as gate:

        @scheduler.on_start
        def begin() -> None:
            scheduler.submit(start_a_child_and_wait_at, str(pids), gate.path)
            gate.hold()
            wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 2)
            scheduler.stop()

        scheduler.run(wait=False)
        _, child = map(int, pids.read_text().split())
        if abilities_of(parallel).stops_running:
            wait_for(lambda: not is_alive(child))  # managers of clusters end jobs in a while
        assert is_alive(child) is not abilities_of(parallel).stops_running
        goes_on = "start_a_child_and_wait_at() goes on after the run" in caplog.text
        assert goes_on is not abilities_of(parallel).stops_running


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_calls_are_taken_after_a_worker_has_died(backend: Backend) -> None:
    """
    `survives_dead_worker`: in the same run. Where calls are computed in this process, no worker
    can die without it.
    """
    if abilities_of(backend).functions == "any":
        assert not abilities_of(backend).survives_dead_worker
        return
    scheduler = Scheduler(backend)
    results: list[int] = []
    scheduler.on_start(lambda: scheduler.submit(die))

    @scheduler.on_future_exception(limit=1)
    def go_on(*_: object) -> None:
        scheduler.submit(echo, 5)

    scheduler.on_future_result.add(lambda _, result: results.append(result))
    scheduler.run(on_exception="ignore")
    assert (results == [5]) is abilities_of(backend).survives_dead_worker


def test_a_worker_that_dies_takes_no_other_call_with_it(backend: Backend, tmp_path: Path) -> None:
    """
    `isolates_culprit`: what another worker is computing goes on. It is promised by those alone
    with whom it is always so.
    """
    if not abilities_of(backend).isolates_culprit:
        return
    scheduler = Scheduler(backend)
    ended: list[Any] = []
    with Gate(tmp_path / "gate") as gate:

        @scheduler.on_start
        def begin() -> None:
            scheduler.submit(wait_at, gate.path)
            gate.hold()
            scheduler.submit(die)

        @scheduler.on_future_exception
        def the_culprit_is_gone(_: Future[Any], error: BaseException) -> None:
            ended.append(error)
            gate.let_go()

        scheduler.on_future_result.add(lambda _, result: ended.append(result))
        scheduler.run(on_exception="ignore")
    assert len(ended) == 2
    assert ended[1] == ""


def test_functions_come_to_the_worker_as_the_backend_says(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    `functions`: a lambda needs the same process or a copy by value; one of a module that exists
    only here, the same process or a copy of it.
    """
    made_up = ModuleType("made_up_module")
    exec("def function(): return 'found'", vars(made_up))
    monkeypatch.setitem(sys.modules, "made_up_module", made_up)
    ways = abilities_of(backend).functions
    with backend.open() as executor:
        assert works(executor, lambda: "found") is (ways in {"any", "by value"})
        assert works(executor, vars(made_up)["function"]) is (ways in {"any", "inherited"})
        assert executor.submit(echo, 5).result() == 5


def works(executor: Executor, function: Callable[[], str]) -> bool:
    try:
        return executor.submit(function).result() == "found"
    except Exception:
        return False


def test_a_call_costs_about_as_much_as_the_backend_says(backend: Backend) -> None:
    """
    `overhead`: an order of magnitude. What is measured is a call that does nothing, one of many,
    beside a message to another process and back; the least of each, in turn: what else a machine
    has to do can only make it more.
    """
    said = abilities_of(backend).overhead
    assert said is not None
    with messages() as there_and_back, backend.open() as executor:
        scheduler = Scheduler(Given(executor, terminate=False))
        scheduler.on_start.add(lambda: [scheduler.submit(echo, n) for n in range(N_CALLS)])
        calls_take = messages_take = math.inf
        of_what_is_said = 0.0
        for _ in range(N_PAIRS):
            calls_take = min(calls_take, seconds(scheduler.run))
            messages_take = min(messages_take, seconds(there_and_back))
            ratio = (calls_take / N_CALLS) / (messages_take / N_MESSAGES)
            of_what_is_said = ratio / (said / A_MESSAGE)
            if 1 / ABOUT < of_what_is_said < ABOUT:
                break
    assert 1 / ABOUT < of_what_is_said < ABOUT


def test_a_call_talks_to_the_scheduler_or_is_refused(backend: Backend) -> None:
    """
    `messages`: what it says arrives. Otherwise a call that wants to is not even submitted.
    """
    scheduler = Scheduler(backend)
    task = scheduler.task(say_hello, plugins=Comm.Plugin())
    heard: list[str] = []
    task.on(Comm.MESSAGE).add(lambda msg: heard.append(msg.data))
    scheduler.on_start.add(task)
    if abilities_of(backend).messages:
        scheduler.run()
        assert heard == ["hello"]
    else:
        with pytest.raises(PluginError, match="cannot talk to the scheduler"):
            scheduler.run()


def say_hello(*, comm: Comm = Comm.NONE) -> None:
    comm.send("hello")


N_WORKERS = 2
N_CALLS = 200
N_MESSAGES = 200
N_PAIRS = 20
ABOUT = 15
"""So many times more or less is about the same."""

A_MESSAGE = 1.5e-5
"""Seconds from one process to another and back, where it was measured what a call costs: 5 us on
one core, 45 us from one to another."""


@contextmanager
def messages() -> Generator[Callable[[], None]]:
    """A process that sends back what it gets; as many times as there are messages, one byte."""
    with subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE, bufsize=0) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        to_it, from_it = other.stdin, other.stdout

        def there_and_back() -> None:
            for _ in range(N_MESSAGES):
                to_it.write(b"!")
                assert from_it.read(1) == b"!"

        yield there_and_back


def seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


# Executors that somebody else made, and recipes that say nothing.


class Silent:
    """A recipe that does not say what it can do."""

    def open(self) -> Executor:
        raise Boom


def test_of_who_says_nothing_little_is_expected() -> None:
    """
    What every executor can, and no more.
    """
    assert abilities_of(Silent()) == Abilities()


def test_what_is_known_of_a_given_executor() -> None:
    """
    Calls in processes can be ended, if they are the run's to end; those in threads cannot.
    """
    with ProcessPoolExecutor(1) as pool, ThreadPoolExecutor(1) as threads:
        known = Abilities(cancels_queued=False, stops_running=True, overhead=1e-4)
        assert Given(pool).abilities == known
        assert Given(pool, terminate=False).abilities == replace(known, stops_running=False)
        assert Given(threads).abilities == Abilities(functions="any", overhead=2e-5)
    for recipe in (Sequential(), Threads(1)):
        with recipe.open() as executor:
            assert Given(executor).abilities == recipe.abilities


def test_of_an_executor_is_said_what_a_run_on_it_relies_on() -> None:
    """
    The run takes it over; what others in this process use as well stays open, and is not ended.
    """
    with ProcessPoolExecutor(1) as pool, ThreadPoolExecutor(1) as threads:
        for executor in (pool, threads, SequentialExecutor()):
            assert abilities_of(executor) == abilities_of(Scheduler(executor).backend)
        assert abilities_of(pool).stops_running
        assert not abilities_of(Given(pool, terminate=False)).stops_running
    with get_reusable_executor(max_workers=1, kill_workers=True) as shared:
        assert not abilities_of(shared).stops_running


@pytest.mark.parametrize("what", [None, "loky", Slurm, Threads, ProcessPoolExecutor, 2])
def test_what_is_no_backend_is_refused(what: Any) -> None:
    """
    A recipe that nobody has made, too: what it can do depends on what it is made with.
    """
    with pytest.raises(TypeError, match=re.escape(f"{what!r} is neither an executor nor")):
        abilities_of(what)


def test_what_a_process_pool_of_python_has_fetched_ahead_cannot_be_cancelled(
    tmp_path: Path,
) -> None:
    """
    It counts as running, and is computed, although all workers have something else to do.
    """
    with ProcessPoolExecutor(N_WORKERS) as pool, gates(tmp_path, N_WORKERS) as held_at:
        for gate in held_at:
            pool.submit(wait_at, gate.path)
        for gate in held_at:
            gate.hold()
        queued = pool.submit(touch, str(tmp_path / "0"))
        wait_for(queued.running)
        assert not queued.cancel()
        assert not abilities_of(pool).cancels_queued
    assert (tmp_path / "0").exists()


@pytest.mark.parametrize(
    "make",
    [
        partial(ProcessPoolExecutor, 2, mp_context=get_context("spawn")),
        partial(ThreadPoolExecutor, 2),
    ],
    ids=["processes", "threads"],
)
def test_what_is_known_of_pythons_own_executors_is_true(
    make: Callable[[], Executor],
) -> None:
    """
    How functions come to them, and what a call costs. Processes that are forked may find more; one
    that does not find a function takes the executor with it, so that is not tried.
    """
    given = Given(make())
    with given.open() as executor:
        assert works(executor, lambda: "found") is (given.abilities.functions == "any")
        assert executor.submit(echo, 5).result() == 5
    test_a_call_costs_about_as_much_as_the_backend_says(Given(make()))


def test_what_is_known_of_an_executor_on_a_dask_cluster() -> None:
    """
    The same, whoever made it.
    """
    there = Dask(OnSharedDask.addresses[0])
    with there.open() as ours, client_of(OnSharedDask.addresses[0]) as client:
        assert Given(client.get_executor()).abilities == there.abilities
        assert Given(ours).abilities == there.abilities


def test_workers_with_several_threads_isolate_no_culprit() -> None:
    """
    A process takes with it what each of its threads was computing.
    """
    assert Dask(n_workers=2).abilities.isolates_culprit
    assert not Dask(n_workers=2, threads_per_worker=2).abilities.isolates_culprit


def test_how_functions_come_to_processes_depends_on_how_they_start() -> None:
    """
    Only those that are forked inherit what is there.
    """
    assert Processes(mp_context="fork").abilities.functions == "inherited"
    assert Processes(mp_context="spawn").abilities.functions == "by name"


# What the documentation says of them.

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"
MANAGERS = (Slurm, PBS, Moab, SGE, LSF, OAR, HTCondor)
COLUMNS = (
    "in_background",
    "cancels_queued",
    "stops_running",
    "survives_dead_worker",
    "isolates_culprit",
    "messages",
    "functions",
    "overhead",
)
LISTED: Mapping[str, Executor | Backend] = {
    '`Processes("fork")`': Processes(mp_context="fork"),
    '`Processes("spawn")`': Processes(mp_context="spawn"),
    '`Processes("forkserver")`': Processes(mp_context="forkserver"),
    "`Loky()`": Loky(),
    "`Threads()`": Threads(),
    "`Ray()`": Ray(),
    "`Dask(n_workers=2)`": Dask(n_workers=2),
    '`Dask("tcp://...")`': Dask("tcp://10.0.0.1:8786"),
    "a Dask client's executor": OnSharedDask(),
    **{f"`{kind.__name__}(...)`": kind(2, cores=1) for kind in MANAGERS},
    "`Airflow(...)`": Airflow("http://127.0.0.1:8080", "/calls", token="abc"),
    "`Sequential()`": Sequential(),
    "a `ProcessPoolExecutor`": ProcessPoolExecutor(),
    "an executor of loky": LokysPool(),
    "a `ThreadPoolExecutor`": ThreadPoolExecutor(),
    "any other executor": Silent(),
}


def rows_of_the_page() -> dict[str, list[str]]:
    """What the table says of each backend, as text."""
    first_table = PAGE.read_text(encoding="utf-8").partition("\n|---")[2].partition("\n\n")[0]
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in first_table.splitlines()[1:]
    ]
    return {name: cells for names, *cells in rows for name in names.split(", ")}


def test_the_table_says_what_the_backends_say() -> None:
    """
    Each row is of a backend, each backend has a row, and each cell is what it says of itself.
    """
    rows = rows_of_the_page()
    assert rows.keys() == LISTED.keys()
    assert {type(of) for of in LISTED.values()} >= set(RECIPES.values())
    for name, backend in LISTED.items():
        said = [getattr(abilities_of(backend), column) for column in COLUMNS]
        assert rows[name] == list(map(in_the_table, said)), name


def in_the_table(said: bool | str | float | None) -> str:
    if said is None:
        return "unknown"
    if isinstance(said, float):
        return next(f"{said / unit:.3g} {name}" for name, unit in UNITS.items() if said >= unit / 2)
    return said if isinstance(said, str) else ("yes" if said else "no")


UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}


def test_the_table_leaves_nothing_out() -> None:
    """
    Every ability has a column.
    """
    assert set(COLUMNS) == {field.name for field in fields(Abilities)}
