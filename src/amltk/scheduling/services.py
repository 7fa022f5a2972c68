"""What plugins keep open for as long as a run lasts."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

from typing_extensions import TypeVar

from amltk.scheduling.outcomes import guarded

__all__ = ["Service", "Services"]


class Service(Protocol):
    """Something of a plugin that is opened for a run, and closed with it."""

    def run_ends(self) -> None:
        """The run takes no more work; what is pending may still be computed."""
        ...

    def close(self) -> None:
        """The run is over: leave nothing behind. May be called more than once."""
        ...


S = TypeVar("S", bound=Service)


class Services:
    """The services of one run; all plugins that ask for the same one share it.

    Args:
        failed: Is handed what a service raises when it is told something.
    """

    def __init__(self, failed: Callable[[BaseException], None]) -> None:
        self._failed = failed
        self._open: dict[tuple[type, Hashable], Service] = {}

    def get(self, kind: type[S], key: Hashable, make: Callable[[], S]) -> S:
        """The service of this kind and key.

        Args:
            kind: Its type.
            key: Which of that type.
            make: Opens it, if it is not open yet.
        """
        found = self._open.get((kind, key))
        if isinstance(found, kind):
            return found
        made = self._open[kind, key] = make()
        return made

    def run_ends(self) -> None:
        """Tell all of them that the run takes no more work."""
        for service in tuple(self._open.values()):
            guarded(self._failed, service.run_ends)

    def close(self) -> None:
        """Close all of them."""
        while self._open:
            _, service = self._open.popitem()
            guarded(self._failed, service.close)
