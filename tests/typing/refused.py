"""What a type checker has to refuse, line by line: read by five of them, run by nobody.

Every wrong line carries an ignore. One that nobody needs is an error too, and the code in brackets
is mypy's, so a line is refused for the right reason. `not ty` behind it: ty does not notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future as ConcurrentFuture
from typing import Any, ClassVar, Self, assert_type

from typing_extensions import override

from amltk import CallLimiter, Emitter, Event, Scheduler, Task, TaskPlugin
from amltk import airflow as amltk_airflow
from amltk.backends import PBS, HTCondor, Loky, Processes, Sequential, Slurm, Threads
from amltk.events import CallbackOptions
from amltk.exceptions import MemoryLimitException, WallTimeoutException
from amltk.pynisher import PynisherPlugin
from amltk.scheduling import (
    Call,
    Comm,
    ExitCode,
    ExitState,
    Feed,
    ResultEvent,
    Retry,
    SubmissionEvent,
    WarningFilterPlugin,
    exponential,
)
from amltk.scheduling.run_options import RunOptions
from amltk.threadpoolctl import ThreadPoolCTLPlugin
from amltk.types import Requeue


def train(rate: float, *, epochs: int = 1) -> str:
    return f"{rate}, {epochs}"


def halve(n: int, /) -> int:
    return n // 2


scheduler = Scheduler.with_processes(2)
task = scheduler.task(train)
other = scheduler.task(halve)


def nothing() -> None: ...
def takes_text(text: str) -> None: ...
def takes_one(future: asyncio.Future[str]) -> None: ...
def takes_number(future: asyncio.Future[str], result: int) -> None: ...
def takes_three(future: asyncio.Future[str], result: str, more: int) -> None: ...
def takes_keyword(future: asyncio.Future[str], *, result: str) -> None: ...
def takes_narrow_error(future: asyncio.Future[str], error: ValueError) -> None: ...
def takes_thread_future(future: ConcurrentFuture[str], result: str) -> None: ...
def takes_int_rate(future: asyncio.Future[str], rate: int, *, epochs: int = 1) -> None: ...
def takes_no_keyword(future: asyncio.Future[str], rate: float) -> None: ...
def takes_task(task: Task[[int], int], n: int) -> None: ...


# Callbacks of a scheduler that cannot be called with what its events pass.

scheduler.on_start(takes_text)  # type: ignore[call-overload]
scheduler.on_finishing(takes_text)  # type: ignore[call-overload]
scheduler.on_finished(takes_text)  # type: ignore[call-overload]
scheduler.on_stop(takes_text)  # type: ignore[call-overload]
scheduler.on_timeout(takes_text)  # type: ignore[call-overload]
scheduler.on_empty(takes_text)  # type: ignore[call-overload]
scheduler.on_future_submitted(nothing)  # type: ignore[call-overload]
scheduler.on_future_done(takes_three)  # type: ignore[call-overload]
scheduler.on_future_result(takes_one)  # type: ignore[call-overload]
scheduler.on_future_exception(takes_narrow_error)  # type: ignore[call-overload]
scheduler.on_future_cancelled(takes_text)  # type: ignore[call-overload]
scheduler.on_start(scheduler)  # type: ignore[call-overload]
scheduler.on_start("print")  # type: ignore[call-overload]
scheduler.on_start(nothing())  # type: ignore[call-overload, func-returns-value]
scheduler.on_start.add(takes_text)  # type: ignore[arg-type]
scheduler.on_start.add(nothing, takes_text)  # type: ignore[arg-type]
scheduler.on_start(lambda text: print(text))  # type: ignore[call-overload]
scheduler.on_future_result(halve)  # type: ignore[call-overload]


@scheduler.on_future_result  # type: ignore[call-overload]
def one_too_few(future: asyncio.Future[Any]) -> None: ...


@scheduler.on_start(repeat=2)  # type: ignore[call-overload]
def one_too_many(future: asyncio.Future[Any]) -> None: ...


# Callbacks of a task: what they are called with depends on its function.

task.on_submitted(takes_one)  # type: ignore[call-overload]
task.on_submitted(takes_int_rate)  # type: ignore[call-overload]
task.on_submitted(takes_no_keyword)  # type: ignore[call-overload]
task.on_done(takes_number)  # type: ignore[call-overload]
task.on_done(nothing)  # type: ignore[call-overload]
task.on_result(takes_one)  # type: ignore[call-overload]
task.on_result(takes_number)  # type: ignore[call-overload]
task.on_result(takes_three)  # type: ignore[call-overload]
task.on_result(takes_keyword)  # type: ignore[call-overload]
task.on_result(takes_thread_future)  # type: ignore[call-overload]
task.on_exception(takes_narrow_error)  # type: ignore[call-overload]
task.on_cancelled(nothing)  # type: ignore[call-overload]
task.on("on_result")(takes_number)  # type: ignore[call-overload]
task.on(Task.EXCEPTION)(takes_narrow_error)  # type: ignore[call-overload]
task.on(Task.SUBMITTED)(takes_no_keyword)  # type: ignore[call-overload]
task.on("call-limit-reached")(takes_task)  # type: ignore[call-overload]
task.on(CallLimiter.CONCURRENT_LIMIT_REACHED)(takes_task)  # type: ignore[call-overload]
task.on_result.add(lambda _, result: print(result + 1))  # type: ignore[operator]
task.on_result.add(lambda result: print(result))  # type: ignore[arg-type, misc]
task.on_result.remove("takes_number")  # type: ignore[arg-type]


@task.on_result  # type: ignore[call-overload]
def wrong_result(future: asyncio.Future[str], result: int) -> None: ...


@task.on("on_exception", limit=1)  # type: ignore[call-overload]
def wrong_error(future: asyncio.Future[str], error: KeyError) -> None: ...


@task.on_result  # type: ignore[call-overload]
@other.on_result
def right_for_one_of_two(future: asyncio.Future[Any], result: int) -> None: ...


@scheduler.on_future_result
@task.on_result
def stacked(future: asyncio.Future[str], result: str) -> int:
    return len(result)


stacked(asyncio.Future(), 1)  # type: ignore[arg-type]
stacked()  # type: ignore[call-arg]
stacked(asyncio.Future(), "a").upper()  # type: ignore[attr-defined]

# Options of callbacks.

scheduler.on_start(repeats=2)  # type: ignore[call-overload]
scheduler.on_start(nothing, repeats=2)  # type: ignore[call-overload]
scheduler.on_start(limit="3")  # type: ignore[call-overload]
scheduler.on_start(every=1.5)  # type: ignore[call-overload]
scheduler.on_start(repeat=None)  # type: ignore[call-overload]
scheduler.on_start(when=True)  # type: ignore[call-overload]
scheduler.on_start(when=takes_text)  # type: ignore[arg-type]
scheduler.on_start(nothing, limit="3")  # type: ignore[call-overload]
task.on_result(max=3)  # type: ignore[call-overload]
task.on("on_result", limits=3)  # type: ignore[call-overload]
task.on(Task.RESULT, every="2")  # type: ignore[call-overload]
scheduler.emitter.on("on_start", evry=2)  # type: ignore[call-overload]
scheduler.emitter.subscriber(Scheduler.STARTED, when=1)  # type: ignore[arg-type]
options: CallbackOptions = {"evry": 2}  # type: ignore[typeddict-unknown-key]

# Names of events.

task.on("on_results")  # type: ignore[call-overload]
task.on("result")  # type: ignore[call-overload]
task.on("call_limit_reached")  # type: ignore[call-overload]
task.on("on_future_result")  # type: ignore[call-overload]
task.on(3)  # type: ignore[call-overload]
task.on()  # type: ignore[call-overload]
task.on(event="on_result")  # type: ignore[call-overload]
task.on_finished(nothing)  # type: ignore[attr-defined]
scheduler.on_result(nothing)  # type: ignore[attr-defined]
scheduler.event_counts[3]  # type: ignore[index]

# Calls.

task()  # type: ignore[call-arg]
task("0.1")  # type: ignore[arg-type]
task(0.1, 3)  # type: ignore[call-arg]
task(0.1, epoch=3)  # type: ignore[call-arg]
task(0.1, epochs="3")  # type: ignore[arg-type]
task(0.1, 0.1, epochs=3)  # type: ignore[arg-type, misc]
task.submit()  # type: ignore[call-arg]
task.submit("0.1")  # type: ignore[arg-type]
task.submit(0.1, epoch=3)  # type: ignore[call-arg]
task.function(rates=0.1)  # type: ignore[call-arg]
task.copy()("0.1")  # type: ignore[arg-type]
other(n=3)  # type: ignore[call-arg]
other(1.5)  # type: ignore[arg-type]
task(0.1).result()  # type: ignore[union-attr]
scheduler.submit(train)  # type: ignore[call-arg]
scheduler.submit(train, "0.1")  # type: ignore[arg-type]
scheduler.submit(train, 0.1, epoch=3)  # type: ignore[call-arg]
scheduler.submit(train(0.1))  # type: ignore[arg-type]
scheduler.submit(function=train, rate=0.1)  # type: ignore[call-arg]
scheduler.task(train(0.1))  # type: ignore[arg-type]
scheduler.task(function=train)  # type: ignore[call-arg]
scheduler.task(train, plugin=CallLimiter())  # type: ignore[call-arg]
scheduler.task(train, plugins=CallLimiter)  # type: ignore[arg-type]
scheduler.task(train, plugins=["call-limiter"])  # type: ignore[list-item]
Task(train)  # type: ignore[call-arg]
Call.of(train, "0.1")  # type: ignore[arg-type]
Call.of(train, 0.1).with_function(halve)  # type: ignore[arg-type]
assert_type(task(0.1), asyncio.Future[str])  # type: ignore[assert-type]
text_future: asyncio.Future[str] = scheduler.submit(halve, 3)  # type: ignore[arg-type]


async def awaits() -> None:
    number: int = await scheduler.submit(train, 0.1)  # type: ignore[arg-type]
    await task(0.1)  # type: ignore[misc]
    await scheduler.async_run(timeout="1")  # type: ignore[arg-type]
    await scheduler.run()  # type: ignore[misc]
    ended: ExitCode = await scheduler.async_run()  # type: ignore[assignment]
    print(number, ended)


# Backends.

Scheduler.with_processes("2")  # type: ignore[arg-type]
Scheduler.with_processes(workers=2)  # type: ignore[call-arg]
Scheduler.with_processes(2, mp_context="thread")  # type: ignore[arg-type]
Scheduler.with_threads(max_worker=2)  # type: ignore[call-arg]
Scheduler.with_threads(thread_name_prefix=2)  # type: ignore[arg-type]
Scheduler.with_loky(reuse="yes")  # type: ignore[arg-type]
Scheduler.with_loky(max_wokers=2)  # type: ignore[call-arg]
Scheduler.with_loky(env={"A": 1})  # type: ignore[dict-item]
Scheduler.with_ray(num_cpus="2")  # type: ignore[arg-type]
Scheduler.with_ray(num_cpu=2)  # type: ignore[call-arg]
Scheduler.with_sequential(1)  # type: ignore[call-arg]
Scheduler.with_somewhere(n_workers=2)  # type: ignore[attr-defined]
Scheduler.with_dask(5)  # type: ignore[arg-type]
Scheduler.with_dask(n_workers="2")  # type: ignore[arg-type]
Scheduler.with_dask(n_worker=2)  # type: ignore[call-arg]
Scheduler.with_dask(silence_logs="quiet")  # type: ignore[arg-type]
Scheduler.with_slurm()  # type: ignore[call-arg]
Scheduler.with_slurm("2")  # type: ignore[arg-type]
Scheduler.with_slurm(2, querry="short")  # type: ignore[call-arg]
Scheduler.with_slurm(2, cores="4")  # type: ignore[arg-type]
Scheduler.with_slurm(2, resource_spec="select=1")  # type: ignore[call-arg]
Scheduler.with_slurm(2, project="p")  # type: ignore[call-arg]
Scheduler.with_slurm(2, env_extra=["a"])  # type: ignore[call-arg]
Scheduler.with_slurm(2, silence_logs="quiet")  # type: ignore[arg-type]
Scheduler.with_lsf(2, lsf_units="bytes")  # type: ignore[arg-type]
Scheduler.with_lsf(2, account="me")  # type: ignore[call-arg]
Scheduler.with_htcondor(2, queue="short")  # type: ignore[call-arg]
Scheduler.with_htcondor(2, job_extra_directives=["a"])  # type: ignore[arg-type]
Scheduler.with_dask_jobqueue("slrum", 2)  # type: ignore[call-overload]
Scheduler.with_dask_jobqueue("slurm")  # type: ignore[call-overload]
Scheduler.with_dask_jobqueue("slurm", 2, querry="short")  # type: ignore[call-overload]
Scheduler.with_dask_jobqueue("oar", 2, account="me")  # type: ignore[call-overload]
Scheduler.with_airflow("http://there")  # type: ignore[call-arg]
Scheduler.with_airflow("http://there", "/calls", tokn="abc")  # type: ignore[call-arg]
Scheduler.with_airflow("http://there", "/calls", token=5)  # type: ignore[arg-type]
amltk_airflow.AirflowExecuter  # type: ignore[attr-defined]
Scheduler()  # type: ignore[call-arg]
Scheduler("processes")  # type: ignore[arg-type]
Scheduler(Processes)  # type: ignore[arg-type]
Scheduler(Processes(2), terminat=False)  # type: ignore[call-arg]
Scheduler.from_backend(train)  # type: ignore[arg-type]
Scheduler.with_processes(2).max_workers  # type: ignore[attr-defined]
Processes(max_worker=2)  # type: ignore[call-arg]
Threads(2.5)  # type: ignore[arg-type]
Loky(2).max_workers = 3  # type: ignore[misc]
Slurm(2).cores = 3  # type: ignore[misc]
PBS(2, job_cpu=3)  # type: ignore[call-arg]
HTCondor(2).walltime  # type: ignore[attr-defined]
Processes().mp_context = "fork"  # type: ignore[misc]
Sequential().max_workers  # type: ignore[attr-defined]

# Runs.

scheduler.run(1)  # type: ignore[arg-type, call-arg]
scheduler.run(time_out=1)  # type: ignore[call-arg]
scheduler.run(timeout="1")  # type: ignore[arg-type]
scheduler.run(on_exception="rais")  # type: ignore[arg-type]
scheduler.run(on_exception={ValueError: "stop"})  # type: ignore[dict-item]
scheduler.run(on_exception={"ValueError": "end"})  # type: ignore[dict-item]
scheduler.run(on_exception=ValueError)  # type: ignore[arg-type]
scheduler.run(wait=None)  # type: ignore[arg-type]
scheduler.run(end_on_empty="yes")  # type: ignore[arg-type]
scheduler.run_in_notebook(dispaly=True)  # type: ignore[call-arg]
scheduler.run_in_notebook(asyncio_debug_mode=True)  # type: ignore[call-arg]
scheduler.stop(exception="done")  # type: ignore[arg-type]
run_options: RunOptions = {"timeot": 1}  # type: ignore[typeddict-unknown-key]
exit_code: ExitCode = scheduler.run()  # type: ignore[assignment]
ExitState(ExitCode.STOPPED).code = ExitCode.TIMEOUT  # type: ignore[misc]
ExitState("stopped")  # type: ignore[arg-type]
ExitCode.DONE  # type: ignore[attr-defined]

# Events of one's own.

SAVED: Event[[str, int]] = Event("saved")
emitter = Emitter("store")
on_saved = emitter.subscriber(SAVED)
SAVED.name = "stored"  # type: ignore[misc]
on_saved.emit("path")  # type: ignore[call-arg]
on_saved.emit("path", "3")  # type: ignore[arg-type]
on_saved.emit("path", 3, 4)  # type: ignore[call-arg]
on_saved.emit("path", size=3)  # type: ignore[call-arg]
emitter.emit(SAVED, "path")  # type: ignore[call-arg]
emitter.emit(SAVED, 3, "path")  # type: ignore[arg-type]
emitter.emit("saved", "path", 3)  # type: ignore[arg-type]
emitter.subscriber("saved")  # type: ignore[arg-type]
emitter.on(SAVED)(takes_one)  # type: ignore[call-overload]
emitter.on(3)  # type: ignore[call-overload]
task.on(SAVED)(takes_task)  # type: ignore[call-overload]
scheduler.on_start.emit(3)  # type: ignore[call-arg]
other.on_result.emit(asyncio.Future(), "3")  # type: ignore[arg-type]
other.on_submitted.emit(asyncio.Future[int]())  # type: ignore[call-arg]
other.on(CallLimiter.CALL_LIMIT_REACHED).emit(task, 3)  # type: ignore[arg-type]
Event(3)  # type: ignore[arg-type]
wrongly_declared: Event[[str]] = SAVED  # type: ignore[assignment]


@emitter.on(SAVED, every=3)  # type: ignore[call-overload]
def wrong_order(size: int, path: str) -> None: ...


# Plugins.


class Greedy(TaskPlugin):
    name: ClassVar[str] = "greedy"
    REFUSED: ClassVar[SubmissionEvent] = SubmissionEvent("refused")
    FOUND: ClassVar[ResultEvent] = ResultEvent("found")

    @override
    def pre_submit(self, call: Call[int], /) -> Call[int] | None:  # type: ignore[override]  # not ty
        return call

    @override
    def attach_task(self, task: str, /) -> None:  # type: ignore[override]
        pass

    @override
    def call_withdrawn(self) -> None:  # type: ignore[override]
        pass

    @override
    def pre_submitted(self, call: Call[int], /) -> None:  # type: ignore[misc]
        pass

    @override
    def copy(self) -> Self:
        return type(self)()


class WithoutCopy(TaskPlugin):
    name: ClassVar[str] = "without-copy"


WithoutCopy()  # type: ignore[abstract]
other.on(Greedy.REFUSED)(takes_text)  # type: ignore[call-overload]
other.on(Greedy.FOUND)(takes_number)  # type: ignore[call-overload]
CallLimiter(3)  # type: ignore[call-arg]
CallLimiter(max_call=3)  # type: ignore[call-arg]
CallLimiter(max_concurrent="3")  # type: ignore[arg-type]
CallLimiter(not_while_running=scheduler)  # type: ignore[arg-type]
task.attach_plugin(CallLimiter)  # type: ignore[arg-type]

# A plugin of one's own, with an event of its own.


class OutOfBudget(TaskPlugin):
    name: ClassVar[str] = "budget"
    SPENT: ClassVar[Event[[float, int]]] = Event("spent")

    @override
    def copy(self) -> Self:
        return type(self)()


def takes_budget(spent: float, calls: int) -> None: ...
def takes_spent_only(spent: float) -> None: ...
def takes_names(spent: str, calls: int) -> None: ...


budgeted = scheduler.task(train, plugins=OutOfBudget())
budgeted.on(OutOfBudget.SPENT)(takes_budget)
budgeted.on(OutOfBudget.SPENT)(takes_spent_only)  # type: ignore[call-overload]
budgeted.on(OutOfBudget.SPENT)(takes_names)  # type: ignore[call-overload]
budgeted.on(OutOfBudget.SPENT).emit(1.5)  # type: ignore[call-arg]
budgeted.on(OutOfBudget.SPENT).emit("1.5", 3)  # type: ignore[arg-type]
budgeted.on("spents")  # type: ignore[call-overload]


@budgeted.on(OutOfBudget.SPENT)  # type: ignore[call-overload]
def wrong_budget(spent: float, calls: str) -> None: ...


# Retries.


def takes_retry(attempt: int, error: BaseException, wait: float) -> None: ...
def takes_gave_up(attempt: int, error: BaseException) -> None: ...
def takes_boom(attempt: int, error: ValueError) -> None: ...


task.on("retry")(takes_gave_up)  # type: ignore[call-overload]
task.on("gave-up")(takes_retry)  # type: ignore[call-overload]
task.on("gave-up")(takes_boom)  # type: ignore[call-overload]
task.on(Retry.RETRY)(takes_gave_up)  # type: ignore[call-overload]
task.on(Retry.GAVE_UP)(takes_retry)  # type: ignore[call-overload]
task.on("gave_up")  # type: ignore[call-overload]
Retry("3")  # type: ignore[arg-type]
Retry(attempt=3)  # type: ignore[call-arg]
Retry(on="ValueError")  # type: ignore[arg-type]
Retry(on=int)  # type: ignore[arg-type]
Retry(wait="1")  # type: ignore[arg-type]
Retry(wait=takes_text)  # type: ignore[arg-type]
Retry(change=takes_text)  # type: ignore[arg-type]
Retry().attempts = 3  # type: ignore[misc]
exponential(jitter="0.1")  # type: ignore[arg-type]
exponential(1, 2)  # type: ignore[call-arg]

# What is around a call.

WarningFilterPlugin()  # type: ignore[call-arg]
WarningFilterPlugin("explode")  # type: ignore[arg-type]
WarningFilterPlugin("ignore", category=ValueError)  # type: ignore[arg-type]
WarningFilterPlugin("ignore", category="UserWarning")  # type: ignore[arg-type]
WarningFilterPlugin("ignore", message=None)  # type: ignore[arg-type]
WarningFilterPlugin("ignore", text="a text")  # type: ignore[call-arg]
WarningFilterPlugin("ignore").action = "error"  # type: ignore[misc]
ThreadPoolCTLPlugin()  # type: ignore[call-arg]
ThreadPoolCTLPlugin(None)  # type: ignore[arg-type]
ThreadPoolCTLPlugin(1, user_api="mkl")  # type: ignore[arg-type]
ThreadPoolCTLPlugin(threads=1)  # type: ignore[call-arg]
ThreadPoolCTLPlugin(1).max_threads = 2  # type: ignore[misc]

# Limits.


def takes_wall_timeout(error: WallTimeoutException) -> None: ...
def takes_memory_limit(error: MemoryLimitException) -> None: ...


task.on("pynisher-timeout")(takes_wall_timeout)  # type: ignore[call-overload]
task.on("pynisher-wall-time-limit")(takes_memory_limit)  # type: ignore[call-overload]
task.on("pynisher-cpu-time-limit")(takes_wall_timeout)  # type: ignore[call-overload]
task.on("pynisher-memory-limit")(takes_wall_timeout)  # type: ignore[call-overload]
task.on(PynisherPlugin.TIMEOUT)(takes_wall_timeout)  # type: ignore[call-overload]
task.on(PynisherPlugin.MEMORY_LIMIT_REACHED)(nothing)  # type: ignore[call-overload]
task.on("pynisher-time-limit")  # type: ignore[call-overload]
PynisherPlugin(memory_limit="2 GB")  # type: ignore[arg-type]
PynisherPlugin(memory_limit=(2, "GBs"))  # type: ignore[arg-type]
PynisherPlugin(wall_time_limit=(2, "GB"))  # type: ignore[arg-type]
PynisherPlugin(wall_time=2)  # type: ignore[call-arg]
PynisherPlugin(1, 2, 3, "fork")  # type: ignore[call-arg]
PynisherPlugin(context="forks")  # type: ignore[arg-type]
PynisherPlugin().memory_limit = 3  # type: ignore[misc]
PynisherPlugin.supports("time")  # type: ignore[arg-type]
PynisherPlugin.with_limits(Call.of(train, 0.1), wall_time=1)  # type: ignore[call-arg]
PynisherPlugin.with_limits(Call.of(train, 0.1), cpu_time_limit="1")  # type: ignore[arg-type]
PynisherPlugin.with_limits(train, cpu_time_limit=1)  # type: ignore[arg-type]

# Messages.


def takes_message(msg: Comm.Msg[int]) -> None:
    msg.data.upper()  # type: ignore[attr-defined]
    msg.answer(1)  # type: ignore[attr-defined]
    msg.respond(1, 2)  # type: ignore[call-arg]


def takes_data(data: int) -> None: ...


def speaks(rate: float, comm: Comm = Comm.NONE) -> None:
    comm.send()  # type: ignore[call-arg]
    comm.send(1, 2)  # type: ignore[call-arg]
    comm.request(1, 2)  # type: ignore[call-arg]
    comm.request(1, timeout="2")  # type: ignore[arg-type]
    comm.sent(rate)  # type: ignore[attr-defined]


task.on("comm-message")(takes_data)  # type: ignore[call-overload]
task.on("comm-close")(nothing)  # type: ignore[call-overload]
task.on(Comm.REQUEST)(takes_data)  # type: ignore[call-overload]
task.on("comm-answer")  # type: ignore[call-overload]
Comm.Plugin(3)  # type: ignore[arg-type]
Comm.Plugin("here", "there")  # type: ignore[call-arg]
Comm.Plugin(port=3)  # type: ignore[call-arg]
scheduler.task(speaks, plugins=Comm)  # type: ignore[arg-type]
scheduler.task(speaks, plugins=Comm.Plugin())("fast")  # type: ignore[arg-type]

# Feeds.

task.feed([0.1])  # type: ignore[call-arg]
task.feed(0.1, max_pending=2)  # type: ignore[arg-type]
task.feed(["0.1"], max_pending=2)  # type: ignore[list-item]
other.feed([0.1], max_pending=2)  # type: ignore[list-item]
task.feed([0.1], max_pending="2")  # type: ignore[arg-type]
task.feed([0.1], 2)  # type: ignore[call-arg]
number_feed: Feed[str] = other.feed([1], max_pending=2)  # type: ignore[assignment]

# Requeue.

items = Requeue(range(10))
items.requeue("3")  # type: ignore[arg-type]
items.append(3, "4")  # type: ignore[arg-type]
Requeue(3)  # type: ignore[arg-type]
words: Requeue[str] = items  # type: ignore[assignment]
with_processes: Callable[[str], Scheduler] = Scheduler.with_processes  # type: ignore[assignment]
