"""Limiting the threads of numerical libraries inside the calls of a task."""

from amltk.threadpoolctl.threadpoolctl_plugin import ThreadPoolCTLPlugin

__all__ = ["ThreadPoolCTLPlugin"]
