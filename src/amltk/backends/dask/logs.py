"""What `distributed` would print of its log."""

from __future__ import annotations

import logging
import sys

from typing_extensions import override

__all__ = ["Quiet", "level_of"]


DASKS: logging.Logger = logging.getLogger("distributed")


class Quiet(logging.Filter):
    """Keeps log records from being printed until `undo` is called; other handlers still get them.

    Args:
        level: Records of this level and above are printed.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level
        # A filter, and not the handlers' level: several of these may come and go in any order.
        self._handlers = [*printing(DASKS), *filter(is_console, logging.getLogger().handlers)]
        for handler in self._handlers:
            handler.addFilter(self)

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= self._level or not is_of_dask(record)

    def undo(self) -> None:
        """Have everything printed again."""
        for handler in self._handlers:
            handler.removeFilter(self)


def printing(logger: logging.Logger) -> list[logging.Handler]:
    return [handler for handler in logger.handlers if isinstance(handler, logging.StreamHandler)]


def is_console(handler: logging.Handler) -> bool:
    """Whether it is one that a program prints with, such as that of `logging.basicConfig`."""
    stream: object = getattr(handler, "stream", None)
    consoles = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return stream is not None and any(stream is one for one in consoles)


def is_of_dask(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] == DASKS.name


def level_of(name: str) -> int:
    """The number of a level of severity, such as `"error"`."""
    return logging.getLevelNamesMapping()[name.upper()]
