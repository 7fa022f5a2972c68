"""Ending workers on Ray, with all that their calls have started.

Ray itself ends a worker's children, and in newer versions those that share its process group; not
what has a session of its own and was started by one of these. So first all that descend from the
worker are ended, on its own node; meanwhile it is stopped, so that it cannot start others. Then it
is killed there, too: Ray says that a worker is ended before its process is.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress

import psutil
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from amltk.backends.process_trees import DYING, attempt, end_processes, those_left
from amltk.backends.ray.session import Session
from amltk.backends.ray.worker import RayWorker

__all__ = ["Ender"]

GLANCE = 1.0
"""Seconds between two looks at whether Ray answers."""

PATIENCE = 10.0
"""Seconds that another node may take to end what calls there have started: it may have to start
a process for that."""


class Ender:
    """Ends workers in a thread of its own, which is there before Python may take no new one.

    Args:
        session: The Ray that they are on. If it cannot be asked for it, what is here is ended.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._workers: list[RayWorker] = []
        self._closing = False
        self._changed = threading.Condition()
        name = "amltk-ray-ender"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def end(self, worker: RayWorker) -> None:
        """Have a worker ended soon."""
        with self._changed:
            self._workers.append(worker)
            self._changed.notify()

    def close(self) -> None:
        """Return when all of them are ended."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while workers := self._next():
            pids = by_node(workers)
            end_trees(pids.pop(self._session.node, []))
            while self._session.is_there() and not self._session.answers():
                time.sleep(GLANCE)  # until it answers again, or is given up
            if self._session.answers():
                with suppress(Exception):  # a node is lost, or Ray is
                    end_elsewhere(pids)
                kill_actors(workers)

    def _next(self) -> list[RayWorker]:
        """All that there are; none if there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._workers or self._closing)
            workers = self._workers.copy()
            self._workers.clear()
            return workers


def end_elsewhere(pids: Mapping[str, list[int]]) -> None:
    """End processes of other nodes, with what they have started."""
    ended = [on_node(node).remote(there) for node, there in pids.items()]
    if ended:
        ray.wait(ended, num_returns=len(ended), timeout=PATIENCE)


def kill_actors(workers: Iterable[RayWorker]) -> None:
    for worker in workers:
        with suppress(Exception):
            ray.kill(worker.actor)


def by_node(workers: Iterable[RayWorker]) -> dict[str, list[int]]:
    """The process ids of those that are there, by the node that they are on."""
    pids: defaultdict[str, list[int]] = defaultdict(list)
    for worker in workers:
        if worker.place is not None:
            pids[worker.place.node].append(worker.place.pid)
    return pids


def on_node(node: str) -> ray.RemoteFunction[[Iterable[int]], None]:
    """`end_trees`, to be called on a node, however busy that is."""
    place = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(end_trees).options(num_cpus=0, max_retries=0, scheduling_strategy=place)


def end_trees(pids: Iterable[int], /) -> None:
    """End these processes, which are on this node, and what they have started; it is done then."""
    frozen: list[psutil.Process] = []
    for pid in pids:
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            process.suspend()
            frozen.append(process)
    end_processes(child.pid for process in frozen for child in children_of(process))
    # They are not asked to end: of that the call would hear, and Ray alone takes its time.
    for process in frozen:
        attempt(process.kill)
    those_left(frozen, seconds=DYING)


def children_of(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children()
    except psutil.Error:
        return []
