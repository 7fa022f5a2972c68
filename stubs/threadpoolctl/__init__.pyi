from collections.abc import Sequence
from typing import Self

class LibController:
    user_api: str
    internal_api: str
    filepath: str
    @property
    def num_threads(self) -> int | None: ...
    def set_num_threads(self, num_threads: int) -> None: ...

class ThreadpoolController:
    lib_controllers: Sequence[LibController]

def get_cached_controller() -> ThreadpoolController: ...

class threadpool_limits:  # noqa: N801
    def __init__(self, limits: int | None = ..., user_api: str | None = ...) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...
