"""What is measured, against what, and how much it may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ROWS", "Row"]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    """What `--only` calls it."""
    what: str
    """What we do."""
    against: str
    """What it is compared to."""
    function: str
    """Where it is measured, as `module.function`; returns a list of pairs."""
    at_most: float
    """The bound: what the median of the comparisons may be."""
    unit: Literal["ms", "us", "ns", "KiB"]
    """In what the two figures are shown."""
    per: int = 1
    """How many calls a measurement is made of; figures are shown for one of them."""
    compared: Literal["ratio", "difference"] = "ratio"
    """Whether we may be so many times theirs, or so much more."""
    strictly: bool = False
    """Whether the bound itself is too much."""
    other_libraries: bool = False
    """Whether it needs the environment with the libraries we compare to."""


ROWS = (
    Row(
        "threads",
        "20,000 no-op calls of a task with one on_result, 2 threads",
        "ThreadPoolExecutor, as_completed",
        "throughput.with_threads",
        at_most=1.6,
        unit="us",
        per=20_000,
    ),
    Row(
        "processes",
        "the same, 2 processes",
        "ProcessPoolExecutor, as_completed",
        "throughput.with_processes",
        at_most=1.08,
        unit="us",
        per=20_000,
    ),
    *(
        Row(
            name,
            f"2,000 no-op calls of a task with one on_result, on {where}",
            "Client.submit, as_completed(with_results=True)",
            f"through_dask.{function}",
            at_most=1.1,
            unit="us",
            per=2_000,
        )
        for name, where, function in (
            ("dask", "an executor of a Dask client", "on_an_executor_of_a_client"),
            ("dask-local", "a Dask cluster of the run", "on_a_cluster_of_the_run"),
        )
    ),
    Row(
        "ray",
        "2,000 no-op calls of a task with one on_result, on Ray",
        "ray.remote, ray.get",
        "on_ray.no_ops",
        at_most=1.1,
        unit="us",
        per=2_000,
    ),
    Row(
        "emit",
        "Subscriber.emit, one callback, one argument",
        "a for loop over a list, calling it",
        "emit.against_a_loop",
        at_most=4,
        unit="ns",
        per=200_000,
        other_libraries=True,
    ),
    *(
        Row(
            name,
            "the same",
            name,
            f"emit.against_{name}",
            at_most=1,
            unit="ns",
            per=200_000,
            strictly=True,
            other_libraries=True,
        )
        for name in ("pyee", "blinker", "psygnal")
    ),
    Row(
        "pending",
        "time per call, 200,000 pending",
        "2,000 pending",
        "pending.many_or_few",
        at_most=1.3,
        unit="us",
    ),
    Row(
        "memory",
        "memory per pending call, 2 threads",
        "ThreadPoolExecutor",
        "memory.per_pending_call",
        at_most=1.0,
        unit="KiB",
        compared="difference",
    ),
    Row(
        "import",
        "import amltk",
        "import asyncio, concurrent.futures.process",
        "import_time.fresh_import",
        at_most=1.5,
        unit="ms",
    ),
    Row(
        "latency-threads",
        "from the outcome to the callback, one call at a time, 2 threads",
        "await loop.run_in_executor",
        "latency.with_threads",
        at_most=1.0,
        unit="us",
    ),
    Row(
        "latency-processes",
        "the same, 2 processes",
        "await loop.run_in_executor",
        "latency.with_processes",
        at_most=1.0,
        unit="us",
    ),
    *(
        Row(
            name,
            f"a no-op call with {what}, sequentially",
            "a no-op call without",
            f"plugins.{function}",
            at_most=5.0,
            unit="us",
            per=20_000,
            compared="difference",
        )
        for name, what, function in (
            ("limiter", "a CallLimiter", "limiter"),
            ("retry", "a Retry", "retry"),
            ("limiter-retry", "both", "limiter_and_retry"),
            ("warning-filter", "a WarningFilterPlugin", "warning_filter"),
        )
    ),
    Row(
        "threadpoolctl",
        "a no-op call with a ThreadPoolCTLPlugin and numpy, sequentially",
        "a no-op call without",
        "plugins.threadpoolctl",
        at_most=50.0,
        unit="us",
        per=20_000,
        compared="difference",
    ),
    Row(
        "comm",
        "100,000 messages of 100 bytes from a call in a worker process",
        "multiprocessing.Pipe",
        "comm.against_a_pipe",
        at_most=3,
        unit="us",
        per=100_000,
    ),
    Row(
        "feed",
        "a no-op call out of a feed, sequentially",
        "on_result submits the next one",
        "plugins.feeding",
        at_most=1.25,
        unit="us",
        per=20_000,
    ),
    Row(
        "limits",
        "a no-op call with all three limits, in a process of its own",
        "a forked multiprocessing.Process and a Pipe",
        "limits.with_all_limits",
        at_most=2.0,
        unit="ms",
        per=100,
    ),
)
