"""What limited calls compute; here, where every kind of worker finds it by name."""

from __future__ import annotations

import faulthandler
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

import psutil

from amltk import Scheduler
from amltk.pynisher import PynisherPlugin
from tests.helpers import Boom, wait_at

MUCH = 1 << 40
"""More bytes than any limit of a test allows."""

keep: list[object] = []


def write_down(path: str, **facts: object) -> None:
    """Put facts into a file, all of them at once."""
    part = Path(f"{path}.part")
    part.write_text(json.dumps(facts))
    part.replace(path)


def sleep_with_a_child(path: str) -> None:
    """Start a process, say so, and wait for it for ever."""
    begun = time.monotonic()
    child = subprocess.Popen(["sleep", "600"])
    write_down(path, begun=begun, pids=[os.getpid(), child.pid])
    child.wait()


def spin_beside_an_orphan(path: str) -> None:
    """Start a process whose parent is gone, say so, and use up the CPU."""
    shell = ["sh", "-c", "sleep 600 >/dev/null & echo $!"]
    orphan = int(subprocess.run(shell, check=True, stdout=subprocess.PIPE).stdout)
    write_down(path, pids=[os.getpid(), orphan])
    while True:
        pass


def leave_an_orphan(path: str) -> str:
    """Start a process, say so, and do not wait for it."""
    child = subprocess.Popen(["sleep", "600"])
    write_down(path, pids=[os.getpid(), child.pid])
    return "done"


def leave_a_thread() -> str:
    """Start a thread that does not end, and that Python would wait for."""
    threading.Thread(target=threading.Event().wait).start()
    sys.stdout.write("said before")
    return "done"


def wait_with_pids(path: str, gate: str) -> str:
    """Say which process this is and which one waits for it, then wait at the gate."""
    parent = multiprocessing.parent_process()
    write_down(path, pids=[os.getpid()], worker=parent.pid if parent else None)
    return wait_at(gate)


def wait_deafly(path: str, gate: str) -> str:
    """The same, without listening to anybody who asks it to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return wait_with_pids(path, gate)


def spin() -> NoReturn:
    while True:
        pass


def spin_with_a_profiler() -> NoReturn:
    """Use up the CPU, with the timer that a limit uses put to another use."""
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    spin()


def allocate(n_bytes: int = MUCH) -> int:
    return len(bytearray(n_bytes))


def allocate_crumbs() -> NoReturn:
    """Use up the memory in the smallest of pieces, and let go of none."""
    while True:
        keep.append([None])


def no_memory_for_a_thread() -> None:
    """Start threads until there is no memory for their stacks."""
    while True:
        threading.Thread(target=threading.Event().wait, daemon=True).start()


def share_cpu_time(seconds: float) -> int:
    """Use less than that in this process, and let a child use more; its exit code."""
    code = f"import time\nwhile time.process_time() < {10 * seconds}: pass"
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


def let_others_compute() -> NoReturn:
    """Have one process after the other use up a little of the CPU, and wait for each."""
    while True:
        code = "import time\nwhile time.process_time() < 0.2: pass"
        subprocess.run([sys.executable, "-c", code], check=False)


def let_another_spin() -> NoReturn:
    """Have a process use up the CPU for as long as it may, and do not ask what became of it."""
    keep.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
    while True:
        threading.Event().wait()


def handlers() -> dict[str, str]:
    """How this process handles signals."""
    numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    return {str(number): without_address(signal.getsignal(number)) for number in numbers}


def without_address(handler: object) -> str:
    """The same in each worker that has it."""
    return re.sub("0x[0-9a-f]+", "", str(handler))


def large(n_bytes: int) -> bytes:
    return b"x" * n_bytes


def crash(with_signal: int) -> None:
    """Die as a library does that has crashed; in silence."""
    faulthandler.disable()
    os.kill(os.getpid(), with_signal)


def leave_at_once(code: int) -> NoReturn:
    os._exit(code)


def endless_at_first(attempt: int = 1) -> str:
    """Wait for ever at the first attempt, and return at later ones."""
    if attempt == 1:
        threading.Event().wait()
    return f"attempt {attempt}"


def sleep_for(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def raise_memory_error() -> NoReturn:
    raise MemoryError("of its own")


def have_children() -> list[int]:
    """Compute in processes of its own, as a limited call may."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2])


def nested(seconds: float) -> str:
    """Run a scheduler with limits of its own, and say what became of its call."""
    scheduler = Scheduler.with_processes(1, mp_context="fork")
    task = scheduler.task(sleep_for, plugins=PynisherPlugin(wall_time_limit=seconds))
    scheduler.on_start(lambda: task(600))
    state = scheduler.run(on_exception="end")
    return type(state.exception).__name__


def address_space() -> int:
    return int(psutil.Process().memory_info().vms)


class LargeWhenUnpickled:
    """Needs more memory than there is when it arrives."""

    def __reduce__(self) -> tuple[type[Any], tuple[int]]:
        return bytearray, (MUCH,)


def take(what: object) -> str:
    return type(what).__name__


def warn(text: str) -> str:
    warnings.warn(text, stacklevel=1)
    return "went on"


def boom() -> NoReturn:
    raise Boom("as without limits")
