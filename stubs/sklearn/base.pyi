from typing import Self

from numpy import float64, int64
from numpy.typing import NDArray

class ClassifierMixin:
    def fit(self, X: NDArray[float64], y: NDArray[int64]) -> Self: ...  # noqa: N803
    def score(self, X: NDArray[float64], y: NDArray[int64]) -> float: ...  # noqa: N803
