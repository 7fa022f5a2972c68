"""The search in `examples/hpo.py`: as a program, and piece by piece."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import hpo
import pytest
from digits import MODELS, Evaluation, Trial, cross_validate, random_trials
from leaderboard import Study, busy_seconds
from threadpoolctl import threadpool_limits

from amltk import Scheduler
from amltk.backends import Sequential, Slurm, Threads, load

ROOT = Path(__file__).parents[2]
BACKENDS = ["processes", "threads", "loky", "sequential"]


def run_program(*options: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-W", "error", str(ROOT / "examples" / "hpo.py"), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "160"}
    return subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=110, check=False
    )


def score_of(trial: Trial, rung: int) -> Evaluation:
    """An evaluation that takes no time: the earlier the trial, the better."""
    score = 1 / (trial.number + 1)
    return Evaluation(trial, rung, (score, score), "the worker", 0, 0)


def score_unless_even(trial: Trial, rung: int) -> Evaluation:
    if trial.number % 2 == 0:
        raise ValueError(f"trial {trial.number} is even")
    return score_of(trial, rung)


def steps(study: Study) -> list[tuple[int, int]]:
    return [(e.trial.number, e.rung) for e in study.evaluations]


def score_despite_ctrl_c(trial: Trial, rung: int) -> Evaluation:
    """As with some models, whose training ends early at Ctrl-C and says nothing of it."""
    if trial.number == 5:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    return score_of(trial, rung)


@pytest.fixture
def trials() -> Iterator[Trial]:
    return random_trials(seed=0)


def test_a_backend_that_is_not_there_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    And with nothing said of one, processes do.
    """
    file = tmp_path / "dask.toml"
    file.write_text('backend = "dask"\naddress = "tcp://127.0.0.1:1"\ntimeout = 0.2\n')
    monkeypatch.setenv("AMLTK_BACKEND", str(file))
    done = run_program("--no-display")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch("Nothing was evaluated: No Dask scheduler answers .*\n", done.stderr)
    monkeypatch.setenv("AMLTK_BACKEND", "")
    assert hpo.parse([]).backend == load("processes")


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_program_finds_good_models_and_says_so(backend: str) -> None:
    """A few seconds give a table with scores, and nothing on stderr."""
    done = run_program("--seconds", "3", "--backend", backend, "--workers", "2", "--no-display")
    assert (done.returncode, done.stderr) == (0, "")
    scores = [float(s) for s in re.findall(r"(\d\.\d{4}) ±", done.stdout)]
    assert scores
    assert all(0 <= score <= 1 for score in scores)
    assert max(scores) > 0.8
    assert re.search(r"all together .* \d+\.\d%", done.stdout)


