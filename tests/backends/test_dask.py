"""Dask: clusters that a run starts, clusters that are there, executors that a client made."""

from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, wait
from pathlib import Path
from textwrap import indent
from types import SimpleNamespace
from typing import Any

import distributed
import psutil
import pytest
from distributed.scheduler import KilledWorker
from hypothesis import given
from hypothesis import strategies as st

from amltk import Scheduler
from amltk.backends import Dask, load
from amltk.backends.dask.executor import DaskExecutor
from amltk.backends.dask.logs import Quiet
from amltk.backends.dask.losses import loss_of
from amltk.backends.dask.outcomes import OutcomesInFiles
from amltk.backends.dask.spool import Spool, compute_once
from amltk.exceptions import (
    BackendUnavailableError,
    ExecutorBrokenError,
    ExecutorShutdownError,
    WorkerLostError,
)
from amltk.scheduling import ExitCode, Retry
from tests.dask_cluster import OnSharedDask
from tests.helpers import Boom, Gate, die, echo, fail, free_ports, keywords, program, wait_at

NAMES = ("key", "pure", "workers", "priority", "retries", "resources", "fifo_timeout", "actor",
         "actors", "allow_other_workers", "fn", "func", "self")  # fmt: skip
"""Keywords that a client, or its executor, takes for itself."""


def note(path: str) -> str:
    """Add a line to a file; its length then says how often this was called."""
    with Path(path).open("a") as file:
        file.write("called\n")
    return path


def fail_until(path: str, times: int) -> int:
    note(path)
    called = len(Path(path).read_text().splitlines())
    if called < times:
        raise Boom(f"time {called}")
    return called


def start_a_child_and_wait_at(path: str, gate: str) -> None:
    with subprocess.Popen(["cat", gate], stdout=subprocess.DEVNULL) as child:
        Path(path).write_text(f"{os.getpid()} {child.pid}")


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def client() -> Generator[distributed.Client]:
    """A client of the cluster that is there for all tests, on dask."""
    with distributed.Client(OnSharedDask.addresses[0], set_as_default=False) as client:
        yield client


def results_of(scheduler: Scheduler) -> list[Any]:
    results: list[Any] = []
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    return results


# A cluster of the run.


def test_a_run_on_a_cluster_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is closed with the run: no process, no thread, no file is left, and nothing was printed.
    """
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    with program(tmp_path / "p.py", ON_ITS_OWN) as process:
        out, err = process.communicate()
    assert out.splitlines() == ["[0, 1, 2, 3, 4]", "on purpose", "[25]", "2 lost", "done", "[]"]
    assert err == ""
    assert process.returncode == 0
    assert not list((tmp_path / "tmp").glob("amltk*"))


ON_ITS_OWN = """
import asyncio, os, threading, time, warnings
import psutil
from amltk import Scheduler

class Boom(Exception):
    pass

def square(n):
    return n * n

def fail():
    raise Boom("on purpose")

def die():
    os.kill(os.getpid(), 9)

def main():
    scheduler = Scheduler.with_dask(n_workers=2)
    results, errors = [], []
    scheduler.on_start.add(lambda: [scheduler.submit(abs, -n) for n in range(5)])
    scheduler.on_start.add(lambda: scheduler.submit(fail))
    scheduler.on_future_result.add(lambda _, result: results.append(result))
    scheduler.on_future_exception.add(lambda _, error: errors.append(error))
    scheduler.run(on_exception="ignore")
    print(sorted(results))
    print(*errors)

    again = Scheduler.with_dask(n_workers=1, threads_per_worker=2)
    results.clear()
    again.on_start.add(lambda: again.submit(square, 5))
    again.on_future_result.add(lambda _, result: results.append(result))
    asyncio.run(again.async_run(), debug=False)  # or else it says how long opening takes
    print(results)

    last = Scheduler.with_dask(n_workers=2)
    last.on_start.add(lambda: [last.submit(die) for _ in range(2)])
    last.run(on_exception="ignore")  # and then other workers are on their way
    print(last.event_counts["on_future_exception"], "lost")

if __name__ == "__main__":
    main()
    print("done")
    children = [p.name() for p in psutil.Process().children() if "spawn_main" in str(p.cmdline())]
    print(children)
