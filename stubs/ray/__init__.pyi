from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypedDict, overload

from ray.job_config import JobConfig
from ray.runtime_context import RuntimeContext
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from typing_extensions import ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")

class TaskID:
    def hex(self) -> str: ...

class ObjectRef(Generic[_R]):
    def future(self) -> Future[_R]: ...
    def task_id(self) -> TaskID: ...

class RemoteFunction(Generic[_P, _R]):
    def remote(self, *args: _P.args, **kwargs: _P.kwargs) -> ObjectRef[_R]: ...
    def options(
        self,
        *,
        max_retries: int = ...,
        num_cpus: float = ...,
        scheduling_strategy: NodeAffinitySchedulingStrategy = ...,
    ) -> RemoteFunction[_P, _R]: ...

class ActorMethod:
    def remote(self, *args: object) -> ObjectRef[Any]: ...

class ActorHandle:
    def __getattr__(self, name: str) -> ActorMethod: ...

class ActorClass:
    def remote(self, *args: object) -> ActorHandle: ...

class NodeInfo(TypedDict):
    NodeID: str
    Alive: bool
    Resources: dict[str, float]

def init(
    address: str | None = ...,
    *,
    num_cpus: int | None = ...,
    num_gpus: int | None = ...,
    resources: Mapping[str, float] | None = ...,
    object_store_memory: int | None = ...,
    include_dashboard: bool | None = ...,
    job_config: JobConfig | None = ...,
    logging_level: int = ...,
    log_to_driver: bool | None = ...,
    _temp_dir: str | None = ...,
) -> object: ...
def shutdown() -> None: ...
def is_initialized() -> bool: ...
@overload
def remote(function: Callable[_P, _R], /) -> RemoteFunction[_P, _R]: ...
@overload
def remote(
    *,
    num_cpus: float = ...,
    num_gpus: float = ...,
    memory: float = ...,
    resources: Mapping[str, float] = ...,
    runtime_env: Mapping[str, object] = ...,
) -> Callable[[type], ActorClass]: ...
def get(ref: ObjectRef[_R], *, timeout: float | None = ...) -> _R: ...
def put(value: _R) -> ObjectRef[_R]: ...
def wait(
    refs: Sequence[ObjectRef[Any]], *, num_returns: int = ..., timeout: float | None = ...
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]: ...
def kill(actor: ActorHandle) -> None: ...
def nodes() -> list[NodeInfo]: ...
def get_runtime_context() -> RuntimeContext: ...