def test_the_program_shows_the_search_live() -> None:
    """The display is on unless one says otherwise, and the table still comes last."""
    done = run_program("--seconds", "2", "--workers", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "all together" in done.stdout.partition("The best configurations")[2]


def test_a_file_may_say_what_evaluates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which one is said on the command line, or else by the environment."""
    file = tmp_path / "backend.toml"
    file.write_text('backend = "threads"\nmax_workers = 3\n')
    monkeypatch.setenv("AMLTK_BACKEND", str(file))
    assert hpo.parse([]).backend == Threads(3)
    assert hpo.parse(["--backend", str(file)]).backend == Threads(3)
    assert hpo.parse(["--backend", "sequential"]).backend == Sequential()


def test_the_file_for_slurm_that_is_shown_can_be_read() -> None:
    """There are as many evaluations at a time as its jobs have cores."""
    recipe = load(ROOT / "examples" / "slurm.toml")
    assert isinstance(recipe, Slurm)
    assert hpo.room_in(recipe, None) == recipe.n_workers == 6
    assert hpo.room_in(recipe, 2) == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--seconds", "0"), "more than 0"),
        (("--workers", "0"), "at least 1"),
        (("--backend", "abacus"), "neither a TOML file"),
        (("--backend", "nowhere.toml"), "No such file"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    options: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot work is said in a line, before anything starts."""
    with pytest.raises(SystemExit) as refused:
        hpo.main(options)
    assert refused.value.code == 2
    assert complaint in capsys.readouterr().err


def test_every_rung_evaluates_what_was_best_below(trials: Iterator[Trial]) -> None:
    """Of 27 trials the best nine get more data, and of these the best three all of it."""
    scheduler = Scheduler.with_sequential()
    study = hpo.search(scheduler, islice(trials, 27), workers=1, evaluate=score_of)
    scheduler.run()
    assert [n for n, rung in steps(study) if rung == 0] == list(range(1, 28))
    assert [n for n, rung in steps(study) if rung == 1] == list(range(1, 10))
    assert [n for n, rung in steps(study) if rung == 2] == [1, 2, 3]
    ranking = [(max(rungs), rungs[0].trial.number) for rungs in study.ranking()]
    assert ranking[:5] == [(2, 1), (2, 2), (2, 3), (1, 4), (1, 5)]


def test_every_worker_has_something_to_do_until_the_end(trials: Iterator[Trial]) -> None:
    """After each outcome as many evaluations are pending as there are workers."""
    scheduler = Scheduler.with_threads(3)
    hpo.search(scheduler, trials, workers=3, evaluate=score_of)
    pending: list[int] = []

    @scheduler.on_future_submitted
    def look(_: object) -> None:
        pending.append(len(scheduler.queue))

    scheduler.on_future_submitted(scheduler.stop, every=100)
    scheduler.run()
    assert pending[:3] == [1, 2, 3]
    assert set(pending[3:]) == {3}


def test_a_trial_that_fails_does_not_end_the_search(trials: Iterator[Trial]) -> None:
    """Failures are noted with their trials, and others take their places."""
    scheduler = Scheduler.with_threads(2)
    study = hpo.search(scheduler, islice(trials, 20), workers=2, evaluate=score_unless_even)
    scheduler.run(on_exception="ignore")
    assert sorted(trial.number for trial, _ in study.failures) == list(range(2, 21, 2))
    assert {n for n, rung in steps(study) if rung == 0} == set(range(1, 21, 2))


def test_the_same_seed_gives_the_same_search() -> None:
    """With one worker the whole story is decided by the seed."""
    stories: list[list[tuple[str, int]]] = []
    for _ in range(2):
        scheduler = Scheduler.with_sequential()
        study = hpo.search(scheduler, islice(random_trials(7), 12), workers=1, evaluate=score_of)
        scheduler.run()
        stories.append([(str(e.trial), e.rung) for e in study.evaluations])
    assert stories[0] == stories[1]
    assert [str(t) for t in islice(random_trials(8), 12)] != [
        str(t) for t in islice(random_trials(7), 12)
    ]


def test_ctrl_c_ends_the_search_and_keeps_what_it_found(trials: Iterator[Trial]) -> None:
    """What was evaluated until then is in the study."""
    scheduler = Scheduler.with_threads(2)
    study = hpo.search(scheduler, trials, workers=2, evaluate=score_of)

    @scheduler.on_future_result(every=10, limit=1)
    def press_ctrl_c(_: object, __: object) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        scheduler.run()
    assert len(study.evaluations) >= 9
    assert study.ended >= study.began > 0


def test_ctrl_c_ends_the_search_while_a_model_is_trained(trials: Iterator[Trial]) -> None:
    """A model that keeps the interrupt to itself does not keep the search going."""
    scheduler = Scheduler.with_sequential()
    study = hpo.search(scheduler, islice(trials, 50), workers=1, evaluate=score_despite_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        scheduler.run()
    assert {e.trial.number for e in study.evaluations} <= {1, 2, 3, 4, 5}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_can_be_evaluated(name: str) -> None:
    """Each learns something from a ninth of the data, and is asked the same folds each time."""
    trial = next(t for t in random_trials(seed=0) if t.model == name)
    with threadpool_limits(1):
        evaluation = cross_validate(trial, 0)
        again = cross_validate(trial, 0)
    assert len(evaluation.scores) == 5
    assert 0.3 < evaluation.score <= 1
    assert evaluation.scores == again.scores
    assert evaluation.started <= evaluation.ended


def test_a_worker_is_busy_only_while_the_search_lasts(trials: Iterator[Trial]) -> None:
    """What a worker did after the last trial was handed out does not make it busier."""
    trial = next(trials)
    spans = [("a", 10, 12), ("a", 13, 14), ("b", 18, 25)]
    done = [Evaluation(trial, 0, (1, 1), worker, start, end) for worker, start, end in spans]
    study = Study(workers=2, evaluations=done, began=10, ended=20)
    assert busy_seconds(study) == {"a": 3, "b": 2}
