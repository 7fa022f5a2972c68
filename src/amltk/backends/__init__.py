"""Where work runs, as values: each says how to open an executor, and none is one."""

from amltk.backends.abilities import Abilities
from amltk.backends.base import Backend, Given
from amltk.backends.loading import load
from amltk.backends.local import Processes, Threads
from amltk.backends.loky import Loky
from amltk.backends.sequential import Sequential

__all__ = ["Abilities", "Backend", "Given", "Loky", "Processes", "Sequential", "Threads", "load"]
