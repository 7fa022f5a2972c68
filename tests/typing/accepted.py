"""What has to be right for a type checker: read by five of them, run by nobody.

`assert_type` says what each of them has to make of an expression, to the letter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from concurrent.futures import Future as ConcurrentFuture
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self, assert_type

from typing_extensions import TypeVar, override

from amltk import CallLimiter, Emitter, Event, Scheduler, Subscriber, Task, TaskPlugin
from amltk.airflow import AirflowExecutor
from amltk.backends import Airflow, HTCondor, Loky, Processes, Ray, Sequential, Slurm, Threads
from amltk.backends.ray import RayExecutor
from amltk.exceptions import (
    CpuTimeoutException,
    MemoryLimitException,
    TimeoutException,
    WallTimeoutException,
)
from amltk.pynisher import PynisherPlugin
from amltk.scheduling import (
    Call,
    Comm,
    ExceptionEvent,
    ExitCode,
    ExitState,
    Feed,
    FutureEvent,
    ResultEvent,
    Retry,
    SubmissionEvent,
    SubmittedEvent,
    WarningFilterPlugin,
    exponential,
)
from amltk.threadpoolctl import ThreadPoolCTLPlugin
from amltk.types import Requeue

R = TypeVar("R")


def train(rate: float, *, epochs: int = 1) -> str:
    return f"{rate}, {epochs}"


def halve(n: int, /) -> int:
    return n // 2


scheduler = Scheduler.with_processes(2, mp_context="spawn")
task = scheduler.task(train)
other = scheduler.task(halve)

# A task is made of a function, and is called like it.

assert_type(scheduler, Scheduler)
assert_type(other, Task[[int], int])
assert_type(task(0.1), asyncio.Future[str] | None)
assert_type(task(rate=0.1, epochs=3), asyncio.Future[str] | None)
assert_type(task.submit(0.1, epochs=3), asyncio.Future[str] | None)
assert_type(task.function(0.1, epochs=3), str)
assert_type(task.copy()(0.1), asyncio.Future[str] | None)
assert_type(task.futures(), list[asyncio.Future[str]])
assert_type(task.event_counts, Counter[Event | str])
assert_type(task.event_counts["on_result"], int)
assert_type(task.event_counts[Task.RESULT], int)
assert_type(scheduler.tasks, list[Task[..., Any]])
assert_type(scheduler.queue, Mapping[asyncio.Future[Any], Call[Any]])
Task(train, scheduler, plugins=[CallLimiter(max_calls=1)])


async def awaits_what_it_submits() -> None:
    assert_type(await scheduler.submit(train, 0.1, epochs=2), str)
    assert_type(await scheduler.submit(halve, 2), int)
    assert_type(await asyncio.gather(*other.futures()), list[int])
    future = task(0.1)
    if future is not None:
        assert_type(await future, str)
    assert_type(await scheduler.async_run(timeout=1), ExitState)


class Model:
    def fit(self, rows: list[float]) -> Self:
        assert rows
        return self


assert_type(scheduler.task(Model().fit)([1.0]), asyncio.Future[Model] | None)
assert_type(scheduler.task(Model)(), asyncio.Future[Model] | None)
assert_type(scheduler.submit(lambda: 3), asyncio.Future[int])


# What the events of a task pass depends on the function.

assert_type(other.on_submitted, Subscriber[[asyncio.Future[int], int]])
assert_type(task.on_done, Subscriber[[asyncio.Future[str]]])
assert_type(task.on_result, Subscriber[[asyncio.Future[str], str]])
assert_type(task.on_exception, Subscriber[[asyncio.Future[str], BaseException]])
assert_type(task.on_cancelled, Subscriber[[asyncio.Future[str]]])
assert_type(task.on(Task.RESULT), Subscriber[[asyncio.Future[str], str]])
assert_type(task.on("on_result", limit=2), Subscriber[[asyncio.Future[str], str]])
assert_type(task.on("on_done"), Subscriber[[asyncio.Future[str]]])
assert_type(task.on("on_exception"), Subscriber[[asyncio.Future[str], BaseException]])
assert_type(other.on("on_submitted"), Subscriber[[asyncio.Future[int], int]])
assert_type(other.on("call-limit-reached"), Subscriber[[Task[[int], int], int]])
assert_type(other.on(CallLimiter.CONCURRENT_LIMIT_REACHED), Subscriber[[Task[[int], int], int]])

# Callbacks keep the type they were written with, under any number of decorators.


@task.on_result
def plain(future: asyncio.Future[str], result: str) -> int:
    return len(f"{future}{result}")


@task.on_result(limit=3, repeat=2, every=2, when=lambda: True)
@other.on_result(every=2)
def shared(_: asyncio.Future[Any], result: object, verbose: bool = False) -> bool:
    return bool(result) and verbose


@task.on("on_exception")
@scheduler.on_future_exception
@other.on(Task.EXCEPTION)
def failed(_: object, error: BaseException, /) -> None:
    scheduler.stop(exception=error)


@task.on_result
def exactly_so(future: asyncio.Future[str], result: str, /) -> str:
    return result


@scheduler.on_empty
def exactly_nothing() -> int:
    return 3


@task.on_submitted
def submitted(future: asyncio.Future[str], rate: float, *, epochs: int = 1) -> tuple[float, int]:
    return rate, epochs


@task.on_submitted
def submitted_anyhow(future: asyncio.Future[str], *args: object, **kwargs: object) -> None:
    assert args


@task.on("concurrent-limit-reached")
def try_again(task: Task, rate: float, *, epochs: int = 1) -> None:
    items.requeue(int(rate) + epochs)


@other.on("disabled-due-to-running-task")
def with_the_task_as_it_is(task: Task[[int], int], n: int) -> None:
    task(n)


assert_type(plain(asyncio.Future(), "a"), int)
assert_type(shared(asyncio.Future(), 1, verbose=True), bool)
assert_type(exactly_so(asyncio.Future(), "a"), str)
assert_type(exactly_nothing(), int)
assert_type(submitted(asyncio.Future(), 0.1, epochs=1), tuple[float, int])
failed(None, ValueError())
try_again(task, 0.1)

# Anything that can be called that way will do.

task.on_result(print)
task.on_result(scheduler.stop)
scheduler.on_start(scheduler.stop)
scheduler.on_start(Model)
task.on_done.add(lambda future: print(future.result().upper()), print)
task.on_result.add(lambda _, result: print(result.upper()))
task.on_result(lambda _, result: print(result.upper()))
task.on_result.remove(plain)
scheduler.on_start.add(lambda: None)


@scheduler.on_start(repeat=4)
def begin() -> None:
    task(next(items) / 2)
    scheduler.submit(halve, 3)


# Events of one's own, and what emits them.

SAVED: Event[[str, int]] = Event("saved")


class Store(Emitter):
    def __init__(self) -> None:
        super().__init__("store")
        self.on_saved = self.subscriber(SAVED)

    def save(self, path: str) -> None:
        self.on_saved.emit(path, 3)
        self.emit(SAVED, path, 3)


store = Store()
assert_type(store.on_saved, Subscriber[[str, int]])
assert_type(store.on(SAVED, every=2), Subscriber[[str, int]])
assert_type(task.on(SAVED), Subscriber[[str, int]])
assert_type(store.on_saved(limit=1), Subscriber[[str, int]])
assert_type(store.on_saved.event, Event[[str, int]])
assert_type(store.on_saved.event_count, int)
store.on("saved")(print)
task.on(Event("of-a-plugin"))(print)


@store.on(SAVED)
def report(path: str, size: int) -> None:
    print(path, size)


# Plugins.


class Seeded(TaskPlugin):
    """Adds a keyword to every call, refuses some, and has an event for those."""

    name: ClassVar[str] = "seeded"
    REFUSED: ClassVar[SubmissionEvent] = SubmissionEvent("refused")
    FOUND: ClassVar[ResultEvent] = ResultEvent("found")
    LOST: ClassVar[FutureEvent] = FutureEvent("lost")
    BROKEN: ClassVar[ExceptionEvent] = ExceptionEvent("broken")
    SENT: ClassVar[SubmittedEvent] = SubmittedEvent("sent")

    @override
    def attach_task(self, task: Task, /) -> None:
        super().attach_task(task)
        self.refused = task.on(self.REFUSED)

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R] | None:
        if call.args:
            self.refused.emit(self.task, *call.args, **call.kwargs)
            return None
        return call.with_kwargs(seed=1).with_function(call.function)

    @override
    def copy(self) -> Self:
        return type(self)()


seeded = scheduler.task(halve, plugins=Seeded())
assert_type(seeded.on(Seeded.REFUSED), Subscriber[[Task[[int], int], int]])
assert_type(seeded.on(Seeded.FOUND), Subscriber[[asyncio.Future[int], int]])
assert_type(seeded.on(Seeded.LOST), Subscriber[[asyncio.Future[int]]])
assert_type(seeded.on(Seeded.BROKEN), Subscriber[[asyncio.Future[int], BaseException]])
assert_type(seeded.on(Seeded.SENT), Subscriber[[asyncio.Future[int], int]])
assert_type(Call.of(train, 0.1, epochs=2), Call[str])
assert_type(Call.of(train, 0.1).with_kwargs(epochs=2), Call[str])
assert_type(Call.of(train, 0.1).function(0.1), str)
scheduler.task(halve, plugins=[CallLimiter(max_concurrent=2, not_while_running=task)])
CallLimiter(not_while_running=[task, other]).copy().attach_task(task)


@seeded.on(Seeded.REFUSED)
def again(task: Task, n: int) -> None:
    task(n)


# Retries.

retried = scheduler.task(train, plugins=Retry(attempts=5, on=(OSError, KeyError), wait=2))
assert_type(retried.on("retry"), Subscriber[[int, BaseException, float]])
assert_type(retried.on("gave-up"), Subscriber[[int, BaseException]])
assert_type(retried.on(Retry.RETRY), Subscriber[[int, BaseException, float]])
assert_type(retried.on(Retry.GAVE_UP, limit=1), Subscriber[[int, BaseException]])
assert_type(Retry().copy(), Retry)
assert_type(exponential(0.5, jitter=0.1, seed=1), Callable[[int], float])
Retry(on=lambda error: "busy" in str(error), wait=lambda attempt: 2**attempt)


def with_more_memory(call: Call[Any], attempt: int) -> Call[Any]:
    return call.with_kwargs(memory=attempt)


Retry(wait=exponential(), max_lost=0, change=with_more_memory)


@retried.on("retry")
def say_why(attempt: int, error: BaseException, wait: float) -> str:
    return f"{attempt}: {error}, {wait:.1f} s"


@retried.on(Retry.GAVE_UP)
@other.on("gave-up", limit=2)
def note_it(attempt: int, error: BaseException) -> None:
    print(attempt, error)


# What is around a call.

quiet = WarningFilterPlugin("ignore", message="a text", category=FutureWarning, append=True)
assert_type(quiet.copy(), WarningFilterPlugin)
assert_type(quiet.category, type[Warning])
single = ThreadPoolCTLPlugin(1, user_api="blas")
assert_type(single.copy(), ThreadPoolCTLPlugin)
assert_type(single.max_threads, int)
scheduler.task(train, plugins=[quiet, single, WarningFilterPlugin("error", module="numpy")])

# Limits.

limited = scheduler.task(train, plugins=PynisherPlugin((2, "GB"), wall_time_limit=(1.5, "h")))
assert_type(limited.on("pynisher-timeout"), Subscriber[[TimeoutException]])
assert_type(limited.on("pynisher-wall-time-limit"), Subscriber[[WallTimeoutException]])
assert_type(limited.on("pynisher-cpu-time-limit"), Subscriber[[CpuTimeoutException]])
assert_type(limited.on("pynisher-memory-limit"), Subscriber[[MemoryLimitException]])
assert_type(limited.on(PynisherPlugin.TIMEOUT), Subscriber[[TimeoutException]])
assert_type(limited.on(PynisherPlugin.WALL_TIME_LIMIT_REACHED), Subscriber[[WallTimeoutException]])
assert_type(limited.on(PynisherPlugin.CPU_TIME_LIMIT_REACHED), Subscriber[[CpuTimeoutException]])
assert_type(limited.on(PynisherPlugin.MEMORY_LIMIT_REACHED), Subscriber[[MemoryLimitException]])
assert_type(PynisherPlugin.supports("memory"), bool)
assert_type(PynisherPlugin(cpu_time_limit=10, context="fork").copy(), PynisherPlugin)
assert_type(PynisherPlugin.with_limits(Call.of(train, 0.1), memory_limit=2**30), Call[str])


def with_more_time(call: Call[R], attempt: int) -> Call[R]:
    return PynisherPlugin.with_limits(call, wall_time_limit=(attempt, "min"), memory_limit=None)


Retry(on=PynisherPlugin.TimeoutException, change=with_more_time)


@limited.on("pynisher-timeout")
def say_which(error: PynisherPlugin.TimeoutException) -> bool:
    return isinstance(error, PynisherPlugin.WallTimeoutException)


# Messages.


class Step(NamedTuple):
    epoch: int
    loss: float


def learn(rate: float, *, comm: Comm = Comm.NONE) -> float:
    comm.send(Step(1, 0.5))
    go_on: bool = comm.request("go on?", timeout=1.5)
    with comm:
        assert_type(comm.identifier, str)
    comm.close()
    return rate if go_on else 0.0


def learn_perhaps(rate: float, comm: Comm | None = None) -> float:
    if comm is not None:
        comm.send(rate)
    return rate


learning = scheduler.task(learn, plugins=[Comm.Plugin(), Retry()])
assert_type(learning(0.1), asyncio.Future[float] | None)
assert_type(
    scheduler.task(learn_perhaps, plugins=Comm.Plugin("here"))(0.1), asyncio.Future[float] | None
)
assert_type(learning.on("comm-message"), Subscriber[[Comm.Msg[Any]]])
assert_type(learning.on("comm-request", limit=1), Subscriber[[Comm.Msg[Any]]])
assert_type(learning.on("comm-close"), Subscriber[[Comm.Msg[Any]]])
assert_type(learning.on(Comm.MESSAGE), Subscriber[[Comm.Msg[Any]]])
assert_type(learning.on(Comm.REQUEST), Subscriber[[Comm.Msg[Any]]])
assert_type(learning.on(Comm.CLOSE), Subscriber[[Comm.Msg[Any]]])
assert_type(Comm.Plugin(host="login1", listen="0.0.0.0").copy(), Comm.Plugin)


@learning.on("comm-message")
def plot(msg: Comm.Msg[Step]) -> int:
    assert_type(msg.data, Step)
    assert_type(msg.identifier, str)
    assert_type(msg.task, Task[..., Any])
    assert_type(msg.future, asyncio.Future[Any])
    return msg.data.epoch


@learning.on("comm-request")
@retried.on(Comm.REQUEST)
def decide(msg: Comm.Msg[str]) -> None:
    msg.respond(msg.data == "go on?")


@learning.on(Comm.CLOSE)
def note(msg: Comm.Msg[None]) -> None:
    print(msg.identifier)


learning.on("comm-request").add(lambda msg: msg.respond(1))

# Feeds.

feed = other.feed(range(3), max_pending=2)
assert_type(feed, Feed[int])
assert_type(next(feed), int)
assert_type(list(feed), list[int])
assert_type(feed.stop(), None)
task.feed([0.1, 0.2], max_pending=4)
task.feed((rate / 10 for rate in range(10)), max_pending=4)

# Backends: recipes, and the constructors that take what these are made of.


class Mine(Scheduler):
    """A scheduler of somebody's own."""


