"""The course of one run, as far as it can be told from here.

There is no clock, no network and no storage in this file: it is told what others have seen, and says
what that means.
"""

from __future__ import annotations

from dataclasses import dataclass

from amltk.airflow.storage import Found

__all__ = ["Course"]

RUNNING = frozenset({"running", "restarting"})
"""States of a task that is being computed."""

OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States of a task that will not be computed any more."""

OVERLOOKED = 2
"""How often a run may be missing among all runs until it counts as deleted."""

SETTLE = 60.0
"""Seconds until an outcome has to be seen that Airflow says is there: network file systems may show
new files late."""


@dataclass(slots=True)
class Course:
    """What is known about a run."""

    state: str | None = None
    """The state of its task, as Airflow said last."""
    has_begun: bool = False
    """Whether its call was being computed at some time."""
    to_collect: bool = False
    """Whether something may have come of it."""
    overlooked: int = 0
    """How often it was missing when all runs were looked at."""
    over_since: float | None = None
    """When it was heard that it is over."""

    def hear(self, state: str | None, now: float) -> bool:
        """Take note of what Airflow says, and say whether that is news."""
        is_news = state != self.state
        self.state = state
        self.overlooked = 0
        if state in OVER and self.over_since is None:
            self.over_since = now
        # Airflow, when it is in trouble, starts tasks again that have ended well.
        self.to_collect = self.is_over or (self.has_begun and is_news) or self.to_collect
        self.has_begun = self.has_begun or state in RUNNING
        return is_news

    def overlook(self, now: float) -> None:
        """Take note that it was missing when all were looked at."""
        self.overlooked += 1
        if self.overlooked >= OVERLOOKED and self.over_since is None:
            self.state = "deleted"
            self.over_since = now
            self.to_collect = True

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen in it."""
        return self.over_since is not None

    def may_still_settle(self, now: float) -> bool:
        """Whether what came of it may be there, and only not be seen yet."""
        return self.over_since is not None and now < self.over_since + SETTLE

    def why_lost(self, found: Found, now: float) -> str | None:
        """Why nothing will come of it, though it is over; `None` if something still may."""
        if not self.is_over or (self.state == "success" and self.may_still_settle(now)):
            return None
        begun = "" if found.started is None else f", begun by {found.started}"
        if self.state == "deleted":
            return f"its run was deleted from Airflow{begun}"
        if begun:
            return f"its task in Airflow ended as {self.state!r}{begun}"
        if self.state == "success":
            return (
                "its task in Airflow ended well, but what came of it is not in the storage: was "
                "something removed there?"
            )
        if self.state == "skipped":
            return (
                "its task in Airflow was skipped. Either somebody has ended its run, or the worker "
                "did not find the call in the storage: is that the same place there? If it is called "
                "something else, say so with `worker_storage`"
            )
        return f"its task in Airflow ended as {self.state!r} before it was begun"
