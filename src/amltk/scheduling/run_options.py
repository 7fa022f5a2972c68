"""What one can say about a run when it starts."""

from __future__ import annotations

from typing_extensions import TypedDict

from amltk.callbacks import refuse_unknown
from amltk.scheduling.lifecycle import ExceptionPolicy, Lifecycle

__all__ = ["RunOptions", "lifecycle_for"]


class RunOptions(TypedDict, total=False, closed=True):
    """When a run ends, and what becomes of it then."""

    timeout: float | None
    """Seconds after which the run ends; `None`, the default, for no limit."""
    end_on_empty: bool
    """Whether the run ends when nothing is left to do; `True` if not given."""
    wait: bool
    """Whether what is pending at the end is awaited, or cancelled; `True` if not given."""
    on_exception: ExceptionPolicy
    """What becomes of the run when something fails; `"raise"` if not given."""
    display: bool
    """Whether the run is shown live, in the terminal or notebook; `False` if not given."""


def lifecycle_for(options: RunOptions) -> Lifecycle:
    """The life of a run with these options.

    Raises:
        TypeError: If there is no such option, or it is of the wrong type.
        ValueError: If an option has a value that makes no sense.
    """
    refuse_unknown(options, RunOptions.__annotations__, "A run")
    for name in ("end_on_empty", "wait", "display"):
        require_yes_or_no(name, options.get(name, True))
    return Lifecycle(
        timeout=options.get("timeout"),
        end_on_empty=options.get("end_on_empty", True),
        wait=options.get("wait", True),
        on_exception=options.get("on_exception", "raise"),
    )


def require_yes_or_no(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"`{name}={value!r}` has to be True or False.")
