from collections.abc import Callable, Mapping
from typing import Any

def dumps(
    obj: object,
    reducers: Mapping[type[Any], Callable[[Any], object]] | None = ...,
    protocol: int | None = ...,
) -> memoryview: ...
