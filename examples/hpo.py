"""A hyperparameter search: the best model for handwritten digits, in a minute, on all cores.

    python examples/hpo.py --seconds 60 --backend processes
    python examples/hpo.py --seconds 600 --backend examples/slurm.toml

Each rung of the ladder (see `asha.py`) is a task. Whenever a worker has evaluated a trial, the
callback records its score and has the worker go on at once: with the trial that has now earned
more data, or else with a new one. Nobody waits for anybody.
"""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from asyncio import Future
from collections.abc import Callable, Iterable, Sequence

from asha import SuccessiveHalving
from digits import SHARES, Evaluation, Trial, cross_validate, evaluate_alone, random_trials
from leaderboard import Study, report
from rich.console import Console

from amltk import Scheduler
from amltk.backends import Backend, Sequential, load
from amltk.backends.jobqueue import JobQueue
from amltk.exceptions import AmltkError, BackendNotInstalledError, BackendUnavailableError

Evaluate = Callable[[Trial, int], Evaluation]

KNOWN = "processes, threads, loky, another name of a backend, or a TOML file"


def search(
    scheduler: Scheduler,
    trials: Iterable[Trial],
    *,
    workers: int,
    evaluate: Evaluate = cross_validate,
) -> Study:
    """Have a scheduler search whenever it runs; what it finds is in the study.

    Args:
        scheduler: What runs the evaluations.
        trials: What to try, in this order; each is drawn when there is a worker for it.
        workers: How many evaluations are handed out at any time.
        evaluate: What says how good a trial is with the data of a rung.
    """
    study = Study(workers)
    halving: SuccessiveHalving[Trial] = SuccessiveHalving(len(SHARES))
    rungs = [scheduler.task(evaluate) for _ in SHARES]
    beginners = ((trial, 0) for trial in trials)
    running: dict[Future[Evaluation], Trial] = {}

    @scheduler.on_start
    def begin() -> None:
        study.began = time.time()

    @scheduler.on_start(repeat=workers)
    def go_on() -> None:
        step = halving.promote() or next(beginners, None)
        if step is not None:
            trial, rung = step
            rungs[rung](trial, rung)

    def remember(future: Future[Evaluation], trial: Trial, _: int) -> None:
        running[future] = trial

    def record(future: Future[Evaluation], evaluation: Evaluation) -> None:
        study.evaluations.append(evaluation)
        halving.record(running.pop(future), evaluation.rung, evaluation.score)
        go_on()

    def give_up(future: Future[Evaluation], error: BaseException) -> None:
        study.failures.append((running.pop(future), error))
        go_on()

    for share, task in zip(SHARES, rungs, strict=True):
        task.name = f"{task.name} on {share}"
        task.on_submitted(remember)
        task.on_result(record)
        task.on_exception(give_up)

    @scheduler.on_finishing
    def end() -> None:
        study.ended = time.time()

    return study


class Options(Namespace):
    """What can be said on the command line, and what holds if nothing is."""

    seconds: float = 60
    backend: Backend
    workers: int | None = None
    seed: int = 0
    display: bool = True


def parse(arguments: Sequence[str] | None) -> Options:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--seconds", type=positive_seconds, help="how long new trials are begun (60)")
    backend = os.environ.get("AMLTK_BACKEND") or "processes"
    add("--backend", type=recipe, default=backend, help=f"what evaluates them ({backend}): {KNOWN}")
    add("--workers", type=positive, help="how many evaluate at a time (as many as there is room)")
    add("--seed", type=int, help="which trials are drawn (0)")
    add("--no-display", dest="display", action="store_false", help="print the end result only")
    return parser.parse_args(arguments, namespace=Options())


def main(arguments: Sequence[str] | None = None) -> int:
    """Search for as long as it is said, and print what was found; Ctrl-C ends it early."""
    options = parse(arguments)
    workers = room_in(options.backend, options.workers)
    scheduler = Scheduler(options.backend)
    trials = random_trials(options.seed)
    study = search(scheduler, trials, workers=workers, evaluate=evaluate_alone)
    try:
        interrupted = not ran_to_its_end(scheduler, options)
    except (BackendNotInstalledError, BackendUnavailableError) as error:
        sys.exit(f"Nothing was evaluated: {error}")
    if study.ended:  # or else Ctrl-C was pressed twice, by somebody who waits for no table
        Console().print(report(study))
    return 130 if interrupted else 0 if study.evaluations else 1


def room_in(backend: Backend, asked: int | None) -> int:
    """How many evaluations to hand out at a time."""
    if isinstance(backend, Sequential):
        return 1
    if asked is None and isinstance(backend, JobQueue):
        return backend.n_workers * (backend.cores or 1)
    return asked or os.cpu_count() or 1


def ran_to_its_end(scheduler: Scheduler, options: Options) -> bool:
    """Run, and say whether nobody pressed Ctrl-C."""
    try:
        # An evaluation that fails is in the study, and does not end the search.
        scheduler.run(timeout=options.seconds, on_exception="ignore", display=options.display)
    except KeyboardInterrupt:
        return False
    return True


def recipe(text: str) -> Backend:
    try:
        return load(text)
    except (AmltkError, OSError, TypeError, ValueError) as error:
        raise ArgumentTypeError(str(error)) from error


def positive(text: str) -> int:
    if int(text) < 1:
        raise ArgumentTypeError(f"{text} is too few: it has to be at least 1")
    return int(text)


def positive_seconds(text: str) -> float:
    if not float(text) > 0:
        raise ArgumentTypeError(f"{text} is no time at all: it has to be more than 0")
    return float(text)


if __name__ == "__main__":
    sys.exit(main())
