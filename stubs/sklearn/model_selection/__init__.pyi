from collections.abc import Iterable, Iterator
from typing import Literal

from numpy import float64, int64, intp
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin

class StratifiedKFold:
    def __init__(self, n_splits: int = ..., *, shuffle: bool = ..., random_state: int) -> None: ...
    def split(
        self,
        X: NDArray[float64],  # noqa: N803
        y: NDArray[int64],
    ) -> Iterator[tuple[NDArray[intp], NDArray[intp]]]: ...

def cross_val_score(
    estimator: ClassifierMixin,
    X: NDArray[float64],  # noqa: N803
    y: NDArray[int64],
    *,
    cv: Iterable[tuple[NDArray[intp], NDArray[intp]]],
    error_score: Literal["raise"],
) -> NDArray[float64]: ...
