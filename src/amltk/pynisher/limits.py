"""Limits as somebody says them, and as the numbers that a process is held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from typing_extensions import TypedDict

from amltk.backends.base import needs
from amltk.exceptions import PluginNotInstalledError
from amltk.pynisher.amounts import Memory, Time, in_bytes, in_seconds

__all__ = ["Bounds", "Kind", "Limits", "require_supported", "supports"]

Kind: TypeAlias = Literal["memory", "cpu_time", "wall_time"]
"""What can be limited."""

KINDS: tuple[Kind, ...] = ("memory", "cpu_time", "wall_time")


class Limits(TypedDict, total=False, closed=True):
    """What a call may use; no limit for what is `None`."""

    memory_limit: Memory | None
    """Address space, in bytes or as `(2, "GB")`."""
    cpu_time_limit: Time | None
    """CPU time, in seconds or as `(10, "min")`."""
    wall_time_limit: Time | None
    """Time on the clock, in seconds or as `(10, "min")`."""


@dataclass(frozen=True)
class Bounds:
    """The same in bytes and seconds."""

    memory: int | None
    cpu_time: float | None
    wall_time: float | None

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """Read limits, of which those that are not given are none.

        Raises:
            TypeError: If one is no amount.
            ValueError: If one allows nothing, has no end, or an unknown unit.
        """
        memory, cpu_time = limits.get("memory_limit"), limits.get("cpu_time_limit")
        wall_time = limits.get("wall_time_limit")
        return cls(
            memory=None if memory is None else in_bytes("memory_limit", memory),
            cpu_time=None if cpu_time is None else in_seconds("cpu_time_limit", cpu_time),
            wall_time=None if wall_time is None else in_seconds("wall_time_limit", wall_time),
        )

    def by_kind(self) -> Mapping[Kind, float]:
        """The bounds that there are."""
        every: dict[Kind, float | None] = {
            "memory": self.memory,
            "cpu_time": self.cpu_time,
            "wall_time": self.wall_time,
        }
        return {kind: bound for kind, bound in every.items() if bound is not None}


def supports(kind: Kind) -> bool:
    """Whether pynisher can limit this on the system that this runs on.

    Raises:
        PluginNotInstalledError: If pynisher is not installed.
        ValueError: If it is nothing that could be limited.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is nothing that is limited: it is one of {', '.join(KINDS)}.")
    with needs("pynisher", extra="pynisher", what="PynisherPlugin", raises=PluginNotInstalledError):
        import pynisher  # noqa: PLC0415
    try:
        return pynisher.supports(kind)
    except NotImplementedError:  # a system that it has never heard of
        return False


def require_supported(bounds: Bounds) -> None:
    """Refuse limits that this system could not keep."""
    for kind in bounds.by_kind():
        if not supports(kind):
            raise ValueError(
                f"`{kind}_limit` cannot be kept: this system does not let pynisher limit it. Leave "
                f'it out; PynisherPlugin.supports("{kind}") says so beforehand.'
            )
