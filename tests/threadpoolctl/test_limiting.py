"""Limits of calls that overlap: on the real libraries, in real threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from amltk.threadpoolctl.limiting import Limiting, ThreadLimit, Throttle, is_shared
from tests.helpers import program
from tests.threadpoolctl.numbers import MANY, Seen, many, openmp, see, use_many

N_THREADS = 3
limits = st.builds(ThreadLimit, st.integers(1, MANY + 2), st.sampled_from([None, "blas", "openmp"]))
moves = st.lists(st.tuples(st.integers(0, N_THREADS - 1), st.none() | limits), max_size=12)


class Worker:
    """A thread in which calls begin and end, the last one first."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self.thread = thread
        self.inside: list[tuple[ThreadLimit, Limiting]] = []
        self.do(use_many)

    def do(self, what: Any, *args: object) -> Any:
        return self.thread.submit(what, *args).result(20)

    def move(self, limit: ThreadLimit | None) -> None:
        """Begin a call with this limit, or end the last one."""
        if limit is not None:
            self.do(self.enter, limit)
        elif self.inside:
            self.do(self.inside.pop()[1].__exit__)

    def enter(self, limit: ThreadLimit) -> None:
        call = limit()
        call.__enter__()
        self.inside.append((limit, call))

    def lowest(self, api: str) -> int:
        """What it wants for these libraries."""
        wanted = [limit.max_threads for limit, _ in self.inside if limit.user_api in (None, api)]
        return min([MANY, *wanted])


@settings(max_examples=50)
@given(moves)
def test_the_lowest_limit_holds_and_the_last_call_leaves_nothing(
    moves: list[tuple[int, ThreadLimit | None]],
) -> None:
    """
    For every interleaving of calls in threads that begin and end: what all threads share is at
    min(before, limits of all calls), what each has for itself at min(before, limits of its own).
    """
    with many(), ExitStack() as stack:
        pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(N_THREADS)]
        workers = [Worker(pool) for pool in pools]
        for who, limit in moves:
            workers[who].move(limit)
            for worker in workers:
                seen: Seen = worker.do(see)
                assert set(seen.blas.values()) == {min(w.lowest("blas") for w in workers)}
                assert set(seen.openmp.values()) == {worker.lowest("openmp")}
        for worker in workers:
            while worker.inside:
                worker.move(None)
        assert [worker.do(see).all() for worker in workers] == [{MANY}] * N_THREADS
        assert see().all() == {MANY}


def test_imports_are_watched_inside_of_calls_only() -> None:
    """
    Outside, whoever looks for a module finds it as if there were no limits.
    """
    before = loader_of("antigravity")
    with ThreadLimit(1, None)():
        assert loader_of("antigravity") is not before
    assert loader_of("antigravity") is before


def loader_of(name: str) -> type[object]:
    spec = find_spec(name)
    assert spec is not None
    return type(spec.loader)


def test_it_holds_whoever_else_has_set_a_limit() -> None:
    """
    threadpoolctl lets the first thread that limits OpenBLAS be the only one; calls are limited
    nevertheless, and afterwards that thread has its way again.
    """
    with many(), ThreadPoolExecutor(1) as pool:
        controls = pool.submit(threadpool_limits, 3, user_api="blas").result(20)
        with ThreadLimit(1, None)():
            assert see().all() == {1}
        assert set(see().blas.values()) == {3}
        pool.submit(controls.__exit__, None, None, None).result(20)
        assert see().all() == {MANY}


@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ({"internal_api": "openmp"}, False),
        ({"internal_api": "mkl", "threading_layer": "intel"}, False),
        ({"internal_api": "openblas", "threading_layer": "openmp"}, False),
        ({"internal_api": "openblas", "threading_layer": "pthreads"}, True),
        ({"internal_api": "blis", "threading_layer": "openmp"}, True),
        ({"internal_api": "something new"}, True),
    ],
    ids=str,
)
def test_which_libraries_have_one_number_for_all_threads(
    library: dict[str, str], expected: bool
) -> None:
    """
    Those whose limit threadpoolctl sets for the calling thread alone have one for each.
    """

    described: Any = SimpleNamespace(**library)
    assert is_shared(described) is expected


def test_a_library_that_does_not_tell_is_left_alone() -> None:
    """
    What it had before could not be put back.
    """

    class Silent:
        user_api = "blas"
        num_threads = None

    silent: Any = Silent()
    throttle = Throttle(silent, None)
    call = ThreadLimit(1, None)()
    throttle.lower(call)
    throttle.lift(call)


def test_a_forked_process_has_the_limits_of_its_own_thread(tmp_path: Path) -> None:
    """
    A call in another thread is not in the child, so its limit is lifted there; the limit of the call
    that forked holds, also for what is loaded later, until it ends.
    """
    code = f"""
import os, sys, threading, warnings
import numpy
from threadpoolctl import threadpool_info, threadpool_limits
from amltk.threadpoolctl.limiting import ThreadLimit

sys.path.append({str(tmp_path)!r})
warnings.simplefilter("ignore")  # of forking with threads
inside, over = threading.Event(), threading.Event()

def see():
    return sorted({{(each["user_api"], each["num_threads"]) for each in threadpool_info()}})

def call_in_thread():
    with ThreadLimit(1, None)():
        inside.set()
        over.wait()

threadpool_limits({MANY})
os.environ["OMP_NUM_THREADS"] = "{MANY}"
thread = threading.Thread(target=call_in_thread)
thread.start()
inside.wait()
with ThreadLimit(2, None)():
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    print(see())
    if not child:
        import brings_openmp
        print(see())
        numpy.ones((300, 300)) @ numpy.ones((300, 300))
if not child:
    print(see(), flush=True)
    os._exit(0)
over.set()
thread.join()
print(see())
"""
    (tmp_path / "brings_openmp.py").write_text(f"import ctypes; ctypes.CDLL({openmp()!r})")
    with program(tmp_path / "program.py", code) as process:
        out, err = process.communicate(timeout=50)
    assert (out.splitlines(), err) == (
        [
            *("[('blas', 2)]", "[('blas', 2), ('openmp', 2)]"),
            f"[('blas', {MANY}), ('openmp', {MANY})]",
            *("[('blas', 1)]", f"[('blas', {MANY})]"),
        ],
        "",
    )
