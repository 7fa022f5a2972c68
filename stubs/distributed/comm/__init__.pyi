from typing import Any

class Comm:
    def abort(self) -> None: ...

async def connect(addr: str, timeout: float | None = None, **connection_args: Any) -> Comm: ...  # noqa: ASYNC109
def get_address_host_port(addr: str, strict: bool = False) -> tuple[str, int]: ...
