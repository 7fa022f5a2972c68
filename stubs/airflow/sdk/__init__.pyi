from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypedDict, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

class DagRun(Protocol):
    conf: dict[str, Any] | None

class Context(TypedDict):
    dag_run: DagRun
    params: Mapping[str, Any]

def get_current_context() -> Context: ...
def dag(
    dag_id: str,
    *,
    schedule: None,
    catchup: bool = ...,
    max_active_runs: int = ...,
    max_active_tasks: int = ...,
    max_consecutive_failed_dag_runs: int = ...,
    is_paused_upon_creation: bool = ...,
    params: Mapping[str, object] = ...,
    tags: Sequence[str] = ...,
    doc_md: str | None = ...,
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
def task(
    *, task_id: str, retries: int = ..., retry_delay: timedelta = ...
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
