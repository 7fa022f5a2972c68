"""What `distributed` would print of its log."""

from __future__ import annotations

import logging

from typing_extensions import override

__all__ = ["Quiet", "level_of"]


class Quiet(logging.Filter):
    """Keeps log records from being printed until `undo` is called; other handlers still get them.

    Args:
        level: Records of this level and above are printed.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level
        # A filter, and not the handlers' level: several of these may come and go in any order.
        self._handlers = printing(logging.getLogger("distributed"))
        for handler in self._handlers:
            handler.addFilter(self)

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self._level

    def undo(self) -> None:
        """Have everything printed again."""
        for handler in self._handlers:
            handler.removeFilter(self)


def printing(logger: logging.Logger) -> list[logging.Handler]:
    return [handler for handler in logger.handlers if isinstance(handler, logging.StreamHandler)]


def level_of(name: str) -> int:
    """The number of a level of severity, such as `"error"`."""
    return logging.getLevelNamesMapping()[name.upper()]