"""


def test_a_run_that_does_not_wait_ends_its_workers(tmp_path: Path) -> None:
    """
    With what they have started, and it is over at once.
    """
    scheduler = Scheduler.with_dask(n_workers=1)
    pids = tmp_path / "pids"
    with Gate(tmp_path / "gate") as gate:

        @scheduler.on_start
        def begin() -> None:
            scheduler.submit(start_a_child_and_wait_at, str(pids), gate.path)
            scheduler.submit(note, str(tmp_path / "note"))
            gate.hold()
            while not (pids.exists() and len(pids.read_text().split()) == 2):
                time.sleep(0.01)
            scheduler.stop()

        assert scheduler.run(wait=False).code is ExitCode.STOPPED
        assert not any(is_alive(int(pid)) for pid in pids.read_text().split())
    assert scheduler.event_counts[scheduler.FUTURE_CANCELLED] == 2
    assert not (tmp_path / "note").exists()


def test_a_worker_that_dies_costs_its_call(tmp_path: Path) -> None:
    """
    What it had computed is not lost, what waited there goes on, and nothing is computed twice.
    """
    with Dask(n_workers=1).open() as executor:
        notes = [tmp_path / str(n) for n in range(9)]
        calls = [executor.submit(note, str(path)) for path in notes[:3]]
        lost = [executor.submit(die)]
        calls += [executor.submit(note, str(path)) for path in notes[3:6]]
        lost += [executor.submit(die)]
        calls += [executor.submit(note, str(path)) for path in notes[6:]]
        assert [call.result() for call in calls] == list(map(str, notes))
        with pytest.raises(WorkerLostError, match=r"died while.*die\(\).*not started again"):
            lost[0].result()
        assert isinstance(lost[1].exception(), WorkerLostError)
    assert {path.read_text() for path in notes} == {"called\n"}


def test_a_lost_call_can_be_tried_again(tmp_path: Path) -> None:
    """
    A `Retry` sees that it was lost, on dask as elsewhere.
    """
    scheduler = Scheduler(OnSharedDask())
    task = scheduler.task(die_the_first_time, plugins=Retry(attempts=1, max_lost=3))
    results = results_of(scheduler)
    scheduler.on_start.add(lambda: task(str(tmp_path / "flag")))
    scheduler.run()
    assert results == ["alive"]


def die_the_first_time(flag: str) -> str:
    if not Path(flag).exists():
        Path(flag).touch()
        die()
    return "alive"


# A cluster of somebody else.


def test_a_cluster_of_others_is_left_as_it_is(tmp_path: Path) -> None:
    """
    With `wait=False` what waits there is not computed any more, what is running goes on.
    """
    scheduler = Scheduler(OnSharedDask())
    with Gate(tmp_path / "gate") as gate:

        @scheduler.on_start
        def begin() -> None:
            for _ in range(2):
                scheduler.submit(wait_at, gate.path)
            gate.hold()
            for n in range(10):
                scheduler.submit(note, str(tmp_path / str(n)))
            scheduler.stop()

        scheduler.run(wait=False)
        assert scheduler.event_counts[scheduler.FUTURE_CANCELLED] == 12
    with OnSharedDask().open() as executor:
        assert list(executor.map(echo, range(20))) == list(range(20))
    assert not (tmp_path / "9").exists()


def test_a_large_argument_is_nothing_to_warn_of() -> None:
    """
    Whoever passes it knows that it is large.
    """
    with OnSharedDask().open() as executor:
        assert executor.submit(len, b"x" * 12_000_000).result() == 12_000_000


def test_a_scheduler_is_found_by_its_file(tmp_path: Path) -> None:
    """
    In which it has written its address.
    """
    file = tmp_path / "scheduler.json"
    file.write_text(f'{{"address": "{OnSharedDask.addresses[0]}"}}')
    with Dask(scheduler_file=str(file)).open() as executor:
        assert executor.submit(echo, 5).result() == 5


def test_where_nobody_listens_nothing_is_opened(tmp_path: Path) -> None:
    """
    The error comes when the time is up; it says where and what to do, and nothing is left.
    """
    address = f"tcp://127.0.0.1:{free_ports(1)[0]}"
    why = rf"{address} within 0.2 sec.*refused.*dask scheduler"
    with pytest.raises(BackendUnavailableError, match=why):
        Dask(address, timeout=0.2).open()
    with pytest.raises(BackendUnavailableError, match=r"nowhere.json after 0.2.*scheduler-file"):
        Dask(scheduler_file=str(tmp_path / "nowhere.json"), timeout=0.2).open()


def test_an_encrypted_address_needs_credentials() -> None:
    """
    The error says so.
    """
    with pytest.raises(BackendUnavailableError, match=r"TLS.*`security`"):
        Dask("tls://127.0.0.1:1", timeout=1).open()


@pytest.mark.parametrize("address", ["tcp://a..b:1", "foo://127.0.0.1:1"])
def test_an_address_that_means_nothing_is_an_error(address: str) -> None:
    """
    As soon as somebody connects to it.
    """
    with pytest.raises(BackendUnavailableError, match=re.escape(address)):
        Dask(address, timeout=1).open()


def test_a_run_that_nobody_answers_does_not_begin() -> None:
    """
    Nor is it in the way of the next one.
    """
    scheduler = Scheduler.with_dask(f"127.0.0.1:{free_ports(1)[0]}", timeout=0.2)
    for _ in range(2):
        with pytest.raises(BackendUnavailableError):
            scheduler.run()
    assert scheduler.event_counts[scheduler.STARTED] == 0
    with pytest.raises(ValueError, match="`n_workers=0` would never compute anything"):
        Scheduler.with_dask(n_workers=0)


def test_who_does_not_answer_is_no_scheduler() -> None:
    """
    Somebody listens there, and says nothing.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BackendUnavailableError, match=address):
            Dask(address, timeout=0.5).open()


