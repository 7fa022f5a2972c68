from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Self

from typing_extensions import ParamSpec

_P = ParamSpec("_P")

class IOLoop:
    asyncio_loop: AbstractEventLoop
    @classmethod
    def current(cls) -> Self: ...
    def add_callback(
        self, callback: Callable[_P, object], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> None: ...
