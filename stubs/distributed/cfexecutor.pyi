from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from distributed import Client
from typing_extensions import TypeVar

_T = TypeVar("_T")

class ClientExecutor(Executor):
    def __init__(self, client: Client, **options: object) -> None: ...
    def submit(self, fn: Callable[..., _T], /, *args: Any, **kwargs: Any) -> Future[_T]: ...
    def shutdown(self, wait: bool = True) -> None: ...  # type: ignore[override]