def test_a_scheduler_that_is_gone_takes_its_calls_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    They are lost, and so are those that come later: nobody waits for ever.
    """
    with program(tmp_path / "p.py", CLUSTER) as process:
        assert process.stdout is not None
        with Dask(process.stdout.readline().strip(), timeout=60).open() as executor:
            assert executor.submit(abs, -1).result() == 1
            monkeypatch.setattr(executor.client, "_timeout", 1)  # to connect again
            with Gate(tmp_path / "gate") as gate:
                call = executor.submit(subprocess.check_output, ["cat", gate.path])
                gate.hold()
                process.kill()
                assert isinstance(call.exception(), WorkerLostError)
            with pytest.raises(ExecutorBrokenError):
                executor.submit(abs, 2).result()
            while executor.client.status != "closed":  # it tries to connect again, for a second
                time.sleep(0.05)
            with pytest.raises(ExecutorBrokenError, match="closed"):
                executor.submit(abs, 3)


CLUSTER = """
import time
from amltk.backends import Dask
from amltk.backends.dask.cluster import DaskCluster
from amltk.backends.dask.loop import LoopThread

if __name__ == "__main__":
    print(DaskCluster(Dask(n_workers=1), LoopThread()).address, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("outcomes", [OutcomesInFiles, None], ids=["files", "scheduler"])
def test_it_is_known_what_is_running(
    outcomes: Callable[[], OutcomesInFiles] | None, client: distributed.Client, tmp_path: Path
) -> None:
    """
    With files, that is enough to cancel nothing but what waits; else what is running is abandoned.
    """
    executor = DaskExecutor(client, close=client.close, outcomes=outcomes and outcomes())
    with executor, Gate(tmp_path / "gate") as gate:
        calls = [executor.submit(wait_at, gate.path) for _ in range(10)]
        gate.hold()
        while not (begun := next((call for call in calls if call.running()), None)):
            time.sleep(0.01)
        assert not calls[9].running()
        assert calls[9].cancel()
        assert calls[9].cancelled()
        assert begun.cancel() is (outcomes is None)
        gate.let_go()
        assert not wait(calls).not_done
        cancelled = [call for call in calls if call.cancelled()]
        assert cancelled == ([begun, calls[9]] if outcomes is None else [calls[9]])
        assert not any(call.running() for call in calls)


# An executor that a client made.


WAYS: dict[str, Callable[[distributed.Client], Any]] = {
    "recipe": lambda _: OnSharedDask(),
    "executor": lambda client: client.get_executor(),
    "pure executor": lambda client: client.get_executor(pure=True),
}
"""Those that lead to a cluster which is there."""


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def there(request: pytest.FixtureRequest, client: distributed.Client) -> Any:
    """A recipe or an executor."""
    return request.param(client)


def test_no_call_is_taken_for_another(there: Any, tmp_path: Path) -> None:
    """
    The same function with the same arguments, submitted four times, runs four times.
    """
    path = str(tmp_path / "note")
    scheduler = Scheduler(there)
    task = scheduler.task(note)
    scheduler.on_start.add(lambda: [scheduler.submit(note, path), scheduler.submit(note, path)])
    scheduler.on_start.add(lambda: [task(path), task(path)])
    scheduler.run()
    assert Path(path).read_text() == "called\n" * 4


def test_keywords_are_the_functions(there: Any) -> None:
    """
    Also those that a client has itself.
    """
    named = {name: name.upper() for name in NAMES}
    scheduler = Scheduler(there)
    results = results_of(scheduler)
    scheduler.on_start.add(lambda: scheduler.submit(keywords, 0, **named))
    scheduler.run()
    assert results == [((0,), named)]


def test_what_the_client_was_told_is_kept(client: distributed.Client, tmp_path: Path) -> None:
    """
    Where calls run, and how often Dask tries those again that fail.
    """
    client.wait_for_workers(2)  # one may just have died in another test
    [worker, _] = client.scheduler_info()["workers"]
    scheduler = Scheduler(client.get_executor(workers=[worker], retries=2))
    results = results_of(scheduler)
    scheduler.on_start.add(lambda: scheduler.submit(fail_until, str(tmp_path / "note"), 3))
    scheduler.on_start.add(lambda: [scheduler.submit(os.getpid) for _ in range(5)])
    scheduler.on_start.add(lambda: scheduler.submit(fail, "for good"))
    scheduler.run(on_exception="ignore")
    assert 3 in results
    assert len(set(results)) == 2
    assert scheduler.event_counts[scheduler.FUTURE_EXCEPTION] == 1


def test_futures_of_dask_arrive_as_what_they_stand_for(client: distributed.Client) -> None:
    """
    Wherever they are in the arguments: data that was scattered once is not sent with each call.
    """
    data = client.scatter(list(range(1000)))
    two = client.submit(echo, 2)
    scheduler = Scheduler(client.get_executor())
    results = results_of(scheduler)
    scheduler.on_start.add(lambda: [scheduler.submit(keywords, data) for _ in range(3)])
    scheduler.on_start.add(lambda: scheduler.submit(keywords, [two, two], data={"x": two}))
    scheduler.run()
    results.remove((([2, 2],), {"data": {"x": 2}}))
    assert results == [((list(range(1000)),), {})] * 3


def test_the_client_stays_open(client: distributed.Client) -> None:
    """
    The run shuts down the executor it was given, if it may; the client belongs to who made it.
    """
    executor = client.get_executor()
    kept, taken = Scheduler(executor, terminate=False), Scheduler(executor)
    kept.on_start.add(lambda: kept.submit(echo, 1))
    taken.on_start.add(lambda: taken.submit(echo, 1))
    assert [kept.run().code, kept.run(wait=False).code, taken.run().code] == [
        ExitCode.EXHAUSTED
    ] * 3
    with pytest.raises(ExecutorShutdownError, match="terminate=False"):
        taken.run()
    with pytest.raises(ExecutorShutdownError, match="terminate=False"):
        kept.run()
    assert client.get_executor().submit(echo, 2).result() == 2


def test_who_closes_the_client_breaks_the_executor() -> None:
    """
    The error is that of every executor that was given and is broken.
    """
    with distributed.Client(OnSharedDask.addresses[0], set_as_default=False) as client:
        scheduler = Scheduler(client.get_executor(), terminate=False)
    scheduler.on_start.add(lambda: scheduler.submit(echo, 1))
    with pytest.raises(ExecutorBrokenError, match=r"closed.*recipe"):
        scheduler.run()


# What is refused.

NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"n_workers": 0}, "n_workers"),
    ({"n_workers": "2"}, "n_workers"),
    ({"threads_per_worker": 0}, "threads_per_worker"),
    ({"address": "here"}, "address"),
    ({"address": ""}, "address"),
    ({"address": "tcp://:8786"}, "address"),
    ({"address": 8786}, "address"),
    ({"address": "tcp://h:1", "n_workers": 2}, "n_workers"),
    ({"address": "tcp://h:1", "scheduler_file": "f"}, "scheduler_file"),
    ({"scheduler_file": "f", "memory_limit": "1GB"}, "memory_limit"),
    ({"memory_limit": "much"}, "memory_limit"),
    ({"memory_limit": 0}, "memory_limit"),
    ({"memory_limit": "0GiB"}, "memory_limit"),
    ({"memory_limit": "4"}, "memory_limit"),
    ({"memory_limit": "4 i"}, "memory_limit"),
    ({"memory_limit": float("nan")}, "memory_limit"),
    ({"memory_limit": float("inf")}, "memory_limit"),
    ({"memory_limit": True}, "memory_limit"),
    ({"timeout": 0}, "timeout"),
    ({"timeout": float("inf")}, "timeout"),
    ({"timeout": "soon"}, "timeout"),
    ({"silence_logs": "all"}, "silence_logs"),
    ({"security": "tls"}, "security"),
    ({"host": 5}, "host"),
]


