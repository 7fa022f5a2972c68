from typing import Any

class Comm:
    def abort(self) -> None: ...

async def connect(addr: str, timeout: float | None = None, **connection_args: Any) -> Comm: ...  # noqa: ASYNC109