@dataclass(frozen=True)
class Elsewhere:
    """A backend of somebody's own."""

    host: str

    def open(self) -> Executor:
        return ThreadPoolExecutor(1, thread_name_prefix=self.host)


assert_type(Mine.with_processes(4), Mine)
assert_type(Mine.with_loky(max_workers=2, reuse="auto", env={"A": "1"}), Mine)
assert_type(Scheduler.with_threads(2, thread_name_prefix="worker"), Scheduler)
assert_type(Mine.with_dask("tcp://10.0.0.1:8786", timeout=5), Mine)
assert_type(Scheduler.with_dask(n_workers=2, threads_per_worker=1), Scheduler)
assert_type(Scheduler.with_sequential(), Scheduler)
assert_type(Mine.with_ray("auto", num_cpus=0.5, resources={"license": 1}), Mine)
assert_type(RayExecutor(Ray(num_gpus=1)).submit(train, 0.1), ConcurrentFuture[str])
assert_type(Mine.from_backend(Sequential()), Mine)
assert_type(Scheduler(Processes(2)), Scheduler)
assert_type(Loky(2).max_workers, int | None)

# Each cluster manager has fields of its own.

assert_type(Mine.with_slurm(4, cores=2, memory="6 GB", account="me", job_cpu=3), Mine)
assert_type(Scheduler.with_pbs(4, resource_spec="select=1", walltime="01:00:00"), Scheduler)
assert_type(Scheduler.with_sge(n_workers=4, project="p"), Scheduler)
assert_type(Scheduler.with_lsf(4, ncpus=2, lsf_units="mb", use_stdin=False), Scheduler)
assert_type(Scheduler.with_moab(4, adaptive=False, queue="short"), Scheduler)
assert_type(Scheduler.with_htcondor(4, disk="4 GB", job_extra_directives={"a": "b"}), Scheduler)
assert_type(Scheduler.with_oar(4, memory_per_core_property_name="memcore"), Scheduler)
assert_type(Mine.with_dask_jobqueue("slurm", 4, cores=2, account="me"), Mine)
assert_type(Scheduler.with_dask_jobqueue("oar", n_workers=4, project="p"), Scheduler)
assert_type(Mine.with_airflow("https://there", "s3://calls", token=lambda: "abc"), Mine)
assert_type(Scheduler.with_airflow("http://a", "/c", username="me", password="word"), Scheduler)
assert_type(Airflow("http://there", "/calls", token="abc").open(), AirflowExecutor)
assert_type(Slurm(4, security=False, job_script_prologue=["module load python"]).job_script(), str)
assert_type(HTCondor(4).disk, str | None)
Scheduler(Elsewhere("here"))
Scheduler(executor=ThreadPoolExecutor(1), terminate=False)
with_processes: Callable[[int], Scheduler] = Scheduler.with_processes
with_threads: Callable[[], Mine] = Mine.with_threads
recipes = [Processes(), Threads(), Loky(), Sequential()]

# A run, and how it ended.

state = scheduler.run(timeout=1.5, end_on_empty=False, wait=False, display=True)
assert_type(state, ExitState)
assert_type(state.code, ExitCode)
assert_type(state.exception, BaseException | None)
assert_type(scheduler.exit_state, ExitState | None)
timeout: Scheduler.ExitCode = Scheduler.ExitCode.TIMEOUT
assert_type(scheduler.run(on_exception="end", asyncio_debug_mode=True), Scheduler.ExitState)
scheduler.run(on_exception={ValueError: "ignore", BaseException: "end"})
scheduler.run_in_notebook(timeout=None, on_exception="ignore")

# An iterator that takes things back.

items = Requeue(range(10))
assert_type(items, Requeue[int])
assert_type(next(items), int)
assert_type(next(items, None), int | None)
assert_type(list(Requeue(["a"])), list[str])
empty: Requeue[bytes] = Requeue()
empty.requeue(b"a", b"b")
empty.append(b"c")
