from enum import Enum, auto

class Status(Enum):
    starting = auto()
    running = auto()
    stopped = auto()
