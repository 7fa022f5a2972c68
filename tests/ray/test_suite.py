"""The executor on Ray does all that an executor has to do, and what the recipe says that it can."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from amltk import Scheduler, Task
from amltk.backends import Abilities, Ray, abilities_of
from amltk.backends.ray import RayExecutor
from amltk.scheduling import Comm
from amltk.testing import executor_suite
from tests.helpers import Gate, wait_at
from tests.ray.conftest import on_local

pytestmark = [pytest.mark.usefixtures("shared_ray"), pytest.mark.timeout(120, func_only=True)]


def opened() -> RayExecutor:
    return on_local().open()


TestRay = executor_suite(opened, abilities=Ray.abilities, patience=100)


def sees(path: str) -> bool:
    while not Path(path).exists():
        pass
    return True


def test_it_says_what_it_can() -> None:
    """
    What a call starts ends with it, a worker that dies takes nothing else with it: the tests of
    calls try both. A function travels by value; messages go the way that they go everywhere.
    """
    assert Ray().abilities == Abilities(
        stops_running=True,
        survives_dead_worker=True,
        isolates_culprit=True,
        functions="by value",
        overhead=1e-4,
    )
    with on_local().open() as executor:
        assert abilities_of(executor) == Ray.abilities


def test_calls_are_computed_in_the_background(tmp_path: Path) -> None:
    """
    `in_background`: what the program does after `submit`, the call can see.
    """
    path = tmp_path / "after"
    with opened() as executor:
        call = executor.submit(sees, str(path))
        path.touch()
        assert call.result()


def test_functions_come_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    `functions`: lambdas do, those of a module that exists only here do not.
    """
    made_up = ModuleType("made_up_module")
    exec("def function(): return 'found'", vars(made_up))
    monkeypatch.setitem(sys.modules, "made_up_module", made_up)
    with opened() as executor:
        assert executor.submit(lambda: "found").result() == "found"
        assert executor.submit(vars(made_up)["function"]).exception() is not None


def speak(n: int, *, comm: Comm = Comm.NONE) -> int:
    comm.send(n)
    return int(comm.request("more?"))


def test_calls_speak_to_their_scheduler() -> None:
    """
    `messages`: they are heard and answered.
    """
    scheduler = Scheduler(on_local())
    task: Task[Any, int] = scheduler.task(speak, plugins=Comm.Plugin())
    heard: list[object] = []
    results: list[int] = []
    scheduler.on_start.add(lambda: task(5))
    task.on("comm-message").add(lambda msg: heard.append(msg.data))
    task.on("comm-request").add(lambda msg: msg.respond(7))
    task.on_result.add(lambda _, result: results.append(result))
    scheduler.run()
    assert (heard, results) == ([5], [7])


def test_who_cancels_while_others_submit_disturbs_nobody(tmp_path: Path) -> None:
    """
    From several threads at once: each call ends in one way.
    """
    with opened() as executor, Gate(tmp_path / "gate") as gate:
        held = [executor.submit(wait_at, gate.path) for _ in range(20)]
        threads = [threading.Thread(target=call.cancel) for call in held[::2]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gate.let_go()
        assert [call.cancelled() for call in held] == [True, False] * 10
        assert {call.result() for call in held[1::2]} == {""}
