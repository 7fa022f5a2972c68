"""Adding up CPU time: when to look, and what is seen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from amltk.pynisher import cpu_meter
from amltk.pynisher.cpu_meter import ROUNDED_OFF, SHORTEST, CpuMeter, cpu_time_of

CORES = 4


class Used:
    """A process that has used as much as it is said to have, on a machine of four cores."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 7.0
        self.looks = 0
        monkeypatch.setattr(cpu_meter, "cpu_time_of", self.look)
        monkeypatch.setattr(os, "cpu_count", lambda: CORES)
        self.meter = CpuMeter(1, 40 - ROUNDED_OFF)

    def look(self, _: int) -> float:
        self.looks += 1
        return self.seconds


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> Used:
    return Used(monkeypatch)


def test_it_looks_when_all_cores_could_have_used_up_what_is_left(used: Used) -> None:
    """
    Not before, however often it is asked; what was used before it was made does not count.
    """
    assert used.meter.pause(100) == pytest.approx(40 / CORES)
    looks = used.looks
    assert used.meter.pause(104) == pytest.approx(40 / CORES - 4)
    assert used.looks == looks
    used.seconds += 30
    assert used.meter.pause(110) == pytest.approx(10 / CORES)
    assert used.looks == looks + 1


def test_it_does_not_look_all_the_time(used: Used) -> None:
    """
    Though there is almost nothing left.
    """
    used.seconds += 39.99
    assert used.meter.pause(100) == pytest.approx(SHORTEST)


def test_nothing_is_left(used: Used) -> None:
    """
    Which is said as soon as it is seen.
    """
    used.seconds += 41
    assert used.meter.pause(100) == 0


def test_what_a_child_has_used_counts_once() -> None:
    """
    While it is there and when it has ended; a process that there is not has used nothing.
    """
    before = cpu_time_of(os.getpid())
    code = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        child.stdout.readline()
        own = cpu_time_of(child.pid)
        assert own > 0.4
        assert before + own - 0.1 < cpu_time_of(os.getpid()) < before + 1.7 * own
        child.communicate(b"\n")
    assert before + own - 0.1 < cpu_time_of(os.getpid()) < before + 1.7 * own
    assert cpu_time_of(child.pid) == 0
