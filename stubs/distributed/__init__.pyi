from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Sized
from enum import Enum
from types import TracebackType
from typing import Any, Generic, Literal, Self

from distributed.cfexecutor import ClientExecutor
from distributed.nanny import WorkerProcess
from distributed.scheduler import TaskState, WorkerState
from tornado.ioloop import IOLoop
from typing_extensions import TypeVar

_T = TypeVar("_T", default=Any)

class Future(Generic[_T]):
    key: str
    def result(self, timeout: float | None = ...) -> _T: ...
    def exception(self) -> Awaitable[BaseException | None]: ...  # in the client's own loop
    def cancelled(self) -> bool: ...

def as_completed(
    futures: Iterable[Future[_T]], *, with_results: Literal[True]
) -> Iterator[tuple[Future[_T], _T]]: ...

class Security:
    def __init__(
        self,
        *,
        require_encryption: bool = ...,
        tls_ca_file: str | None = ...,
        tls_client_cert: str | None = ...,
        tls_client_key: str | None = ...,
        tls_scheduler_cert: str | None = ...,
        tls_scheduler_key: str | None = ...,
        tls_worker_cert: str | None = ...,
        tls_worker_key: str | None = ...,
    ) -> None: ...
    @classmethod
    def temporary(cls) -> Self: ...
    def get_connection_args(self, role: str) -> dict[str, Any]: ...
    def get_tls_config_for_role(self, role: str) -> dict[str, str | None]: ...

class Client:
    def __init__(
        self,
        address: object = ...,
        *,
        scheduler_file: str | None = ...,
        security: object = ...,
        timeout: float = ...,
        loop: IOLoop | None = ...,
        set_as_default: bool = ...,
    ) -> None: ...
    loop: IOLoop
    scheduler: Server | None
    def wait_for_workers(self, n_workers: int) -> None: ...
    security: Security
    status: Literal["newly-created", "connecting", "running", "closing", "closed"]
    def submit(
        self,
        func: Callable[..., _T],
        /,
        *args: object,
        key: str | None = ...,
        pure: bool = ...,
        fifo_timeout: float | str = ...,
        **options: Any,
    ) -> Future[_T]: ...
    def map(
        self,
        func: Callable[..., _T],
        /,
        *iterables: Sequence[object],
        key: Sequence[str] | None = ...,
        pure: bool = ...,
        fifo_timeout: float | str = ...,
        **options: Any,
    ) -> list[Future[_T]]: ...
    def gather(
        self, futures: Sequence[Future[_T]], *, asynchronous: Literal[True]
    ) -> Awaitable[list[_T]]: ...
    def cancel(
        self, futures: Iterable[Future[Any]], *, asynchronous: Literal[True]
    ) -> Awaitable[None]: ...
    @property
    def asynchronous(self) -> bool: ...
    def call_stack(
        self,
    ) -> Awaitable[Mapping[str, Mapping[str, object]]]: ...  # in its own loop; by worker and key
    def scheduler_info(self) -> Mapping[str, Mapping[str, object]]: ...
    def scatter(self, data: object) -> Any: ...  # a future that can be passed as what it stands for
    def get_executor(self, **options: object) -> ClientExecutor: ...
    def close(self, timeout: float = ...) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

class Server:
    address: str
    async def start(self) -> Self: ...

class _HTTPServer:
    def stop(self) -> None: ...

class Scheduler(Server):
    def __init__(
        self,
        *,
        host: str | None = ...,
        protocol: str | None = ...,
        security: object = ...,
        allowed_failures: int | None = ...,
        dashboard: bool | None = ...,
        dashboard_address: str | None = ...,
    ) -> None: ...
    WORKER_SATURATION: float
    http_server: _HTTPServer
    contact_address: str | None
    queued: Sized
    unrunnable: Sized
    workers: Mapping[str, WorkerState]
    def add_plugin(self, plugin: SchedulerPlugin, *, name: str | None = ...) -> None: ...
    def is_rootish(self, ts: TaskState) -> bool: ...
    def handle_worker_status_change(
        self, status: Status, worker: WorkerState, stimulus_id: str
    ) -> None: ...
    async def retire_workers(self, workers: list[str] | None = None, **how: Any) -> object: ...
    async def remove_worker(
        self, address: str, *, stimulus_id: str, expected: bool = ..., close: bool = ...
    ) -> str: ...
    async def close(self) -> None: ...

class Status(Enum):
    closing_gracefully = ...

class SchedulerPlugin:
    def add_worker(self, scheduler: Scheduler, worker: str) -> None: ...
    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None: ...
    def update_graph(self, scheduler: Scheduler, **kwargs: Any) -> None: ...

class Nanny(Server):
    def __init__(
        self,
        scheduler_ip: str,
        *,
        name: object = ...,
        nthreads: int = ...,
        memory_limit: str | float | None = ...,
        host: str | None = ...,
        protocol: str | None = ...,
        security: object = ...,
        local_directory: str | None = ...,
        silence_logs: int | None = ...,
    ) -> None: ...
    process: WorkerProcess | None
    @property
    def pid(self) -> int | None: ...
    def close_gracefully(self) -> None: ...
    async def close(self, timeout: float = ...) -> str: ...  # noqa: ASYNC109

class LocalCluster:
    def __init__(
        self,
        n_workers: int = ...,
        threads_per_worker: int = ...,
        *,
        processes: bool = ...,
        dashboard_address: str | None = ...,
        silence_logs: int = ...,
        security: object = ...,
        loop: IOLoop | None = ...,
    ) -> None: ...
    scheduler_address: str
    def close(self, timeout: float | None = ...) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
