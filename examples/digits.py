"""What is searched: models for handwritten digits, their hyperparameters, and how good they are.

The workers import this module and nothing of the search. What an evaluation costs is set by the
share of the images a model may learn from, which means the same for every kind of model; it is
always judged on all the images that were held out.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, partial
from random import Random
from statistics import fmean
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

__all__ = ["SHARES", "Evaluation", "Trial", "cross_validate", "evaluate_alone", "random_trials"]

SHARES = (Fraction(1, 9), Fraction(1, 3), Fraction(1))
"""How much of the images for training a model gets to see, rung by rung."""

N_FOLDS = 5

Parameter: TypeAlias = float | str
Draw: TypeAlias = Callable[[Random], Parameter]
Split: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]


def uniform(low: float, high: float) -> Draw:
    return lambda random: random.uniform(low, high)


def log_uniform(low: float, high: float) -> Draw:
    return lambda random: float(np.exp(random.uniform(np.log(low), np.log(high))))


def integer(low: int, high: int) -> Draw:
    return lambda random: random.randint(low, high)


def choice(*options: Parameter) -> Draw:
    return lambda random: random.choice(options)


@dataclass(frozen=True)
class Model:
    """A kind of model, and where its hyperparameters are searched."""

    build: Callable[..., ClassifierMixin]
    space: Mapping[str, Draw]


MODELS: Mapping[str, Model] = {
    "random forest": Model(
        partial(RandomForestClassifier, random_state=0),
        {
            "n_estimators": integer(20, 200),
            "max_features": uniform(0.05, 0.5),
            "min_samples_leaf": integer(1, 5),
        },
    ),
    "gradient boosting": Model(
        partial(HistGradientBoostingClassifier, random_state=0),
        {
            "learning_rate": log_uniform(0.03, 0.5),
            "max_iter": integer(10, 40),
            "max_leaf_nodes": integer(4, 31),
        },
    ),
    "support vectors": Model(
        SVC,
        {"C": log_uniform(0.1, 1000), "gamma": log_uniform(0.001, 1)},
    ),
    "logistic regression": Model(
        partial(LogisticRegression, max_iter=200),
        {"C": log_uniform(0.001, 100)},
    ),
    "neural network": Model(
        partial(MLPClassifier, max_iter=60, random_state=0),
        {
            "hidden_layer_sizes": integer(16, 256),
            "alpha": log_uniform(1e-6, 0.1),
            "learning_rate_init": log_uniform(0.0003, 0.03),
        },
    ),
    "nearest neighbours": Model(
        KNeighborsClassifier,
        {
            "n_neighbors": integer(1, 20),
            "weights": choice("uniform", "distance"),
            "p": choice(1, 2),
        },
    ),
}


@dataclass(frozen=True)
class Trial:
    """A model with its hyperparameters; its number says which one."""

    number: int
    model: str = field(compare=False)
    parameters: Mapping[str, Parameter] = field(compare=False)

    def __str__(self) -> str:
        shown = (f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in self)
        return f"{self.model}({', '.join(shown)})"

    def __iter__(self) -> Iterator[tuple[str, Parameter]]:
        return iter(self.parameters.items())


@dataclass(frozen=True)
class Evaluation:
    """How good a trial is on one rung, and what finding out took."""

    trial: Trial
    rung: int
    scores: tuple[float, ...]
    """The share of digits that were recognised, for each fold."""
    worker: str
    """Which process and thread did it."""
    started: float
    """In seconds since the epoch, on the clock of the worker."""
    ended: float

    @property
    def score(self) -> float:
        """The mean over the folds."""
        return fmean(self.scores)


def random_trials(seed: int) -> Iterator[Trial]:
    """Trials without end; the same ones for the same seed."""
    random = Random(seed)
    number = 0
    while True:
        number += 1
        name, model = random.choice(tuple(MODELS.items()))
        yield Trial(number, name, {key: draw(random) for key, draw in model.space.items()})


def cross_validate(trial: Trial, rung: int) -> Evaluation:
    """Train a model on the share of the images that the rung allows, and see how good it is."""
    started = time.time()
    images, labels = data()
    model = MODELS[trial.model].build(**trial.parameters)
    splits = [(train[: round(len(train) * SHARES[rung])], test) for train, test in folds()]
    scores = cross_val_score(model, images, labels, cv=splits, error_score="raise")
    worker = f"{os.getpid()} {threading.current_thread().name}"
    return Evaluation(trial, rung, tuple(scores.tolist()), worker, started, time.time())


@cache
def data() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """1,797 images of 64 pixels between 0 and 1, and the digit each of them shows."""
    digits = load_digits()
    return digits.data / 16, digits.target


@cache
def folds() -> tuple[Split, ...]:
    """Indices for training and for testing; the former shuffled, so that any beginning will do."""
    shuffle = np.random.default_rng(0).permutation
    splits = StratifiedKFold(N_FOLDS, shuffle=True, random_state=0).split(*data())
    return tuple((shuffle(train), test) for train, test in splits)


def evaluate_alone(trial: Trial, rung: int) -> Evaluation:
    """The same on one core, wherever a worker may have been started."""
    keep_to_one_core()
    return cross_validate(trial, rung)


def keep_to_one_core() -> None:
    """Leave the others alone: it is the scheduler that uses them. Each thread has to say so itself."""
    threadpool_limits(1)
    # Some hyperparameters are too bad to converge, which the score says well enough.
    warnings.simplefilter("ignore", ConvergenceWarning)
