"""Limits of memory and time for what a call may use, set by pynisher.

The exceptions are in `amltk.exceptions`, and known without pynisher being installed.
"""

from amltk.pynisher.pynisher_task_plugin import PynisherPlugin

__all__ = ["PynisherPlugin"]
