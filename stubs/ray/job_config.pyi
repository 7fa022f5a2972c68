from collections.abc import Sequence

class JobConfig:
    def __init__(self, *, _py_driver_sys_path: Sequence[str] = ...) -> None: ...
