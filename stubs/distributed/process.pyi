from collections.abc import Awaitable

class AsyncProcess:
    def kill(self) -> Awaitable[None]: ...
