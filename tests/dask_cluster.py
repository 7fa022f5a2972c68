"""A Dask cluster on this machine, in a process of its own, so that nothing of it is in this one."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import psutil

import amltk
from amltk.backends import Abilities, Dask

PROGRAM = """
import sys

from amltk.backends import Dask
from amltk.backends.dask.cluster import DaskCluster
from amltk.backends.dask.loop import LoopThread

if __name__ == "__main__":
    loop = LoopThread()
    cluster = DaskCluster(Dask(n_workers=2), loop)
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.close()
    loop.stop()
"""

TO_START = 100.0
"""Seconds that the cluster may take to be there."""

TO_END = 10.0
"""Seconds that the cluster may take to end, before it is made to."""

CALM = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "500ms",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}
"""Has a cluster with nothing to do leave the processor to others."""

running: list[psutil.Process] = []
"""The processes of the clusters that are running."""


@dataclass(frozen=True)
class OnSharedDask:
    """Connects to a cluster that is there for all tests: to start one takes longer than most of them."""

    abilities: ClassVar[Abilities] = Dask(address="there:1").abilities
    addresses: ClassVar[list[str]] = []
    """Where it is, if there are tests that need it."""

    def open(self) -> Executor:
        return Dask(self.addresses[0], timeout=100).open()


def start_what_stays() -> None:
    """The thread in which Dask unpickles what is large, once it has had to."""
    asyncio.run(import_module("distributed.utils").offload(int))


def client_of(address: str) -> Any:
    """A client of a cluster, to be used in a `with`."""
    return import_module("distributed").Client(address)


@contextmanager
def dask_cluster(directory: Path) -> Generator[str]:
    """The address of a cluster with two worker processes, which can import the tests.

    A call that loses its worker is not computed again.

    Args:
        directory: Where it can write.
    """
    script = directory / "cluster.py"
    script.write_text(PROGRAM)
    roots = (Path(amltk.__file__).parents[1], Path(__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, **CALM, "PYTHONPATH": os.pathsep.join(map(str, roots))},
        cwd=directory,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    running.append(psutil.Process(process.pid))
    try:
        assert select.select([process.stdout], [], [], TO_START)[0], "the cluster does not start"
        yield process.stdout.readline().strip()
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(TO_END)
    finally:
        running.pop()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()
