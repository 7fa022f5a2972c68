"""Filtering the warnings of a task's calls, where they are computed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self, get_args

from typing_extensions import TypeVar, override

from amltk.filtered_warnings import Action, WarningFilter
from amltk.scheduling.around import Layer, around
from amltk.scheduling.call import Call
from amltk.scheduling.task_plugin import TaskPlugin

__all__ = ["WarningFilterPlugin"]

R = TypeVar("R")


@dataclass(frozen=True)
class WarningFilterPlugin(TaskPlugin):
    """Filters warnings inside the calls of a task: what `warnings.filterwarnings` does for a program.

    It has the same parameters. Several of them are like several lines of `filterwarnings`: of those
    that fit a warning, the last decides.

    ```python
    task = scheduler.task(fit, plugins=WarningFilterPlugin("ignore", category=FutureWarning))
    ```

    Raises:
        ValueError: If there is no such action, or something is no regular expression.
        TypeError: If something is of a type that cannot be used.
    """

    action: Action
    """What becomes of a warning: it is raised as an exception, which ends the call ("error"), not
    shown ("ignore"), shown each time ("always"), for each line of code ("default"), each module
    ("module"), or in all ("once")."""
    message: str = ""
    """A regular expression that the beginning of the text matches, whatever the case of letters."""
    category: type[Warning] = Warning
    """What the warning is an instance of."""
    module: str = ""
    """A regular expression that the beginning of the name of the module matches which warns."""
    lineno: int = 0
    """The line of code that warns; any line if 0."""
    append: bool = False
    """Whether this comes after all other filters there are, and not before them."""

    name: ClassVar[str] = "warning-filter"

    _wanted: WarningFilter = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_action(self.action)
        require_regular_expression("message", self.message)
        require_category(self.category)
        require_regular_expression("module", self.module)
        require_line_number(self.lineno)
        require_yes_or_no(self.append)
        wanted = WarningFilter(
            self.action, self.message, self.category, self.module, self.lineno, self.append
        )
        vars(self).update(_wanted=wanted)

    _made: ClassVar[tuple[Callable[..., Any], Layer[Any]] | None] = None

    @override
    def pre_submit(self, call: Call[R], /) -> Call[R]:
        """Have the function called with the filter."""
        made = self._made
        if made is None or made[0] is not call.function:
            made = call.function, around(call.function, self._wanted)
            vars(self).update(_made=made)  # the next call is most likely of the same function
        return call.with_function(made[1])

    @override
    def copy(self) -> Self:
        """The same filter."""
        return replace(self)


def require_action(action: object) -> None:
    actions = get_args(Action)
    if action not in actions:
        raise ValueError(f"`action={action!r}` is not known. Use one of {list(actions)}.")


def require_regular_expression(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"`{name}={value!r}` has to be a regular expression, as text.")
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(
            f"`{name}={value!r}` is no regular expression: {error}. "
            "re.escape(...) makes one of any text."
        ) from error


def require_category(category: object) -> None:
    if not (isinstance(category, type) and issubclass(category, Warning)):
        raise TypeError(
            f"`category={category!r}` has to be a class of warnings, such as FutureWarning. For "
            "several of them, attach a plugin for each."
        )


def require_line_number(lineno: object) -> None:
    if not isinstance(lineno, int) or isinstance(lineno, bool):
        raise TypeError(f"`lineno={lineno!r}` has to be a whole number.")
    if not 0 <= lineno <= sys.maxsize:
        raise ValueError(
            f"`lineno={lineno}` is no line of code: they are counted from 1 to {sys.maxsize}."
        )


def require_yes_or_no(append: object) -> None:
    if not isinstance(append, bool):
        raise TypeError(f"`append={append!r}` has to be True or False.")
