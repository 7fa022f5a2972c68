"""What came of a search, and the tables that tell: the best trials, and how busy the workers were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import stdev

from digits import SHARES, Evaluation, Trial
from rich.console import Group
from rich.table import Table

__all__ = ["Study", "busy_seconds", "report"]


@dataclass
class Study:
    """Everything a search found out, in the order in which it did."""

    workers: int
    """How many workers there were to be kept busy."""
    evaluations: list[Evaluation] = field(default_factory=list[Evaluation])
    failures: list[tuple[Trial, BaseException]] = field(
        default_factory=list[tuple[Trial, BaseException]]
    )
    began: float = 0
    """When the search began to hand out work, in seconds since the epoch."""
    ended: float = 0
    """When it stopped to."""

    def ranking(self) -> list[dict[int, Evaluation]]:
        """The evaluations of each trial by their rungs, the best trial first.

        Who came further is better: a score that was reached with more data is worth more.
        """
        trials: defaultdict[Trial, dict[int, Evaluation]] = defaultdict(dict)
        for evaluation in self.evaluations:
            trials[evaluation.trial][evaluation.rung] = evaluation
        return sorted(trials.values(), key=lambda e: (max(e), e[max(e)].score), reverse=True)


def report(study: Study, *, top: int = 10) -> Group:
    """The best trials, and what the workers did in the time."""
    return Group(best_trials(study, top), work_done(study), *complaints(study))


def best_trials(study: Study, top: int) -> Table:
    table = Table(title="The best configurations: accuracy, trained on a share of the data")
    table.add_column("trial", justify="right")
    table.add_column("configuration", ratio=1)
    for share in SHARES:
        table.add_column(f"on {share}", justify="right", no_wrap=True)
    for rungs in study.ranking()[:top]:
        scores = [shown(rungs[rung]) if rung in rungs else "" for rung in range(len(SHARES))]
        trial = rungs[max(rungs)].trial
        table.add_row(str(trial.number), str(trial), *scores)
    return table


def shown(evaluation: Evaluation) -> str:
    return f"{evaluation.score:.4f} ± {stdev(evaluation.scores):.4f}"


def work_done(study: Study) -> Table:
    seconds = study.ended - study.began
    table = Table(title=f"How busy the workers were in {seconds:.1f} s", show_footer=True)
    busy = busy_seconds(study)
    overall = sum(busy.values()) / (study.workers * seconds)
    table.add_column("worker", "all together")
    for rung, share in enumerate(SHARES):
        total = sum(e.rung == rung for e in study.evaluations)
        table.add_column(f"on {share}", str(total), justify="right")
    table.add_column("busy", f"{overall:.1%}", justify="right")
    for worker, time in sorted(busy.items()):
        done = [e.rung for e in study.evaluations if e.worker == worker]
        counts = [str(done.count(rung)) for rung in range(len(SHARES))]
        table.add_row(worker, *counts, f"{time / seconds:.1%}")
    return table


def busy_seconds(study: Study) -> dict[str, float]:
    """How long each worker computed, by its own clock, while there was work handed out."""
    busy: defaultdict[str, float] = defaultdict(float)
    for e in study.evaluations:
        busy[e.worker] += max(0, min(e.ended, study.ended) - max(e.started, study.began))
    return dict(busy)


def complaints(study: Study) -> Iterator[str]:
    if study.failures:
        trial, error = study.failures[0]
        yield (
            f"{len(study.failures)} evaluations failed, the first was of {trial}: "
            f"{type(error).__name__}: {error}"
        )
