from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from multiprocessing.context import BaseContext
from typing import Any, Literal

def cpu_count(only_physical_cores: bool = ...) -> int: ...

class ProcessPoolExecutor(Executor):
    def __init__(
        self,
        max_workers: int | None = ...,
        job_reducers: Mapping[type[Any], Callable[[Any], object]] | None = ...,
        result_reducers: Mapping[type[Any], Callable[[Any], object]] | None = ...,
        timeout: float | None = ...,
        context: str | BaseContext | None = ...,
        initializer: Callable[..., object] | None = ...,
        initargs: tuple[object, ...] = ...,
        env: Mapping[str, str] | None = ...,
    ) -> None: ...

def get_reusable_executor(
    max_workers: int | None = ...,
    context: str | BaseContext | None = ...,
    timeout: float | None = ...,
    kill_workers: bool = ...,
    reuse: bool | Literal["auto"] = ...,
    job_reducers: Mapping[type[Any], Callable[[Any], object]] | None = ...,
    result_reducers: Mapping[type[Any], Callable[[Any], object]] | None = ...,
    initializer: Callable[..., object] | None = ...,
    initargs: tuple[object, ...] = ...,
    env: Mapping[str, str] | None = ...,
) -> ProcessPoolExecutor: ...
