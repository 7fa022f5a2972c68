from collections.abc import Sized

class WorkerState:
    address: str
    name: object
    processing: Sized
    has_what: Sized

class TaskState:
    host_restrictions: Sized | None
    resource_restrictions: Sized | None
    worker_restrictions: Sized | None

class KilledWorker(Exception):  # noqa: N818
    last_worker: WorkerState
    allowed_failures: int
