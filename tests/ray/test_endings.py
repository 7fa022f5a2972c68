"""How a Ray ends that a run has started: with the run, whatever ends that, and with all of it.

Each test runs a program, and looks for processes that have something in their environment which
the program was given, and for directories of Ray in one that it was told to use.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from ray.util import get_node_ip_address as my_address

from tests.helpers import Gate, program
from tests.ray.certificates import certified
from tests.ray.cluster import until
from tests.scheduling.test_interrupts import ctrl_c, ends_by_interrupt, wait_for

pytestmark = pytest.mark.timeout(180, func_only=True)

MARK = "AMLTK_TEST_OF_RAY"

BEGINNING = """
import os, subprocess, sys, time
from pathlib import Path
import psutil
from amltk import Scheduler
from amltk.backends import Ray

gate = sys.argv[1]
STORE = 80_000_000

def square(n):
    return n * n

def wait_with_a_child():
    with subprocess.Popen(["cat", gate], start_new_session=True) as child:
        child.wait()

def ready():
    print("ready", flush=True)

def report():
    counts = scheduler.event_counts
    print("submitted", counts["on_future_submitted"], "cancelled", counts["on_future_cancelled"])
    print("finished", counts["on_finished"], "running", scheduler.running(), flush=True)
"""


def marked(mark: str, besides: str = "") -> list[psutil.Process]:
    """The processes that are alive and have this in their environment, unless they are called so."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_one = process.environ().get(MARK) == mark
            if is_one and process.status() != psutil.STATUS_ZOMBIE and process.name() != besides:
                found.append(process)
    return found


@pytest.fixture
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Generator[Callable[[], None]]:
    """To be called when the program has ended: whether all of it has."""
    with tempfile.TemporaryDirectory(prefix="ray-") as scratch:  # names of sockets have to be short
        monkeypatch.setenv(MARK, scratch)
        monkeypatch.setenv("RAY_TMPDIR", scratch)

        def check() -> None:
            assert not marked(scratch)
            assert not list(Path(scratch).iterdir())

        yield check
        for process in marked(scratch):
            with suppress(psutil.Error):
                process.kill()


def test_a_run_on_a_ray_of_its_own(tmp_path: Path, nothing_is_left: Callable[[], None]) -> None:
    """
    It ends with the run, and so does the next one: no process and no file is left, and
    nothing was printed.
    """
    code = f"""{BEGINNING}
import asyncio
scheduler = Scheduler.with_ray(max_workers=2, local_object_store=STORE)
results = []
scheduler.on_start.add(lambda: [scheduler.submit(square, n) for n in range(5)])
scheduler.on_future_result.add(lambda _, result: results.append(result))
scheduler.run()
print(sorted(results))
print(psutil.Process().children())
before = psutil.Process().num_fds()
asyncio.run(scheduler.async_run(), debug=False)
print(sorted(results))
print(psutil.Process().num_fds() - before <= 3)  # Ray itself leaves one or two open
executor = Ray(max_workers=1, local_object_store=STORE).open()  # nobody shuts it down
last = executor.submit(square, 5)
last.add_done_callback(lambda future: print("last", future.result(), flush=True))
"""
    with program(tmp_path / "p.py", code, "") as process:
        out, err = process.communicate()
    assert out.splitlines() == [
        "[0, 1, 4, 9, 16]",
        "[]",
        "[0, 0, 1, 1, 4, 4, 9, 9, 16, 16]",
        "True",
        "last 25",
    ], err
    assert err == ""
    assert process.returncode == 0
    nothing_is_left()


def test_a_call_may_ask_for_a_gpu(tmp_path: Path, nothing_is_left: Callable[[], None]) -> None:
    """
    It is told which one, or which ones; Ray believes in those that one says there are.
    """
    code = f"""{BEGINNING}
def gpus():
    return os.environ["CUDA_VISIBLE_DEVICES"]

for n in (1, 2):
    recipe = Ray(num_cpus=0, num_gpus=n, local_gpus=2, local_object_store=STORE)
    with recipe.open() as executor:
        calls = [executor.submit(gpus) for _ in range(4)]
        print(*{{call.result() for call in calls}}, flush=True)
"""
    with program(tmp_path / "p.py", code, "") as process:
        out, err = process.communicate()
    one, both = out.splitlines()
    assert set(one.split()) <= {"0", "1"}, err
    assert both == "0,1"
    nothing_is_left()