@pytest.mark.parametrize(("options", "name"), NONSENSE)
def test_what_cannot_work_cannot_be_built(options: dict[str, Any], name: str) -> None:
    """
    The error names the field.
    """
    with pytest.raises((TypeError, ValueError), match=f"`{name}"):
        Dask(**options)


@pytest.mark.parametrize(
    "address", ["h:1", "tls://10.0.0.1:8786", "tcp://[::1]:80", "inproc://1/2"]
)
def test_addresses_are_as_dask_has_them(address: str) -> None:
    """
    With a protocol or without.
    """
    assert Dask(address).address == address


def test_a_recipe_comes_out_of_a_file(tmp_path: Path) -> None:
    """
    As every other one.
    """
    file = tmp_path / "dask.toml"
    file.write_text('backend = "dask"\nn_workers = 3\nmemory_limit = "4GiB"\n')
    assert load(file) == Dask(n_workers=3, memory_limit="4GiB")


# Parts.


@given(st.lists(st.booleans(), min_size=1, max_size=5))
def test_a_call_is_somebodys(tries: list[bool]) -> None:
    """
    Of all that would compute a call or cancel it, the first one does, and the others do not.
    """
    spool = Spool()
    computed: list[bytes] = []

    def compute() -> bytes:
        computed.append(b"outcome")
        return b"outcome"

    cancelled = 0
    for cancels in tries:
        if cancels:
            cancelled += spool.keep_from_beginning(0)
        else:
            compute_once(spool.path, 0, compute)
    assert (cancelled, len(computed)) == ((1, 0) if tries[0] else (0, 1))
    assert spool.has_begun(0)
    assert spool.take(0) == (None if tries[0] else b"outcome")
    spool.close()


