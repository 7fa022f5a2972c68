from numpy import float64, int64
from numpy.typing import NDArray

class Bunch:
    data: NDArray[float64]
    target: NDArray[int64]

def load_digits() -> Bunch: ...