def test_a_ray_that_is_secret(
    tmp_path: Path, nothing_is_left: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    With TLS, as Ray is told to by the environment: so are calls and outcomes.
    """
    for name, value in certified(tmp_path / "certificates", ["127.0.0.1", my_address()]).items():
        monkeypatch.setenv(name, value)
    code = f"""{BEGINNING}
import ssl
import amltk.backends.ray.tls
made = []
wrapped = ssl.SSLContext.wrap_socket
ssl.SSLContext.wrap_socket = lambda *a, **k: made.append(1) or wrapped(*a, **k)
executor = Ray(max_workers=1, local_object_store=STORE).open()
print(executor.submit(square, 5).result(), made != [], flush=True)
executor.shutdown()
"""
    with program(tmp_path / "p.py", code, "") as process:
        out, err = process.communicate()
    assert out.splitlines() == ["25 True"], err
    nothing_is_left()


def test_ctrl_c_ends_a_run_at_once(tmp_path: Path, nothing_is_left: Callable[[], None]) -> None:
    """
    What is pending is cancelled, what calls have started is ended, all events are emitted.
    """
    code = f"""{BEGINNING}
scheduler = Scheduler.with_ray(max_workers=2, local_object_store=STORE)
scheduler.on_start(repeat=5)(lambda: scheduler.submit(wait_with_a_child))
scheduler.on_start(ready)
try:
    scheduler.run(on_exception="ignore")
finally:
    report()
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()
        ctrl_c(process)
        assert ends_by_interrupt(process).splitlines() == [
            "submitted 5 cancelled 5",
            "finished 1 running False",
        ]
        nothing_is_left()


def test_a_second_ctrl_c_gives_up(tmp_path: Path, nothing_is_left: Callable[[], None]) -> None:
    """
    The first one is being handled, in a callback that never ends: the second one is raised there.
    """
    code = f"""{BEGINNING}
def never_end(*_):
    print("stuck", flush=True)
    while True:
        time.sleep(60)

scheduler = Scheduler.with_ray(max_workers=2, local_object_store=STORE)
scheduler.on_start(lambda: scheduler.submit(wait_with_a_child))
scheduler.on_start(ready)
scheduler.on_finishing(never_end)
scheduler.run()
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()
        ctrl_c(process)
        wait_for(process, "stuck")
        ctrl_c(process)
        _, err = process.communicate()
        assert "KeyboardInterrupt" in err
        nothing_is_left()


def test_ctrl_c_while_ray_is_starting(tmp_path: Path, nothing_is_left: Callable[[], None]) -> None:
    """
    There is nothing to cancel yet, and nothing is left.
    """
    code = f"""{BEGINNING}
import threading
def watch():
    while not psutil.Process().children():
        time.sleep(0.01)
    ready()

threading.Thread(target=watch, daemon=True).start()
Scheduler.with_ray(max_workers=2, local_object_store=STORE).run()
"""
    with program(tmp_path / "p.py", code, "") as process:
        wait_for(process, "ready")
        ctrl_c(process)
        _, err = process.communicate()
        assert err.rstrip().endswith("KeyboardInterrupt"), err
    nothing_is_left()


@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_a_ray_that_dies_costs_what_it_computed(
    part: str, tmp_path: Path, nothing_is_left: Callable[[], None]
) -> None:
    """
    Its calls are lost, and the run goes on with another one.
    """
    code = f"""{BEGINNING}
scheduler = Scheduler.with_ray(max_workers=2, local_object_store=STORE)
errors, results = [], []
scheduler.on_start(repeat=3)(lambda: scheduler.submit(wait_with_a_child))
scheduler.on_start(ready)
scheduler.on_future_result.add(lambda _, result: results.append(result))

@scheduler.on_future_exception
def lost(_, error):
    errors.append(type(error).__name__)
    if len(errors) == 3:
        scheduler.submit(square, 5)

scheduler.run(on_exception="ignore")
print(set(errors) - {{"WorkerLostError", "ExecutorBrokenError"}}, results, flush=True)
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()
        [doomed] = [p for p in psutil.Process(process.pid).children() if p.name() == part]
        doomed.kill()
        out, err = process.communicate()
        assert out.splitlines() == ["set() [25]"], err
        nothing_is_left()


def test_a_program_that_is_killed_takes_its_ray_with_it(
    tmp_path: Path, nothing_is_left: Callable[[], None]
) -> None:
    """
    All its processes; files stay.
    """
    code = f"""{BEGINNING}
scheduler = Scheduler.with_ray(max_workers=2, local_object_store=STORE)
scheduler.on_start(lambda: scheduler.submit(wait_with_a_child))
scheduler.on_start(ready)
scheduler.run()
"""
    with Gate(tmp_path / "gate") as gate, program(tmp_path / "p.py", code, gate.path) as process:
        wait_for(process, "ready")
        gate.hold()
        process.kill()
        process.wait()
        until(lambda: not marked(os.environ[MARK], besides="cat"))


def test_a_fork_has_no_ray(tmp_path: Path, nothing_is_left: Callable[[], None]) -> None:
    """
    Ray cannot be used in a fork of a process that is connected to it, which is said there; and
    when the fork ends, the Ray of its parent goes on.
    """
    code = f"""{BEGINNING}
executor = Ray(max_workers=1, local_object_store=STORE).open()
print(executor.submit(square, 5).result(), flush=True)
child = os.fork()
if child == 0:
    try:
        executor.submit(square, 1)
    except Exception as error:
        print(type(error).__name__, flush=True)
    try:
        Ray(max_workers=1, local_object_store=STORE).open()
    except Exception as error:
        print(type(error).__name__, "fork" in str(error), flush=True)
    os._exit(0)  # as multiprocessing does
print(os.waitpid(child, 0)[1], executor.submit(square, 6).result(), flush=True)
executor.shutdown()
"""
    with program(tmp_path / "p.py", code, "") as process:
        out, err = process.communicate()
    assert out.splitlines() == [
        "25",
        "ExecutorBrokenError",
        "BackendUnavailableError True",
        "0 36",
    ], err
    nothing_is_left()