def test_a_call_that_was_begun_and_not_ended_has_no_outcome() -> None:
    """
    It is known that it was begun.
    """
    spool = Spool()

    def die_meanwhile() -> bytes:
        raise Boom

    assert not spool.has_begun(7)
    with pytest.raises(Boom):
        compute_once(spool.path, 7, die_meanwhile)
    assert spool.take(7) is None
    assert spool.has_begun(7)
    spool.close()


def test_quiet_may_overlap(capsys: pytest.CaptureFixture[str]) -> None:
    """
    What is silenced is heard again when the last one that silences it is gone, in any order.
    """
    logger = logging.getLogger("distributed")
    handler = logging.StreamHandler()
    logger.addHandler(handler)
    try:
        first, second = Quiet(logging.ERROR), Quiet(logging.CRITICAL)
        logger.warning("one")
        first.undo()
        logger.error("two")
        second.undo()
        logger.error("three")
    finally:
        logger.removeHandler(handler)
    assert capsys.readouterr().err.split() == ["three"]


def test_what_a_program_prints_is_not_printed_either(tmp_path: Path) -> None:
    """
    Where logging is configured, Dask has no handlers of its own; what it logs still gets into files.
    """
    code = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
logging.getLogger().addHandler(logging.FileHandler(sys.argv[1]))
from amltk.backends import Dask
with Dask(n_workers=1).open() as executor:
    assert executor.submit(abs, -1).result() == 1
    logging.getLogger("mine").info("heard")
logging.getLogger("distributed").warning("later")
"""
    log = tmp_path / "log"
    with program(
        tmp_path / "p.py", f"if __name__ == '__main__':\n{indent(code, '    ')}", str(log)
    ) as process:
        _, err = process.communicate()
    assert err.splitlines() == ["INFO:mine:heard", "WARNING:distributed:later"]
    assert "Starting" in log.read_text() or "Scheduler" in log.read_text()


def test_what_becomes_of_a_call_is_said_as_it_is() -> None:
    """
    Dask gives calls to other workers as often as its scheduler is told to.
    """
    worker = SimpleNamespace(address="tcp://worker")
    lost, tried = (loss_of("f", KilledWorker("f", worker, n), str) for n in (0, 3))
    assert "was not started again" in str(lost)
    assert "to 4 workers" in str(tried)
    assert "not started again" not in str(tried)


def test_other_failures_are_passed_on() -> None:
    """
    What is not known to be a loss is what Dask says it is.
    """
    error = Boom("what")
    assert loss_of("f", error, str) is error
    assert isinstance(loss_of("f", CancelledError("gone"), str), WorkerLostError)
    assert type(loss_of("f", OSError("no answer"), str)) is ExecutorBrokenError
