import asyncio

from distributed.core import Status
from distributed.process import AsyncProcess

class WorkerProcess:
    process: AsyncProcess | None
    status: Status
    stopped: asyncio.Event
