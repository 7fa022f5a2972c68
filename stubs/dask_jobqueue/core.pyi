from collections.abc import Sequence

class Job:
    name: str
    submit_command: str
    cancel_command: str
    job_id: str | None
    log_directory: str
    shebang: str
    job_header: str
    worker_processes: int
    _job_script_prologue: Sequence[str]
    _command_template: str

    def __init__(self, scheduler: str, name: str, **options: object) -> None: ...
    @property
    def worker_process_threads(self) -> int: ...
    def job_script(self) -> str: ...
    async def start(self) -> None: ...
    @staticmethod
    async def _call(cmd: Sequence[str], *, shell: bool = ..., **kwargs: object) -> str: ...
